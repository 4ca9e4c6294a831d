"""kohya's sd-scripts, at 48d368f: library/train_util.py (DreamBoothDataset, glob_images, load_image, BucketManager) and
library/config_util.py (the folders of --train_data_dir, the dataset TOML)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, ClassVar

from pydantic import ValidationError

from sorter.buckets import Buckets, Fit
from sorter.dataset.doctor import kinds
from sorter.dataset.doctor.base import VALIDATION, Dataset, Seen, Source, Trainer, below, trainers
from sorter.dataset.doctor.diagnosis import Diagnosis
from sorter.dataset.doctor.kinds import Kind

NO_NUMBER = Kind("folder's name begins with no number of repeats", kinds.DROPS, "call it 10_NAME; it is ignored")
LOOSE = Kind("picture lies beside the folders of repeats", kinds.DROPS, "move it into a folder called 10_NAME, or so")
EMPTY = Kind("caption file has no bytes", kinds.STOPS, "write at least one line, or delete the file")
OTHERS_CAPTION = Kind("picture has the caption of a shorter name", kinds.NOTES, "rename it, if that is not meant")
BLANK = Kind("caption's first line is blank", kinds.CHANGES, "write it into the first line; no other is read")
BAD_TOML = Kind("dataset TOML cannot be used", kinds.STOPS, "mend it")
CACHE = re.compile(r"(?P<stem>.+?)(?:_\d{4}x\d{4}_\w+)?\.npz")
"""A latent cache: NAME_0512x0512_sd.npz, or NAME.npz of older versions (library/strategy_sd.py)."""


@trainers.add("kohya")
class Kohya(Trainer):
    """sd-scripts: by the dataset TOML that lies in the folder, or the folder as --train_data_dir."""

    caption_extension: str = ".caption"
    """Its default; its GUI's is .txt."""
    no_upscale: bool = False
    """--bucket_no_upscale."""
    smallest: int = 256
    largest: int = 1024
    step: int = 64

    endings: ClassVar[frozenset[str]] = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".avif", ".jxl"})
    upright: ClassVar[bool] = False
    """It opens pictures by Image.open(path).convert("RGB")."""

    def __call__(self, dataset: Dataset) -> Diagnosis:
        config = read_toml(dataset)
        if config is None:
            out = super().__call__(dataset)
        else:
            name, values = config
            first = {**values.get("general", {}), **(values.get("datasets") or [{}])[0]}
            out = self._told(first)._by(dataset, name, values)
        self._caches(dataset, out)
        return out

    def _told(self, values: dict[str, Any]) -> Kohya:
        """The same trainer with what a TOML says of a dataset; its schema is checked by sd-scripts, not here."""
        names = {"resolution": "resolution", "batch_size": "batch_size", "bucket_no_upscale": "no_upscale",
                 "min_bucket_reso": "smallest", "max_bucket_reso": "largest", "bucket_reso_steps": "step"}  # fmt: skip
        own = {ours: values[theirs] for theirs, ours in names.items() if isinstance(values.get(theirs), int)}
        return self.model_copy(update=own)

    def _by(self, dataset: Dataset, name: str, values: dict[str, Any]) -> Diagnosis:
        try:
            trainer = WithToml(**self.model_dump(), toml=name, values=values)
        except ValidationError as error:  # a resolution of 0, say
            out, wrong = Diagnosis(), error.errors()[0]
            out.add(BAD_TOML, name, f"{wrong['loc'][0]} = {wrong['input']}: {wrong['msg']}")
            return out
        out = Trainer.__call__(trainer, dataset)
        out.notes.insert(0, f"by {name}, as with --dataset_config")
        shares = [one.get("validation_split") for one in values["datasets"]]
        if any(isinstance(share, float) and 0 < share < 1 for share in shares):
            out.notes.append("validation_split draws single pictures: neighbours of one scene stand on both sides")
        if len(values["datasets"]) > 1:
            out.notes.append("resolution and batch size are those of its first dataset")
        return out

    def sources(self, dataset: Dataset, out: Diagnosis) -> list[Source]:
        """The children of the folder, by the number in their names."""
        found = []
        for folder in sorted({path.parts[0] for path in map(PurePosixPath, dataset.files) if len(path.parts) > 1}):
            repeats, _, words = folder.partition("_")
            if re.fullmatch(r"\s*[+-]?\d+\s*", repeats) and int(repeats) >= 1:
                found.append(Source(folder, int(repeats), False, self.caption_extension, self.flip, words))
            elif folder not in ("masks", VALIDATION) and any(
                path.startswith(f"{folder}/") for path in dataset.pictures
            ):
                out.add(NO_NUMBER, folder)
        for path in dataset.pictures:
            if "/" not in path:
                out.add(LOOSE, path)
        return found

    def fit(self, width: int, height: int) -> Fit:
        square = self.resolution, self.resolution
        return Buckets(square, self.smallest, self.largest, self.step, self.no_upscale).fit(width, height)

    def pictures(self, dataset: Dataset, source: Source) -> Iterator[Seen]:
        """Endings count in lower or in upper case only: .Jpg is not read."""
        for seen in super().pictures(dataset, source):
            suffix = PurePosixPath(seen.path).suffix
            if suffix in (suffix.lower(), suffix.upper()):
                yield seen

    def caption(self, seen: Seen, dataset: Dataset, source: Source, out: Diagnosis) -> str | None:
        """A name of five parts or more may be one of a face's crop: then the caption of the name without the last four
        serves, too."""
        stem, _, _ = seen.path.rpartition(".")
        shorter = "_".join(stem.split("_")[:-4])
        if shorter and stem + source.ending not in dataset.files and shorter + source.ending in dataset.files:
            out.add(OTHERS_CAPTION, seen.path, PurePosixPath(shorter + source.ending).name)
            seen = seen._replace(path=f"{shorter}{PurePosixPath(seen.path).suffix}")
        return super().caption(seen, dataset, source, out)

    def words_of(self, text: str, path: str, out: Diagnosis) -> str | None:
        """The first line; a file of no bytes raises an AssertionError."""
        if not text:
            out.add(EMPTY, path)
            return None
        first, *rest = text.splitlines() or [""]
        if any(line.strip() for line in rest):
            out.add(kinds.MORE_LINES if first.strip() else BLANK, path, "only the first is read")
        elif not first.strip():
            out.add(kinds.EMPTY, path)
        return first.strip()

    def is_meant(self, path: str) -> bool:
        folder = PurePosixPath(path).parts[0]
        loose = "/" not in path or not (folder == VALIDATION or folder.partition("_")[0].strip().isdigit())
        return super().is_meant(path) or loose  # told of already, with its folder

    def _caches(self, dataset: Dataset, out: Diagnosis) -> None:
        stems = {str(PurePosixPath(path).with_suffix("")): path for path in dataset.pictures}
        for path, changed in dataset.files.items():
            if not path.endswith(".npz") or (match := CACHE.fullmatch(path)) is None:
                continue
            picture = stems.get(match["stem"]) or stems.get(path.removesuffix(".npz"))
            if picture is None:
                out.add(kinds.CACHE_ALONE, path)
            elif dataset.files[picture] > changed:
                out.add(kinds.STALE_CACHE, path)


class WithToml(Kohya):
    """The same by a dataset TOML: the names of folders say nothing then."""

    toml: str
    values: dict[str, Any]

    def sources(self, dataset: Dataset, out: Diagnosis) -> list[Source]:
        found = []
        general = self.values.get("general", {})
        for one in self.values.get("datasets", []):
            for subset in one.get("subsets", []):
                about = {**general, **one, **subset}
                if "metadata_file" in subset:
                    out.notes.append(f"{subset['metadata_file']}: a subset with a metadata file is not looked at")
                    continue
                folder = below(dataset, str(about.get("image_dir", "")))
                if folder is None:
                    out.add(BAD_TOML, self.toml, f"no folder {about.get('image_dir')!r} here")
                    continue
                ending = str(about.get("caption_extension", self.caption_extension))
                flip = bool(about.get("flip_aug", False)) or self.flip
                held_out = about.get("validation_split", 0.0) == 1.0
                repeats = 1 if held_out else about.get("num_repeats", 1)
                found.append(Source(folder, repeats, False, ending, flip, about.get("class_tokens"), held_out))
        return found

    def is_meant(self, path: str) -> bool:
        return Trainer.is_meant(self, path)


def read_toml(dataset: Dataset) -> tuple[str, dict[str, Any]] | None:
    """The one TOML in the folder that says what a dataset is, and what it says; None where there is none."""
    for path in sorted(dataset.files):
        if "/" not in path and path.endswith(".toml"):
            try:
                values = tomllib.loads(dataset.read(path).decode())
            except (OSError, ValueError):
                continue
            if isinstance(values.get("datasets"), list):
                return path, values
    return None
