"""How a picture is cut for training: the size that it is scaled to, and the middle of that in whole latents. Pure."""

from __future__ import annotations

Size = tuple[int, int]
"""Width and height in pixels."""

LARGE = 2.0
"""How many times the area of the base's own pictures a picture may have; a larger one is scaled down to that area.
Exports for this base have it once; kohya's buckets keep to it, too."""
SMALL = 0.25
"""A smaller share of that area is too little to learn from, and is counted by `trainer check`."""


def fitted(picture: Size, side: int | None, factor: int) -> tuple[Size, Size]:
    """The size that a picture is scaled to, and that of its middle which is trained on.

    side: that of the base's own pictures, None: nothing is scaled; factor: pixels a latent. A picture of at most LARGE
    times that area stays as it is. Raises ValueError where it is smaller than one latent.
    """
    width, height = picture
    area = width * height
    if side is not None and area > LARGE * side * side:
        share = (side * side / area) ** 0.5
        width, height = (max(factor, round(length * share)) for length in picture)
    size = width // factor * factor, height // factor * factor
    if not all(size):
        raise ValueError(f"{width}x{height} is smaller than one latent, {factor}x{factor}")
    return (width, height), size
