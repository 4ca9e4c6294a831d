"""The families of bases that can be trained, one file each. `FAMILIES` finds one by the class of its pipeline."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.families.family import Family, Text
from trainer.families.sd import StableDiffusion
from trainer.families.sdxl import StableDiffusionXL

__all__ = ["FAMILIES", "Family", "Text"]

_ALL = (StableDiffusion(), StableDiffusionXL())
FAMILIES: Mapping[str, Family] = {family.pipelines["text"]: family for family in _ALL}
"""By what model_index.json calls the pipeline."""
