"""`sorter export --validation` on scenes of real film frames: what is held out, and what trainers read of it."""

from __future__ import annotations

import json
import shutil
import tarfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from sorter.commands.answer import answer_all
from sorter.commands.doctor import doctor
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.commands.validation import Validation
from sorter.dataset.doctor import trainers
from sorter.dataset.layouts import Layout, layouts
from sorter.dataset.split import Member, divide
from sorter.errors import OptionsError
from sorter.fit.folds import near_pairs
from sorter.library.store.manifest import Manifest
from sorter.pictures.hashing import perceptual_hash
from sorter.tally import Report
from tests.sd_scripts import parse

NEIGHBOURS = 4
"""Frames of a scene."""
SHARE = 0.25
HOW = Validation(SHARE)
Row = tuple[str, str, bytes]
"""Name, caption, pixels."""


def neighbours(frame: Image.Image, count: int = NEIGHBOURS) -> list[Image.Image]:
    """The frame, and what stands next to it in a film: moved a little, and a little brighter."""
    wide, high = frame.size
    boxes = [(shift, shift, wide - 12 + shift, high - 8 + shift) for shift in range(0, 2 * count, 2)]
    return [
        ImageEnhance.Brightness(frame.crop(box).resize((320, 180))).enhance(1 + 0.02 * number)
        for number, box in enumerate(boxes)
    ]


def classes_of(scene: int) -> dict[str, str]:
    return {"mood": "happy" if scene % 3 else "sad", "direction": "front" if scene % 2 else "left"}


def scene_of(name: str) -> int:
    return int(Path(name).name.split("_")[1])


@pytest.fixture
def films(shared: Path) -> list[Image.Image]:
    """A picture a scene: quarters of real frames, none like another; the frames themselves are of few scenes."""
    paths = sorted((shared / "frames").glob("*.jpg"))
    frames = [Image.open(path).convert("RGB") for path in [*paths[:8], paths[18]]]
    boxes = [(0, top, 640, top + 360) for top in (0, 360)]
    right = [frames[0].crop((640, top, 1280, top + 360)) for top in (0, 360)]
    return [*right, *(frame.crop(box) for frame in frames for box in boxes)]


@pytest.fixture
def fill(tmp_path: Path, library: Path, job: Job) -> Callable[..., Path]:
    """Scenes, by their numbers, sorted into the library, with a person's answers about them."""

    def work(scenes: dict[int, Image.Image], count: int = NEIGHBOURS, classes: Any = classes_of) -> Path:
        for scene, frame in scenes.items():
            folder = tmp_path / "heap" / f"ep{scene % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            for number, picture in enumerate(neighbours(frame, count)):
                picture.save(folder / f"film_{scene:03}_{number}.png")
        sort(tmp_path / "heap", library, job)
        with Manifest(library) as manifest:
            given = [
                (picture.sha256, axis, name)
                for picture, _ in manifest.pictures({})
                for axis, name in classes(scene_of(picture.path)).items()
            ]
            answer_all(manifest, job, given, Report())
        sort(tmp_path / "heap", library, job)
        return library

    return work


def sides(dataset: Path) -> dict[str, set[str]]:
    """Part -> the names in its table."""
    return {
        part: {row["file_name"] for row in rows(dataset / part)} for part in ("train", "validation")
    }  # fmt: skip


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def pixels(source: Any) -> bytes:
    with Image.open(source) as image:
        return image.convert("RGB").tobytes()


def looks(path: Path) -> int:
    with Image.open(path) as image:
        return perceptual_hash(np.asarray(image.convert("RGB")))


def test_no_scene_is_on_both_sides_and_every_class_is(
    fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, job: Job
) -> None:
    library = fill(dict(enumerate(films)))
    report = export(library, tmp_path / "dataset", job, validation=HOW)
    found = sides(tmp_path / "dataset")
    scenes = {part: {scene_of(name) for name in names} for part, names in found.items()}
    assert scenes["train"] & scenes["validation"] == set()
    assert scenes["train"] | scenes["validation"] == set(range(len(films)))
    count = sum(map(len, found.values()))
    assert count == NEIGHBOURS * len(films)
    assert abs(len(found["validation"]) / count - SHARE) < 0.08
    for axis in ("mood", "direction"):
        shares = defaultdict(list)
        for part in found:
            for row in rows(tmp_path / "dataset" / part):
                shares[row[axis]].append(part)
        for name, parts in shares.items():
            assert abs(Counter(parts)["validation"] / len(parts) - SHARE) < 0.13, name
    hashes = {
        part: np.array([looks(tmp_path / "dataset" / part / name) for name in names], np.uint64)
        for part, names in found.items()
    }
    assert not len(near_pairs(hashes["validation"], hashes["train"])[0])
    assert report.notes[-1].startswith(f"held out for validation: {len(found['validation'])} of {count} pictures")


def test_the_same_is_held_out_again_whatever_the_format_and_other_seeds_hold_out_others(
    fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, job: Job
) -> None:
    library = fill(dict(enumerate(films[:12])))
    for name, how in {"one": HOW, "two": HOW, "three": HOW._replace(seed=1)}.items():
        export(library, tmp_path / name, job, validation=how)
    assert sides(tmp_path / "one") == sides(tmp_path / "two") != sides(tmp_path / "three")
    before = sides(tmp_path / "one")["validation"]
    assert export(library, tmp_path / "one", job, validation=HOW).counts["written"] == 0
    export(library, tmp_path / "one", job, use="onetrainer", validation=HOW)
    assert {path.name for path in (tmp_path / "one").rglob("*.png") if "validation" in path.parts} == before


def test_new_pictures_leave_the_others_on_their_side(
    fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, job: Job
) -> None:
    fill(dict(enumerate(films[:12])))
    for use in ("imagefolder", "webdataset"):
        export(tmp_path / "library", tmp_path / use, job, use=use, validation=HOW)
    before = sides(tmp_path / "imagefolder")
    library = fill(dict(enumerate(films)), NEIGHBOURS + 1)  # more scenes, and a frame more of each
    for use in ("imagefolder", "webdataset"):
        export(library, tmp_path / use, job, use=use, validation=HOW)
    after = sides(tmp_path / "imagefolder")
    assert all(before[part] <= after[part] for part in before)
    assert len(after["validation"]) > len(before["validation"]) + NEIGHBOURS
    scenes = {part: {scene_of(name) for name in names} for part, names in after.items()}
    assert scenes["train"] & scenes["validation"] == set()
    for part in before:
        members: set[str] = set()
        for path in (tmp_path / "webdataset").glob(f"{part}-*.tar"):
            with tarfile.open(path) as file:
                members |= set(file.getnames())
        assert before[part] <= members


@pytest.fixture
def truth(
    fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, job: Job
) -> tuple[Path, dict[bool, list[Row]]]:
    """A library, and what is to be held out of it: whether -> name, caption and pixels."""
    library = fill(dict(enumerate(films[:12])))
    export(library, tmp_path / "truth", job, validation=HOW)
    found = {
        part == "validation": sorted(
            (Path(row["file_name"]).stem, row["text"], pixels(tmp_path / "truth" / part / row["file_name"]))
            for row in rows(tmp_path / "truth" / part)
        )
        for part in ("train", "validation")
    }
    assert all(found.values())
    return library, found


@pytest.mark.parametrize("use", ["imagefolder", "webdataset", "parquet"])
def test_the_package_datasets_reads_both_parts(
    use: str, truth: Any, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    library, wanted = truth
    export(library, tmp_path / "dataset", job, use=use, validation=HOW, balance="mood")
    found = load_dataset(str(tmp_path / "dataset"), cache_dir=str(tmp_path / "cache"))
    assert set(found) == {"train", "validation"}
    text, picture = ("txt", "png") if use == "webdataset" else ("text", "image")
    for part, some in found.items():
        assert sorted((row[text], row[picture].convert("RGB").tobytes()) for row in some) == sorted(
            row[1:] for row in wanted[part == "validation"]
        )
        about = [row["json"] if use == "webdataset" else row for row in some]
        assert {row["repeats"] for row in about} == ({1} if part == "validation" else {1, 2})


CONFIGS = {
    "kohya": ("1_mira", "validation/mira"), "onetrainer": ("mira", "validation/mira"),
    "ai-toolkit": ("images/mira", "validation/mira"), "simpletuner": ("images/mira", "validation/mira"),
}  # fmt: skip
"""Layout -> the folder of what is trained on, and of what is held out."""


@pytest.mark.parametrize("use", CONFIGS)
def test_each_trainers_folders_hold_both_parts_and_the_doctor_reads_them(
    use: str, truth: Any, tmp_path: Path, job: Job
) -> None:
    library, wanted = truth
    export(library, tmp_path / "dataset", job, use=use, validation=HOW)
    for is_held_out, folder in enumerate(CONFIGS[use]):
        found = sorted(
            (path.stem, path.with_suffix(".txt").read_text(encoding="utf-8").rstrip("\n"), pixels(path))
            for path in (tmp_path / "dataset" / folder).glob("*.png")
        )
        assert found == wanted[bool(is_held_out)]
    said = doctor(tmp_path / "dataset", trainers.build(use, caption_extension=".txt") if use == "kohya" else
                  trainers.build(use))  # fmt: skip
    assert sorted((Path(one.path).stem, one.caption) for one in said.examples) == [row[:2] for row in wanted[False]]
    assert {one.repeats for one in said.examples} == {1}
    assert {kind.name for kind in said.by_kind()} <= {
        "picture is smaller than what is trained on, and enlarged", "size has too few pictures for a batch",
        "picture is smaller than what is trained on, and hardly enlarged",
    }  # fmt: skip
    if use == "ai-toolkit":
        assert (
            said.notes[1] == f"{len(wanted[True])} pictures in validation/ are held out: the trainer does not read them"
        )
    else:
        assert sorted((Path(one.path).stem, one.caption) for one in said.held_out) == [row[:2] for row in wanted[True]]


def test_the_configs_say_what_is_held_out(truth: Any, tmp_path: Path, job: Job) -> None:
    library, wanted = truth
    for use in CONFIGS:
        export(library, tmp_path / use, job, use=use, validation=HOW, balance="mood")
    config = tomllib.loads((tmp_path / "kohya" / "dataset.toml").read_text(encoding="utf-8"))
    train, held_out = config["datasets"]
    assert held_out["validation_split"] == 1.0 and "validation_split" not in train
    assert {Path(one["image_dir"]).name for one in held_out["subsets"]} == {"happy", "sad"}
    assert {tuple(one) for one in held_out["subsets"]} == {("image_dir",)}
    concepts = json.loads((tmp_path / "onetrainer" / "concepts.json").read_text(encoding="utf-8"))
    assert Counter(one["type"] for one in concepts) == {"STANDARD": 2, "VALIDATION": 2}
    backends = json.loads((tmp_path / "simpletuner" / "multidatabackend.json").read_text(encoding="utf-8"))
    assert Counter(one["dataset_type"] for one in backends) == {"image": 2, "eval": 2, "text_embeds": 1}
    for path in [
        *(one["image_dir"] for one in held_out["subsets"]),
        *(one["path"] for one in concepts if one["type"] == "VALIDATION"),
        *(one["instance_data_dir"] for one in backends if one["dataset_type"] == "eval"),
    ]:
        assert {path.stem for path in Path(path).glob("*.png")} <= {row[0] for row in wanted[True]} != set()
    text = (tmp_path / "ai-toolkit" / "datasets.yaml").read_text(encoding="utf-8")
    assert "validation/" in text.split("datasets:")[0] and "validation" not in text.split("datasets:")[1]


def test_sd_scripts_own_parser_takes_the_toml(truth: Any, tmp_path: Path, job: Job) -> None:
    export(truth[0], tmp_path / "dataset", job, use="kohya", validation=HOW)
    parse(tmp_path / "dataset" / "dataset.toml")


def test_the_trainer_trains_on_what_is_not_held_out(truth: Any, tmp_path: Path) -> None:
    from trainer.dataset import read_dataset

    _, wanted = truth
    found = read_dataset(tmp_path / "truth", 8)
    assert sorted((one.path.stem, one.caption) for one in found.examples) == [row[:2] for row in wanted[False]]
    about = json.loads((tmp_path / "truth" / "modelsheet.json").read_text(encoding="utf-8"))
    assert about["fingerprint"] == found.fingerprint() and about["pictures"] == len(wanted[False])
    assert about["validation"]["pictures"] == len(wanted[True]) and about["validation"]["share"] == SHARE


def test_diffusers_scripts_would_train_on_both_parts_and_are_warned_of(truth: Any, tmp_path: Path) -> None:
    _, wanted = truth
    said = doctor(tmp_path / "truth", trainers.build("diffusers", resolution=128))
    assert [(kind.name, one.detail) for kind, (one, *_) in said.by_kind().items()] == [
        ("more than a quarter of the picture is cut off", "44%"),
        ("what is held out for validation is trained on", f"{len(wanted[True])} pictures"),
    ]
    said = doctor(tmp_path / "truth" / "train", trainers.build("diffusers", resolution=128))
    assert len(said.examples) == len(wanted[False]) and len(said.by_kind()) == 1


def test_an_export_without_it_trains_on_all_again(truth: Any, tmp_path: Path, job: Job) -> None:
    library, wanted = truth
    export(library, tmp_path / "truth", job)
    assert len(rows(tmp_path / "truth")) == sum(map(len, wanted.values()))
    assert not (tmp_path / "truth" / "validation").exists() and not (tmp_path / "truth" / "train").exists()


def test_a_class_of_one_scene_is_trained_on_and_said(
    fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, run_cli: Any, project: Path
) -> None:
    library = fill(
        dict(enumerate(films[:6])), classes=lambda scene: {"mood": "happy" if scene else "sad", "direction": "front"}
    )
    to = tmp_path / "dataset"
    scheme = ("--scheme", project / "scheme.toml")
    code, out, _ = run_cli("export", library, "--to", to, "--validation", "0.2", *scheme)
    assert code == 0
    assert "none is held out of mood sad: their pictures are of one scene, or of scenes that other classes need" in out
    assert {row["mood"] for row in rows(to / "validation")} == {"happy"}
    assert {row["mood"] for row in rows(to / "train")} == {"happy", "sad"}


@pytest.mark.parametrize("group", ["folder", "{group}/*", "video"])
def test_what_else_belongs_together_stays_together(
    group: str, fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, job: Job
) -> None:
    library = fill(dict(enumerate(films[:12])))
    if group == "video":
        for path in (tmp_path / "heap").rglob("*.png"):
            scene, number = scene_of(path.name), int(path.stem[-1])
            path.rename(path.with_name(f"film_{scene:03}_00-00-0{number}-000.png"))
        shutil.rmtree(library)
        library = fill(dict(enumerate(films[:2])), 0)
    export(library, tmp_path / "dataset", job, validation=HOW._replace(group=group), doubtful=True)
    parts = {
        part: {scene_of(name) if group == "video" else scene_of(name) % 4 for name in names}
        for part, names in sides(tmp_path / "dataset").items()
    }
    assert parts["train"] & parts["validation"] == set() and all(parts.values())


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.1", "nan"])
def test_what_is_no_share_is_a_sentence(share: str, run_cli: Any, frames: Path, library: Path, project: Path) -> None:
    scheme = ("--scheme", project / "scheme.toml")
    run_cli("sort", frames, "--to", library, *scheme)
    code, out, err = run_cli("export", library, "--to", library.with_name("set"), "--validation", share, *scheme)
    assert (code, out) == (2, "")
    assert err == f"sorter: --validation: {share} is no share; give a number between 0 and 1, such as 0.1\n"
    assert not library.with_name("set").exists()


def test_what_cannot_be_held_out_is_a_sentence(
    fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, run_cli: Any, project: Path
) -> None:
    library = fill({0: films[0]})
    call = ("export", library, "--to", tmp_path / "set", "--scheme", project / "scheme.toml", "--validation")
    code, _, err = run_cli(*call, "a tenth")
    assert code == 2 and "'a tenth' is not a valid float" in err
    code, _, err = run_cli(*call, "0.5")
    assert code == 2 and err == (
        f"sorter: {library}: all 4 pictures are of one scene, and one cannot be on both sides; export without "
        "--validation, or say by --group what belongs together\n"
    )
    assert not (tmp_path / "set").exists()
    fill({1: films[1]})
    code, _, err = run_cli(*call, "0.5")
    assert code == 2 and "each of its 2 scenes is the only one of some class, which is to be trained on; export" in err
    code, _, err = run_cli(*call, "0.5", "--group", "{group}#")
    assert code == 2 and 'group "{group}#" does not fit "ep' in err
    code, _, err = run_cli(*call[:-1], "--group", "folder")
    assert code == 2 and "--group and --seed say how --validation holds out; give that, too" in err


def test_a_share_that_sd_scripts_draws_itself_is_warned_of(tmp_path: Path, grow: Any) -> None:
    config = '[[datasets]]\nvalidation_split = {}\n[[datasets.subsets]]\nimage_dir = "x"\n'
    for share, is_warned in {"0.2": True, "1.0": False, "[1]": False, '"a"': False}.items():
        tree = {"dataset.toml": config.format(share), "x": {"a.png": Image.new("RGB", (512, 512)), "a.caption": "a\n"}}
        said = doctor(grow(tmp_path / "dataset", tree), trainers.build("kohya"))
        assert any("neighbours of one scene" in note for note in said.notes) == is_warned


def test_pictures_that_are_damaged_are_named_and_none_that_can_be_read_is_a_sentence(
    fill: Callable[..., Path], films: list[Image.Image], tmp_path: Path, run_cli: Any, project: Path
) -> None:
    library = fill(dict(enumerate(films[:4])), 1, lambda scene: {"mood": "happy", "direction": "front"})
    call = ("export", library, "--to", tmp_path / "set", "--validation", "0.3", "--scheme", project / "scheme.toml")
    first, *others = sorted(path for path in library.rglob("*.png"))
    first.write_bytes(first.read_bytes()[:2000])
    code, out, _ = run_cli(*call)
    assert code == 1 and first.name in out and "3 exported" in out
    for path in others:
        path.write_bytes(b"nothing")
    code, _, err = run_cli(*call)
    assert code == 2 and len(err.splitlines()) == 1 and str(library) in err


def test_a_layout_that_keeps_nothing_apart_is_refused(frames: Path, library: Path, job: Job, tmp_path: Path) -> None:
    class Plain(Layout):
        """A stranger's."""

    with pytest.raises(OptionsError, match="--validation: --as plain keeps nothing apart, so all would be trained on"):
        HOW.check("plain", Plain())
    assert all(plugin.holds_out for _, plugin in layouts)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab"), st.sampled_from("xyz")), min_size=2, max_size=60),
    st.floats(0.05, 0.6),
    st.integers(0, 3),
)
def test_groups_are_whole_classes_are_trained_on_and_sides_are_kept(
    pictures: list[tuple[int, str, str]], share: float, seed: int
) -> None:
    members = [
        Member(f"{number:064x}", (("one", first), ("two", second)), group)
        for number, (group, first, second) in enumerate(pictures)
    ]
    found = divide(members, share, seed)
    assert found == divide(members[::-1], share, seed)
    by_side = defaultdict(set)
    for member in members:
        by_side[member.sha256 in found.held_out].add(member.group)
    assert by_side[True] & by_side[False] == set()
    groups = defaultdict(set)
    for member in members:
        for one in member.classes:
            groups[one].add(member.group)
    for one, numbers in groups.items():
        assert numbers & by_side[False], "every class is trained on"
        assert (one in found.one_sided) == (not numbers & by_side[True])
    more = [member._replace(held_out=member.sha256 in found.held_out) for member in members]
    more += [Member(f"{number:064x}", (("one", "a"), ("two", "x")), 100 + number % 7) for number in range(900, 930)]
    again = divide(more, share, seed)
    assert found.held_out <= again.held_out and again.moved == 0
    assert not {member.sha256 for member in members} - found.held_out & again.held_out


def test_a_group_that_has_grown_into_one_that_is_trained_on_is_trained_on() -> None:
    members = [
        Member(f"{n:064x}", (("a", "x"),), n // 2, held) for n, held in enumerate([True, False, True, True, None])
    ]
    found = divide(members, 0.5)
    assert found.moved == 1 and {int(one, 16) for one in found.held_out} == {2, 3}


def test_classes_have_their_share_where_groups_are_many() -> None:
    draw = np.random.default_rng(0)
    members = [
        Member(f"{n:064x}", (("a", "xyz"[draw.choice(3, p=(0.9, 0.09, 0.01))]), ("b", "uv"[draw.integers(2)])), n // 5)
        for n in range(10_000)
    ]
    found = divide(members, 0.1)
    for one in (("a", "x"), ("a", "y"), ("a", "z"), ("b", "u"), ("b", "v")):
        of = [member.sha256 in found.held_out for member in members if one in member.classes]
        assert abs(sum(of) / len(of) - 0.1) < 0.03, one
    assert abs(len(found.held_out) / 10_000 - 0.1) < 0.01
