"""What SimpleTuner reads: folders of pictures and .txt files, and a list of data backends.

Read against bghira/SimpleTuner at bc8e6ab (documentation/DATALOADER.md; simpletuner/helpers/prompts.py,
prepare_instance_prompt_from_textfile: each line of a .txt is a caption; a folder is read with all that is below it;
documentation/evaluation/EVAL_LOSS.md: a dataset of type "eval" is not trained on).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from sorter.dataset.layouts.base import (
    VALIDATION,
    Item,
    Sized,
    apart,
    as_json,
    by_group,
    in_folder,
    layouts,
    masks,
    parts,
)
from sorter.records import Output

CONFIG = "multidatabackend.json"


@layouts.add("simpletuner")
class SimpleTuner(Sized):
    """A folder a class with a .txt beside each picture, masks as a conditioning dataset, and multidatabackend.json."""

    holds_out: ClassVar[bool] = True

    def __call__(self, items: Iterable[Item]) -> Iterator[Output]:
        items, held_out = parts(items)
        backends: list[dict[str, Any]] = []
        size = {"resolution": self.side(items), "resolution_type": "pixel_area"}
        for (group, repeats), some in by_group(items).items():
            yield from in_folder(f"images/{group}", some)
            masked = masks(some)
            for stem, mask in masked.items():
                yield Output(f"masks/{group}/{stem}.png", mask)
            name = f"{group}-{repeats}"
            # Its repeats are the times beyond the first.
            image = {"id": name, "type": "local", "dataset_type": "image", **size, "crop": False,
                     "instance_data_dir": f"{self.at}/images/{group}", "caption_strategy": "textfile",
                     "repeats": repeats - 1, "cache_dir_vae": f"cache/vae/{name}"}  # fmt: skip
            backends.append(image | ({"conditioning_data": f"{name}-masks"} if masked else {}))
            if masked:
                backends.append({"id": f"{name}-masks", "type": "local", "dataset_type": "conditioning",
                                 "conditioning_type": "mask", "source_dataset_id": name, **size, "crop": False,
                                 "instance_data_dir": f"{self.at}/masks/{group}"})  # fmt: skip
        yield from apart(held_out)
        for group, _ in by_group(held_out):
            name = f"{group}-{VALIDATION}"
            backends.append({"id": name, "type": "local", "dataset_type": "eval", **size, "crop": False,
                             "instance_data_dir": f"{self.at}/{VALIDATION}/{group}", "caption_strategy": "textfile",
                             "cache_dir_vae": f"cache/vae/{name}"})  # fmt: skip
        if backends:
            backends.append({"id": "text", "type": "local", "dataset_type": "text_embeds", "default": True,
                             "cache_dir": "cache/text"})  # fmt: skip
            yield Output(CONFIG, as_json(backends))
