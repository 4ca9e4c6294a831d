"""What kohya's sd-scripts read: folders with their repeats in the name, or the same by a dataset TOML.

Read against kohya-ss/sd-scripts at 48d368f: library/config_util.py (the schema; the folders of --train_data_dir),
library/train_util.py (DreamBoothDataset, ControlNetDataset).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sorter.dataset.layouts.base import Item, Layout, by_group, in_folder, kept_in_front, layouts, masks, read_captions
from sorter.records import Output, Text

CONFIG = "dataset.toml"
MASKS = "masks"
"""The folder of the masks; sd-scripts takes no pictures from it, as its name begins with no number."""
HEAD = """\
# For kohya's sd-scripts: --dataset_config {at}/dataset.toml
# Without it: --train_data_dir {at} --caption_extension .txt (then the folders' names say the repeats){masked}
"""
MASKED = "\n# The loss is masked with --masked_loss, and only then."


@layouts.add("kohya")
class Kohya(Layout):
    """Folders REPEATS_CLASS with a .txt beside each picture, and a dataset.toml, for kohya's sd-scripts and its GUI."""

    resolution: int = 512
    """Pixels a side, where the pictures are not all squares of one size."""

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        items = list(items)
        for (group, repeats), some in by_group(items).items():
            name = f"{repeats}_{group}"
            yield from in_folder(name, some)
            for stem, mask in masks(some).items():
                yield Output(f"{MASKS}/{name}/{stem}.png", mask)
        if items:
            yield Output(CONFIG, Text(self._config(items)))

    def read_back(self, folder: Path, items: Iterable[Item]) -> None:
        read_captions(folder, self(items))

    def _config(self, items: list[Item]) -> str:
        from tomli_w import dumps

        subsets: list[dict[str, Any]] = []
        for (group, repeats), some in by_group(items).items():
            name = f"{repeats}_{group}"
            subset = {"image_dir": f"{self.at}/{name}", "num_repeats": repeats, "keep_tokens": kept_in_front(some)}
            subsets.append(subset | ({"conditioning_data_dir": f"{self.at}/{MASKS}/{name}"} if masks(some) else {}))
        # A dataset has masks for all of its subsets or for none, and buckets of its own.
        about = {"resolution": common_size(items, self.resolution), "batch_size": 1, "enable_bucket": True}
        datasets = [
            about | {"subsets": alike}
            for is_masked in (False, True)
            if (alike := [one for one in subsets if ("conditioning_data_dir" in one) == is_masked])
        ]
        general = {"caption_extension": ".txt", "flip_aug": False, "shuffle_caption": False}
        masked = MASKED if any(item.mask for item in items) else ""
        return HEAD.format(at=self.at, masked=masked) + dumps({"general": general, "datasets": datasets})


def common_size(items: Iterable[Item], otherwise: int) -> int:
    """The side of the pictures, if all of them are squares of one size."""
    sizes = {item.render.size for item in items}
    size = sizes.pop() if len(sizes) == 1 else None
    return size[0] if size and size[0] == size[1] else otherwise
