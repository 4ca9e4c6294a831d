"""Where a dataset came from, as a small JSON file beside it that no trainer reads. Names no place of this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from sorter.commands.job import Job
from sorter.dataset.croppers import Cropper, croppers
from sorter.dataset.layouts import Item
from sorter.dataset.layouts.base import VALIDATION, parts
from sorter.library.store.manifest import Manifest
from sorter.records import Output, Shard, Text

PROVENANCE = "modelsheet.json"


def provenance(
    job: Job,
    cropper: Cropper,
    layout: str,
    items: Iterable[Item],
    dataset: Manifest,
    validation: Mapping[str, Any] | None = None,
) -> Output:
    """The file: scheme, sorters' hashes, crop, how many pictures, and the fingerprint. Both are of those that are
    trained on; `validation` says how others were held out."""
    items, held_out = parts(items)
    crop = next((name for name, plugin in croppers if plugin is type(cropper)), type(cropper).__name__)
    scheme = job.scheme.model_dump_json(exclude={"axes": {"__all__": {"model"}}})  # which may name a folder
    about = {
        "modelsheet": version("modelsheet"),
        "scheme": {"name": job.scheme.name, "sha256": _sha256(scheme)},
        "sorters": job.questions.sources(),
        "layout": layout,
        "crop": {"use": crop, **cropper.model_dump(mode="json")},
        "pictures": len(items),
        "fingerprint": fingerprint(items, dataset),
    }
    if validation is not None:
        about[VALIDATION] = {**validation, "pictures": len(held_out), "fingerprint": fingerprint(held_out, dataset)}
    return Output(PROVENANCE, Text(json.dumps(about, ensure_ascii=False, indent=2) + "\n"))


def fingerprint(items: Iterable[Item], dataset: Manifest) -> str:
    """One hash over pictures and captions, in their order; of an imagefolder, the one that `trainer` writes into a run.

    Where the pictures lie in shards, it is over the shards.
    """
    placed = list(dataset.placed())
    if any(isinstance(one.output.content, Shard) for one in placed):
        return _sha256(json.dumps([one.sha256 for one in placed if isinstance(one.output.content, Shard)]))
    hashes = {one.output.content: one.sha256 for one in placed}
    return _sha256(json.dumps([f"{hashes.get(item.render, '')} {item.caption}" for item in items]))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
