"""A picture while it is being looked at: each kind of pixels is decoded once, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from sorter.networks.run import Backbone, Runners
from sorter.pictures import images
from sorter.records import Picture

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class View:
    """What an asker is given. All pixels are upright, as seen; transparency lies on black. Raises PictureError."""

    def __init__(
        self,
        picture: Picture,
        data: bytes,
        image: Image,
        runners: Runners,
        largest: int = 0,
        whole: int = 0,
        exact: bool = False,
    ) -> None:
        """`image`: `data` opened. `largest`: the side of the largest network's view, for which a JPEG is decoded at
        twice that size; `exact`: at its full size instead, and scaled as Teachable Machine does, to the last bit.
        `whole`: the side of the largest view of the whole picture, for which it is decoded at one and a half times."""
        self.picture = picture
        """Its hash, its path, its size and its format."""
        self._has_alpha = image.has_transparency_data
        self._data, self._image, self._runners = data, image, runners
        self._largest, self._exact = largest, exact
        self._at_least = max(2 * largest, whole * 3 // 2)
        self._squares: dict[int, NDArray[np.uint8]] = {}
        self._once: dict[object, Any] = {}
        self._maps: dict[tuple[str, bool], tuple[NDArray[np.float32], ...]] = {}

    @property
    def is_decoded(self) -> bool:
        """Whether anybody has wanted its pixels yet."""
        return self._image is None

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """Grey values (height, width), at the picture's own size."""
        return images.load_grey(self._opened())

    @cached_property
    def is_transparent(self) -> bool:
        """Whether some of it is."""
        return self._has_alpha and images.is_transparent(images.open_picture(self._data))

    @cached_property
    def rgb(self) -> Image:
        """The whole picture at its own size, as a Pillow image in RGB."""
        return images.load(self._opened())

    def square(self, side: int) -> NDArray[np.uint8]:
        """The picture scaled to cover a square and cropped to its middle: (side, side, 3), RGB."""
        if side not in self._squares:
            self._squares[side] = self._scaled(side)
        return self._squares[side]

    def whole(self, side: int) -> NDArray[np.uint8]:
        """All of the picture, in the middle of a white square: (side, side, 3), RGB. See `squared`."""
        return self.once(("whole", side), lambda: squared(self.rgb, side))

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What is made of the picture for the first who wants it, and given to all others who ask with the same key."""
        if key not in self._once:
            self._once[key] = make()
        return cast("T", self._once[key])

    def maps(self, network: Backbone, mirrored: bool = False) -> tuple[NDArray[np.float32], ...]:
        """The maps (height, width, channels) of one pass of a network, which all who share it get."""
        key = network.key, mirrored
        if key not in self._maps:
            square = self.square(network.size)
            self._maps[key] = self._runners.maps(network, np.ascontiguousarray(square[:, ::-1]) if mirrored else square)
        return self._maps[key]

    def run(self, network: Backbone, square: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """The maps (height, width, channels) of one pass over a view of an asker's own (size, size, 3), RGB: of a
        network that it names in `networks`."""
        return self._runners.maps(network, square)

    def _scaled(self, side: int) -> NDArray[np.uint8]:
        if self._exact:
            return images.exact_view(self._opened(), side)
        if side > self._largest:
            return images.fit_view(np.asarray(self.rgb), side)
        return images.fit_view(self.small, side)

    @cached_property
    def small(self) -> NDArray[np.uint8]:
        """The whole picture (height, width, 3), RGB, perhaps smaller than it is, and large enough for each network."""
        # Twice the size, so that a JPEG's own coarse scaling is followed by a good one.
        return images.load_small(self._data, self._opened(), at_least=self._at_least)

    def _opened(self) -> Image:
        """The picture, not yet decoded: each kind of pixels decodes it in its own way, and only once."""
        image, self._image = self._image, None  # type: ignore[assignment]
        return image if image is not None else images.open_picture(self._data)


def squared(image: Image, side: int) -> NDArray[np.uint8]:
    """A picture in RGB, scaled whole to the middle of a white square: (side, side, 3).

    As the wd taggers read it, white around and bicubic (huggingface.co/spaces/SmilingWolf/wd-tagger, app.py); from the
    picture's own size, since a tagger costs so much more than to decode it.
    """
    import PIL.Image

    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    square = PIL.Image.new("RGB", (side, side), "white")
    small = image.resize((width, height), PIL.Image.Resampling.BICUBIC)
    square.paste(small, ((side - width) // 2, (side - height) // 2))
    return np.asarray(square)
