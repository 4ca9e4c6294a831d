"""What OneTrainer reads: folders of pictures and .txt files, and a file of concepts.

Read against Nerogar/OneTrainer at 23df383 (modules/util/config/ConceptConfig.py; DataLoaderText2ImageMixin.py) and
Nerogar/mgds at 3a6994a (CollectPaths: only the folder itself; what ends in -masklabel is no picture). Its validation
takes concepts of type VALIDATION, and its training all others (DataLoaderMgdsMixin.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sorter.dataset.layouts.base import (
    VALIDATION,
    InFolders,
    Item,
    apart,
    as_json,
    by_group,
    in_folder,
    kept_in_front,
    layouts,
    masks,
    parts,
)
from sorter.records import Output

CONFIG = "concepts.json"


@layouts.add("onetrainer")
class OneTrainer(InFolders):
    """A folder a class with a .txt beside each picture and masks as NAME-masklabel.png, and a concepts.json."""

    holds_out: ClassVar[bool] = True

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        items, held_out = parts(items)
        concepts = []
        for (group, repeats), some in by_group(items).items():
            yield from in_folder(group, some)
            for stem, mask in masks(some).items():
                yield Output(f"{group}/{stem}-masklabel.png", mask)
            concepts.append(self._concept(group, group, some, repeats))
        yield from apart(held_out)
        for (group, _), some in by_group(held_out).items():
            name = f"{group} ({VALIDATION})"
            concepts.append(self._concept(name, f"{VALIDATION}/{group}", some, 1) | {"type": "VALIDATION"})
        if concepts:
            yield Output(CONFIG, as_json(concepts))

    def _concept(self, name: str, folder: str, items: list[Item], repeats: int) -> dict[str, Any]:
        return {
            "name": name, "path": f"{self.at}/{folder}", "enabled": True, "type": "STANDARD",
            "include_subdirectories": False, "balancing": float(repeats), "balancing_strategy": "REPEATS",
            "image": {"enable_crop_jitter": False, "enable_random_flip": False, "enable_fixed_flip": False},
            "text": {"prompt_source": "sample", "tag_delimiter": ",", "keep_tags_count": kept_in_front(items)},
        }  # fmt: skip
