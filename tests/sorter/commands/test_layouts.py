"""Every layout, exported from a real library and read back by what its trainer reads it with."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import sqlite3
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from sorter.commands.doctor import doctor
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.dataset.croppers import croppers
from sorter.dataset.doctor import trainers
from sorter.dataset.layouts import Item, layouts
from sorter.dataset.layouts.base import kept_in_front
from sorter.dataset.layouts.shards import PICTURES, spread
from sorter.dataset.repeats import repeats
from sorter.errors import DatasetError, OptionsError
from sorter.records import Render
from tests.sd_scripts import parse

Tree = Callable[..., dict[str, str]]
PAD = croppers.build("pad", size=64, enlarge=True)
BESIDE = {"kohya": "1_mira", "onetrainer": "mira", "ai-toolkit": "images/mira", "simpletuner": "images/mira"}
"""Layouts with a .txt beside each picture -> the folder of the pictures."""
SCHEMA = {
    "general": {"caption_extension": str, "flip_aug": bool, "shuffle_caption": bool},
    "datasets": {"resolution": int, "batch_size": int, "enable_bucket": bool, "subsets": list},
    "subsets": {"image_dir": str, "num_repeats": int, "keep_tokens": int, "conditioning_data_dir": str},
}
"""The keys of sd-scripts' documented schema (docs/config_README-en.md) that are written, with their types."""


@pytest.fixture
def library(tmp_path: Path, frames: Path, job: Job) -> Path:
    sort(frames, tmp_path / "library", job)
    return tmp_path / "library"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return tmp_path / "dataset"


@pytest.fixture
def truth(tmp_path: Path, library: Path, job: Job) -> dict[str, tuple[str, bytes]]:
    """Stem -> caption and pixels, as the imagefolder has them."""
    export(library, tmp_path / "truth", job, crop=PAD)
    lines = (tmp_path / "truth" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        Path(row["file_name"]).stem: (row["text"], pixels(tmp_path / "truth" / row["file_name"]))
        for row in map(json.loads, lines)
    }


def pixels(source: Any) -> bytes:
    with Image.open(source) as image:
        return image.convert("RGB").tobytes()


@pytest.mark.parametrize("use", BESIDE)
def test_captions_lie_beside_the_pictures(
    use: str, library: Path, dataset: Path, job: Job, truth: dict[str, tuple[str, bytes]]
) -> None:
    export(library, dataset, job, use=use, crop=PAD)
    folder = dataset / BESIDE[use]
    found = {
        path.stem: ((folder / f"{path.stem}.txt").read_text(encoding="utf-8"), pixels(path))
        for path in folder.glob("*.png")
        if not path.stem.endswith("-masklabel")
    }
    assert found == {stem: (f"{caption}\n", image) for stem, (caption, image) in truth.items()}
    assert len(found) == 4


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves closing its files to gc
def test_the_package_webdataset_reads_the_tars(
    library: Path, dataset: Path, job: Job, truth: dict[str, tuple[str, bytes]]
) -> None:
    import webdataset

    export(library, dataset, job, use="webdataset", crop=PAD)
    found = list(webdataset.WebDataset(str(dataset / "train-000000.tar"), shardshuffle=False))
    assert {one["__key__"]: (one["txt"].decode(), pixels(io.BytesIO(one["png"]))) for one in found} == truth
    assert {tuple(key for key in one if not key.startswith("__")) for one in found} == {
        ("png", "mask.png", "txt", "json")
    }
    assert json.loads(found[0]["json"]).keys() == {"text", "caption_by", "direction", "mood"}
    gc.collect()


@pytest.mark.parametrize("use", ["imagefolder", "webdataset", "parquet"])
def test_the_package_datasets_reads_pictures_and_masks(
    use: str, library: Path, dataset: Path, job: Job, truth: dict[str, tuple[str, bytes]],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    export(library, dataset, job, use=use, crop=PAD)
    found = load_dataset(str(dataset), split="train", cache_dir=str(tmp_path / "cache"))
    text, picture, mask = ("txt", "png", "mask.png") if use == "webdataset" else ("text", "image", "mask")
    assert sorted((row[text], row[picture].convert("RGB").tobytes()) for row in found) == sorted(truth.values())
    assert {row[mask].size for row in found} == {(64, 64)}
    if use != "webdataset":
        assert sorted(found.column_names) == sorted(["image", "mask", "text", "caption_by", "direction", "mood"])
        assert {row["direction"] for row in found} == {"left", "front"}


def test_pictures_without_anything_to_mask_share_one_mask(
    frames: Path, job: Job, dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from trainer.dataset import read_dataset

    for path in sorted(frames.glob("* happy.png")):
        with Image.open(path) as picture:
            wide = picture.convert("RGB")
        side = min(wide.size)
        wide.resize((side, side)).save(path)
    sort(frames, tmp_path / "library", job)
    export(tmp_path / "library", dataset, job, crop=PAD)
    rows = [json.loads(line) for line in (dataset / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    masks = {row["file_name"]: row["mask_file_name"] for row in rows}
    shared = [name for name in masks if masks[name] == "masks/all-64x64.png"]
    assert len(shared) == 2 < len(rows)
    assert {f"masks/{path.name}" for path in (dataset / "masks").iterdir()} == set(masks.values())
    with Image.open(dataset / "masks" / "all-64x64.png") as white:
        assert white.size == (64, 64) and white.getextrema() == (255, 255)
    read = read_dataset(dataset, 8, whole=True)
    assert read.masked == len(rows) - 2 and not read.unreadable
    assert not [line for line in doctor(dataset, trainers.build("diffusers")).findings if "mask" in str(line)]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    found = load_dataset(str(dataset), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(row["mask"].getextrema()[0] for row in found) == [0] * (len(rows) - 2) + [255, 255]


@pytest.mark.parametrize("use", [name for name, _ in layouts])
def test_an_export_of_any_layout_is_a_plan(
    use: str, library: Path, dataset: Path, job: Job, frames: Path, tree_of: Tree
) -> None:
    assert export(library, dataset, job, use=use, crop=PAD, dry_run=True).counts["exported"] == 4
    assert not dataset.exists()
    export(library, dataset, job, use=use, crop=PAD)
    first = tree_of(dataset)
    report = export(library, dataset, job, use=use, crop=PAD)
    assert report.counts["written"] == report.counts["removed"] == 0 and tree_of(dataset) == first
    next(library.rglob("sad-*.jpg")).unlink()
    sort(frames, library, job)
    assert export(library, dataset, job, use=use, crop=PAD).counts["exported"] == 3
    assert tree_of(dataset) != first
    undo(dataset, 1)
    assert not {name for name in tree_of(dataset) if not name.endswith("/")}


@pytest.mark.parametrize("use", [name for name, _ in layouts])
def test_provenance_says_where_a_dataset_came_from_and_names_no_folder(
    use: str, library: Path, dataset: Path, job: Job, tmp_path: Path
) -> None:
    export(library, dataset, job, use=use, crop=PAD, at="there")
    about = json.loads((dataset / "modelsheet.json").read_text(encoding="utf-8"))
    assert about["scheme"]["name"] == "test" and about["pictures"] == 4 and about["layout"] == use
    assert set(about["sorters"]) == {"direction", "mood"}
    assert about["crop"] == {"use": "pad", "size": 64, "enlarge": True, "fill": "#000000"}
    for path in dataset.rglob("*"):
        if path.is_file() and ".modelsheet" not in path.parts:
            assert str(tmp_path).encode() not in path.read_bytes()


@pytest.mark.parametrize("use", ["imagefolder", "kohya"])
def test_our_trainer_reads_the_same_pictures_and_masks(use: str, library: Path, dataset: Path, job: Job) -> None:
    from trainer.dataset import open_mask, read_dataset

    export(library, dataset, job, use=use, crop=PAD)
    about = json.loads((dataset / "modelsheet.json").read_text(encoding="utf-8"))
    read = read_dataset(dataset, 8)
    assert use == "kohya" or about["fingerprint"] == read.fingerprint()
    assert len(read.examples) == about["pictures"]
    for example in read.examples:
        mask = open_mask(example)
        assert mask is not None and (mask.getpixel((32, 3)), mask.getpixel((0, 32))) == (0, 255)


def test_kohyas_toml_has_documented_keys_and_leads_to_the_pictures(library: Path, dataset: Path, job: Job) -> None:
    export(library, dataset, job, use="kohya", crop=PAD, balance="direction")
    config = tomllib.loads((dataset / "dataset.toml").read_text(encoding="utf-8"))
    assert config["general"] == {"caption_extension": ".txt", "flip_aug": False, "shuffle_caption": False}
    (only,) = config["datasets"]
    assert only["resolution"] == 64
    tables = [("general", config["general"]), ("datasets", only), *(("subsets", one) for one in only["subsets"])]
    for name, table in tables:
        for key, value in table.items():
            assert type(value) is SCHEMA[name][key], key
    found = {Path(one["image_dir"]).name: one for one in only["subsets"]}
    assert set(found) == {"1_left", "3_front"}  # three pictures, and one
    assert found["3_front"]["num_repeats"] == 3 and found["1_left"]["keep_tokens"] == 2
    for name, one in found.items():
        assert Path(one["image_dir"]) == dataset / name
        pictures = {path.stem for path in (dataset / name).glob("*.png")}
        assert pictures == {path.stem for path in Path(one["conditioning_data_dir"]).iterdir()}


def test_sd_scripts_own_parser_takes_the_toml(library: Path, dataset: Path, job: Job) -> None:
    export(library, dataset, job, use="kohya", crop=PAD)
    export(library, dataset.with_name("plain"), job, use="kohya")
    parse(dataset / "dataset.toml", dataset.with_name("plain") / "dataset.toml")


def test_the_configs_of_the_others_lead_to_the_pictures(library: Path, tmp_path: Path, job: Job) -> None:
    import yaml

    how: dict[str, Any] = {"crop": PAD, "balance": "direction"}
    export(library, tmp_path / "one", job, use="onetrainer", **how)
    concepts = json.loads((tmp_path / "one" / "concepts.json").read_text(encoding="utf-8"))
    assert {one["name"]: one["balancing"] for one in concepts} == {"left": 1.0, "front": 3.0}
    assert not any(one["image"]["enable_random_flip"] for one in concepts)
    for one in concepts:
        pictures = {path.stem for path in Path(one["path"]).glob("*.png")}
        masked = {stem.removesuffix("-masklabel") for stem in pictures if stem.endswith("-masklabel")}
        assert masked and pictures == masked | {f"{stem}-masklabel" for stem in masked}

    export(library, tmp_path / "two", job, use="ai-toolkit", **how)
    for one in yaml.safe_load((tmp_path / "two" / "datasets.yaml").read_text(encoding="utf-8"))["datasets"]:
        assert (one["caption_ext"], one["flip_x"], one["resolution"]) == ("txt", False, [64])
        names = [{path.stem for path in Path(one[key]).glob("*.png")} for key in ("folder_path", "mask_path")]
        assert names[0] == names[1] != set()

    export(library, tmp_path / "three", job, use="simpletuner", **how)
    backends = json.loads((tmp_path / "three" / "multidatabackend.json").read_text(encoding="utf-8"))
    by_id = {one["id"]: one for one in backends}
    assert {one["dataset_type"] for one in backends} == {"image", "conditioning", "text_embeds"}
    assert {one["repeats"] for one in backends if one["dataset_type"] == "image"} == {0, 2}
    for one in backends:
        if one["dataset_type"] == "image":
            there = {path.stem for path in Path(one["instance_data_dir"]).glob("*.png")}
            mask = by_id[one["conditioning_data"]]
            assert there == {path.stem for path in Path(mask["instance_data_dir"]).glob("*.png")} != set()


@pytest.mark.parametrize("use", ["kohya", "ai-toolkit", "simpletuner"])
def test_what_is_trained_at_is_what_was_asked_for(
    use: str, library: Path, dataset: Path, project: Path, run_cli: Any
) -> None:
    """Of pictures that keep their shapes, whose size says nothing."""
    scheme = ("--scheme", project / "scheme.toml")
    how = ("--as", use, "--crop", "none", "--resolution", "1024")
    code, _, err = run_cli("export", library, "--to", dataset, *how, *scheme)
    assert (code, err) == (0, "")
    name = {"kohya": "dataset.toml", "ai-toolkit": "datasets.yaml", "simpletuner": "multidatabackend.json"}[use]
    config = (dataset / name).read_text(encoding="utf-8")
    assert "1024" in config and "512" not in config
    code, _, err = run_cli("export", library, "--to", dataset, "--as", "imagefolder", "--resolution", "1024", *scheme)
    assert code == 2 and '"resolution" is not a key' in err


def test_a_mask_is_white_where_the_picture_is(library: Path, dataset: Path, job: Job) -> None:
    """Of 40x32 in a square of 64: 64x51 in the middle, whichever way the picture was turned."""
    export(library, dataset, job, use="kohya", crop=PAD)
    for path in (dataset / "masks" / "1_mira").iterdir():
        with Image.open(path) as mask:
            assert mask.mode == "L" and mask.size == (64, 64)
            assert mask.getpixel((32, 3)) == mask.getpixel((32, 60)) == 0
            assert mask.getpixel((0, 32)) == mask.getpixel((63, 32)) == 255
            assert ImageOps.mirror(mask).tobytes() == mask.tobytes()
    export(library, dataset, job, use="kohya", crop=croppers.build("centre", size=16))
    assert not (dataset / "masks").exists()


def test_captions_are_one_line_and_never_a_file_of_no_bytes(library: Path, dataset: Path, job: Job) -> None:
    first = min(path for path in library.rglob("*.txt") if "doubtful" not in path.name)
    first.write_text("mira,\nsecond line\r\n\tthird", encoding="utf-8")
    export(library, dataset, job, use="kohya")
    written = {path.name: path.read_bytes() for path in (dataset / "1_mira").glob("*.txt")}
    assert written[first.name] == b"mira, second line, third\n"
    assert all(text.count(b"\n") == 1 for text in written.values())
    for caption, line in {"": "\n", " \n": "\n", "a\nb\u2028c\x1b": "a b c\n"}.items():
        assert Item("a", ".png", Render("ab"), caption, {}).line == line


def test_a_shard_of_which_nothing_changed_is_not_written_again(
    library: Path, dataset: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sorter.dataset.layouts.shards.PICTURES", 2)
    export(library, dataset, job, use="webdataset", crop=PAD)
    tars = sorted(dataset.glob("*.tar"))
    members = {}
    for path in tars:
        with tarfile.open(path) as file:
            members[path] = file.getnames()
    times = {path: path.stat().st_mtime_ns for path in tars}
    text = next(path for path in library.rglob("*.txt") if "doubtful" not in path.name)
    text.write_text("another caption", encoding="utf-8")
    export(library, dataset, job, use="webdataset", crop=PAD)
    changed = {path for path in tars if path.stat().st_mtime_ns != times[path]}
    assert changed == {path for path in tars if text.name in members[path]}


def test_an_export_that_was_cut_off_takes_up_the_shards_that_are_whole(library: Path, dataset: Path, job: Job) -> None:
    """One was written and not confirmed; of another, only a part lies beside its place."""
    export(library, dataset, job, use="webdataset", crop=PAD)
    (tar,) = dataset.glob("*.tar")
    whole, time = tar.read_bytes(), tar.stat().st_mtime_ns
    cut_off = tar.with_name(f".{tar.name}.0123abcd.modelsheet-part")
    cut_off.write_bytes(whole[:1000])
    with closing(sqlite3.connect(dataset / ".modelsheet" / "manifest.sqlite")) as db, db:
        db.execute("DELETE FROM placed")
        db.execute("UPDATE step SET done = 0")
    assert export(library, dataset, job, use="webdataset", crop=PAD).counts["written"] == 0
    assert not cut_off.exists()
    assert (tar.read_bytes(), tar.stat().st_mtime_ns) == (whole, time)


def test_a_picture_that_cannot_be_made_is_a_failure_and_the_shard_is_written_without_it(
    library: Path, dataset: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sorter.library import make

    path = next(library.rglob("front-*.png"))
    whole = make.read_if

    def gone(one: Path, sha256: str) -> bytes | None:
        return None if one == path else whole(one, sha256)

    monkeypatch.setattr(make, "read_if", gone)
    report = export(library, dataset, job, use="webdataset", crop=PAD)
    (failure,) = report.failures
    assert failure.path.name == path.name and "the original is gone" in failure.reason
    assert report.counts["exported"] == 3
    with tarfile.open(dataset / "train-000000.tar") as file:
        assert len({name.partition(".")[0] for name in file.getnames()}) == 3


def test_a_strangers_file_in_the_place_of_a_shard_is_left(library: Path, dataset: Path, job: Job) -> None:
    export(library, dataset, job, use="webdataset", crop=PAD)
    tar = dataset / "train-000000.tar"
    tar.write_bytes(b"mine")
    with pytest.raises(DatasetError, match="a file that is not ours stands there, so it was left; move it away"):
        export(library, dataset, job, use="webdataset")
    assert tar.read_bytes() == b"mine"


def test_pictures_that_are_enlarged_are_counted(library: Path, dataset: Path, job: Job) -> None:
    how: dict[str, Any] = {"dry_run": True}
    assert export(library, dataset, job, crop=PAD, **how).counts["enlarged, being smaller than asked for"] == 4
    small = croppers.build("centre", size=16)
    assert not export(library, dataset, job, crop=small, **how).counts["enlarged, being smaller than asked for"]


def test_pictures_with_too_few_pixels_are_left_small_unless_it_is_asked_for(
    library: Path, dataset: Path, job: Job
) -> None:
    report = export(library, dataset, job, crop=croppers.build("centre", size=64))
    assert report.counts["left small, having fewer pixels than asked for"] == report.counts["exported"] == 4
    assert not report.counts["enlarged, being smaller than asked for"]
    for path in dataset.rglob("*.png"):
        with Image.open(path) as image:
            assert image.size == (32, 32)


def test_an_unknown_axis_to_balance_is_a_sentence(library: Path, dataset: Path, job: Job) -> None:
    with pytest.raises(OptionsError, match='--balance: "moood" is not an axis; did you mean "mood"'):
        export(library, dataset, job, balance="moood")


def test_repeats_even_out_classes() -> None:
    assert repeats(["a"] * 100 + ["b"] * 40 + ["c"]) == {"a": 1, "b": 2, "c": 50}
    assert repeats([]) == {}


def test_shards_have_no_gap_and_stay_when_pictures_come() -> None:
    class One:
        def __init__(self, number: int) -> None:
            self.stem = f"x-{hashlib.sha256(str(number).encode()).hexdigest()[:10]}"

    many: list[Any] = [One(number) for number in range(5 * PICTURES)]
    shards = spread(many)
    assert len(shards) == 8 and all(shards) and sum(map(len, shards)) == len(many)
    fewer = spread(many[:-1])
    assert sum(before != after for before, after in zip(shards, fewer, strict=True)) == 1
    assert len(spread(many[:3])) == 1


def test_what_every_caption_begins_with_is_kept_in_front() -> None:
    class One:
        def __init__(self, line: str) -> None:
            self.line = line

    def kept(*lines: str) -> int:
        some: Iterator[Any] = map(One, lines)
        return kept_in_front(some)

    assert kept("mira, a, b", "mira, a, c") == 2
    assert kept("mira", "mary") == kept() == 0


@pytest.mark.parametrize("use", ["kohya", "ai-toolkit", "simpletuner"])
def test_the_size_of_buckets_arrives_in_the_trainers_config(use: str, tmp_path: Path, job: Job, shared: Path) -> None:
    """Nobody says --resolution: the trainer's buckets are as large as the cropper's; sd-scripts cuts nothing off."""
    sort(shared / "frames", tmp_path / "film", job)
    crop = croppers.build("bucket", size=768, largest=1536)
    export(tmp_path / "film", tmp_path / "dataset", job, use=use, crop=crop, doubtful=True)
    found = doctor(tmp_path / "dataset", trainers.build(use))
    assert found.examples
    for one in found.examples:
        assert one.fit is not None and one.fit.bucket[0] * one.fit.bucket[1] > 700**2
        assert use != "kohya" or one.fit.lost == 0
