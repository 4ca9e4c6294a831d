"""What ai-toolkit reads: folders of pictures and .txt files, and a YAML with a `datasets` list.

Read against ostris/ai-toolkit at 27a03a9 (toolkit/config_modules.py, DatasetConfig; toolkit/data_loader.py: a folder is
read with all that is below it, so masks lie beside it; README.md: "Webp currently has issues", so there are none).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sorter.dataset.layouts.base import Item, Sized, apart, by_group, in_folder, kept_in_front, layouts, masks, parts
from sorter.records import Output, Text

CONFIG = "datasets.yaml"
HEAD = "# For ai-toolkit: put this list into the process of your own config, in place of its datasets.\n"
HELD_OUT = "# It takes no validation loss; what lies in validation/ is held out for you to compare with.\n"


@layouts.add("ai-toolkit")
class AiToolkit(Sized):
    """A folder a class with a .txt beside each picture, masks apart, and the datasets of a config in YAML."""

    holds_out: ClassVar[bool] = True

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        items, held_out = parts(items)
        yield from apart(held_out, {".webp": ".png"})
        datasets: list[dict[str, Any]] = []
        for (group, repeats), some in by_group(items).items():
            for suffix, part in ((".png", [one for one in some if one.suffix == ".webp"]),
                                 (None, [one for one in some if one.suffix != ".webp"])):  # fmt: skip
                yield from in_folder(f"images/{group}", part, suffix)
            masked = masks(some)
            for stem, mask in masked.items():
                yield Output(f"masks/{group}/{stem}.png", mask)
            about = {"folder_path": f"{self.at}/images/{group}", "caption_ext": "txt", "num_repeats": repeats}
            about |= {"mask_path": f"{self.at}/masks/{group}"} if masked else {}
            about |= {"flip_x": False, "flip_y": False, "keep_tokens": kept_in_front(some)}
            datasets.append(about | {"resolution": [self.side(items)]})
        if datasets:
            head = HEAD + (HELD_OUT if held_out else "")
            yield Output(CONFIG, Text(head + "datasets:\n" + "".join(map(_entry, datasets))))


def _entry(values: dict[str, Any]) -> str:
    """An entry of a list in YAML, whose scalars may be written as in JSON (YAML 1.2, 10.2)."""
    lines = [f"{name}: {json.dumps(value, ensure_ascii=True)}\n" for name, value in values.items()]
    return "  - " + "    ".join(lines)
