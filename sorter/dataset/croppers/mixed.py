"""The cropper that gives each picture one of several, by share. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from sorter.dataset.croppers.base import Cropper, Pixels, croppers
from sorter.errors import OptionsError
from sorter.plugins import Options
from sorter.records import Picture, Render, Verdict


class Share(Options):
    """One of the croppers, with its own options, and its share of the pictures."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    use: str
    share: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] = 1.0
    """Of all shares together."""


@croppers.add("mixed")
class Mixed(Cropper):
    """One of several croppers for each picture, always the same: of = [{ use = "pad", share = 0.3 }, ...]."""

    of: Annotated[tuple[Share, ...], Field(min_length=1, max_length=16)]
    size: Pixels | None = None
    """Of all those that say none of their own."""
    enlarge: bool = False
    """The same."""
    seed: int = 0
    """Another number deals the croppers out in another way."""

    @model_validator(mode="after")
    def _is_whole(self) -> Mixed:
        try:
            assert self._built
        except OptionsError as found:
            raise ValueError(str(found)) from None
        return self

    @cached_property
    def _built(self) -> tuple[Cropper, ...]:
        return tuple(self._cropper(one, number) for number, one in enumerate(self.of, 1))

    def _cropper(self, one: Share, number: int) -> Cropper:
        options: dict[str, Any] = dict(one.model_extra or {})
        if one.use == "mixed":
            raise OptionsError(f"of, number {number}: is mixed itself; name its croppers one by one")
        fields = kind.model_fields if (kind := dict(croppers).get(one.use)) else {}
        for name, value in (("size", self.size), ("enlarge", self.enlarge or None)):
            if value is not None and name in fields:
                options.setdefault(name, value)
        return croppers.build(one.use, f"of, number {number}", **options)

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        return self._one(verdict)(picture, verdict)

    def wording(self, picture: Picture, verdict: Verdict) -> str:
        return self._one(verdict).wording(picture, verdict)

    def wordings(self) -> tuple[str, ...]:
        return tuple(word for one in self._built for word in one.wordings())

    def remarks(self, picture: Picture, verdict: Verdict) -> tuple[str, ...]:
        return self._one(verdict).remarks(picture, verdict)

    def resolution(self) -> int | None:
        return max((side for one in self._built if (side := one.resolution())), default=None)

    def check(self, askers: Collection[str], where: str) -> None:
        for one in self._built:
            one.check(askers, where)

    def _one(self, verdict: Verdict) -> Cropper:
        """The cropper of a picture, by its hash, weighted as in E. Thaler and C. Ravishankar, "Using name-based
        mappings to increase hit rates" (1998), with logarithms: one that is added takes its share from all others."""

        def height(place: int) -> float:
            drawn = hashlib.blake2b(f"{self.seed} {place} {verdict.picture.sha256}".encode(), digest_size=8).digest()
            return math.log((int.from_bytes(drawn, "big") + 1) / (2**64 + 1)) / self.of[place].share

        return self._built[max(range(len(self.of)), key=height)]
