"""Dataset layouts, one file each: pictures of a library -> every file of a dataset. A plug point."""

from sorter.dataset.layouts import ai_toolkit, imagefolder, kohya, onetrainer, shards, simpletuner
from sorter.dataset.layouts.base import Item, Layout, layouts

__all__ = ["Item", "Layout", "ai_toolkit", "imagefolder", "kohya", "layouts", "onetrainer", "shards", "simpletuner"]
