"""What kohya's sd-scripts read: folders with their repeats in the name, or the same by a dataset TOML.

Read against kohya-ss/sd-scripts at 48d368f: library/config_util.py (the schema; the folders of --train_data_dir),
library/train_util.py (DreamBoothDataset, ControlNetDataset).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from sorter.dataset.layouts.base import (
    VALIDATION,
    Item,
    Sized,
    apart,
    by_group,
    in_folder,
    kept_in_front,
    layouts,
    masks,
    parts,
)
from sorter.records import Output, Text

CONFIG = "dataset.toml"
MASKS = "masks"
"""The folder of the masks; sd-scripts takes no pictures from it, as its name begins with no number."""
HEAD = """\
# For kohya's sd-scripts: --dataset_config {at}/dataset.toml
# Without it: --train_data_dir {at} --caption_extension .txt (then the folders' names say the repeats){masked}
"""
MASKED = "\n# The loss is masked with --masked_loss, and only then."
SUBSET = "\n[[datasets.subsets]]\n"
HELD_OUT = """
# Held out, not trained on: train_network.py and sdxl_train_network.py take the validation loss of it.
[[datasets]]
validation_split = 1.0
"""
"""sd-scripts takes the key here, whatever its docs/validation.md shows; it cannot hold out what has masks."""


@layouts.add("kohya")
class Kohya(Sized):
    """Folders REPEATS_CLASS with a .txt beside each picture, and a dataset.toml, for kohya's sd-scripts and its GUI."""

    holds_out: ClassVar[bool] = True

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        items, held_out = parts(items)
        yield from apart(held_out)
        for (group, repeats), some in by_group(items).items():
            name = f"{repeats}_{group}"
            yield from in_folder(name, some)
            for stem, mask in masks(some).items():
                yield Output(f"{MASKS}/{name}/{stem}.png", mask)
        if items:
            yield Output(CONFIG, Text(self._config(items, held_out)))

    def _config(self, items: list[Item], held_out: list[Item]) -> str:
        from tomli_w import dumps

        masked = [some for some in by_group(items).items() if masks(some[1])]
        plain = [some for some in by_group(items).items() if not masks(some[1])]
        text = [HEAD.format(at=self.at, masked=MASKED if masked else "")]
        text += ["[general]\n", dumps({"caption_extension": ".txt", "flip_aug": False, "shuffle_caption": False})]
        about = dumps({"resolution": self.side(items), "batch_size": 1, "enable_bucket": True})
        for alike in (plain, masked):  # a dataset has masks for all of its subsets, or for none
            text += ["\n[[datasets]]\n", about] if alike else []
            for (group, repeats), some in alike:
                name = f"{repeats}_{group}"
                subset = {"image_dir": f"{self.at}/{name}", "num_repeats": repeats, "keep_tokens": kept_in_front(some)}
                subset |= {"conditioning_data_dir": f"{self.at}/{MASKS}/{name}"} if alike is masked else {}
                text += [SUBSET, dumps(subset)]
        for number, (group, _) in enumerate(by_group(held_out)):
            text += [] if number else [HELD_OUT, about]
            text += [SUBSET, dumps({"image_dir": f"{self.at}/{VALIDATION}/{group}"})]
        return "".join(text)
