"""A small dataset for each trap that a trainer sets, and what the doctor says of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sorter.commands.doctor import doctor
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.dataset.doctor import Diagnosis, trainers
from sorter.dataset.doctor.base import MOST_TOKENS
from sorter.errors import DatasetError, OptionsError

Grow = Callable[..., Path]
NAMES = ("kohya", "diffusers", "onetrainer", "ai-toolkit", "simpletuner")


def picture(width: int = 512, height: int = 512, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (width, height), 200)


@pytest.fixture
def ask(tmp_path: Path, grow: Grow) -> Callable[..., Diagnosis]:
    """What a trainer will make of a tree of files."""

    def run(name: str, tree: dict[str, Any], **options: Any) -> Diagnosis:
        return doctor(grow(tmp_path / "dataset", tree), trainers.build(name, **options))

    return run


def said(found: Diagnosis) -> dict[str, list[str]]:
    """Kind -> the files."""
    return {kind.name: sorted(one.path for one in some) for kind, some in found.by_kind().items()}


def test_a_good_dataset_of_kohyas_is_resolved_picture_by_picture(ask: Callable[..., Diagnosis]) -> None:
    found = ask("kohya", {"10_mira": {"a.png": picture(1920, 1080), "a.txt": "mira, left\n"}}, caption_extension=".txt")
    assert not found.findings and not found.fails
    (example,) = found.examples
    assert (example.path, example.caption, example.repeats) == ("10_mira/a.png", "mira, left", 10)
    assert example.fit.bucket == (640, 384) and round(example.fit.lost, 3) == 0.063
    assert found.buckets() == {(640, 384): 10}


def test_kohya_reads_no_txt_by_default(ask: Callable[..., Diagnosis]) -> None:
    found = ask("kohya", {"10_mira girl": {"a.png": picture(), "a.txt": "mira\n"}})
    assert said(found) == {"caption is never read": ["10_mira girl/a.txt"]} and found.fails
    assert found.examples[0].caption == "mira girl"  # the folder's own words


def test_kohyas_folders(ask: Callable[..., Diagnosis]) -> None:
    inner = {"deep": {"c.png": picture()}, "d.Png": picture()}
    tree = {"a.png": picture(), "mira": {"b.png": picture()}, "2_mira": inner}
    found = ask("kohya", tree)
    assert said(found) == {
        "no pictures to train on": ["."],
        "picture lies beside the folders of repeats": ["a.png"],
        "folder's name begins with no number of repeats": ["mira"],
        "picture lies in a folder that is not read": ["2_mira/d.Png", "2_mira/deep/c.png"],
    }


def test_kohyas_captions(ask: Callable[..., Diagnosis]) -> None:
    captions = {"empty": b"", "blank": b"\nmira\n", "two": b"mira\nsecond\n", "latin": "h\xf6\n".encode("latin-1"),
                "nothing": b"\n", "long": b"mira, " * 2000}  # fmt: skip
    tree: dict[str, Any] = {f"{name}.caption": text for name, text in captions.items()}
    found = ask("kohya", {"1_x": tree | {f"{name}.png": picture() for name in (*captions, "none")}})
    assert said(found) == {
        "caption file has no bytes": ["1_x/empty.caption"],
        "caption is empty": ["1_x/nothing.caption"],
        "caption is not UTF-8": ["1_x/latin.caption"],
        "caption is cut at 75 tokens": ["1_x/long.png"],
        "caption's first line is blank": ["1_x/blank.caption"],
        "caption has several lines": ["1_x/two.caption"],
        "picture has its folder's name for a caption": ["1_x/none.png"],
    }
    assert {one.path: one.caption for one in found.examples}["1_x/two.png"] == "mira"


def test_kohya_takes_the_caption_of_a_shorter_name(ask: Callable[..., Diagnosis]) -> None:
    found = ask("kohya", {"1_x": {"ep_1_2_3_4.png": picture(), "ep.caption": "whole picture"}})
    assert found.examples[0].caption == "whole picture"
    assert said(found) == {"picture has the caption of a shorter name": ["1_x/ep_1_2_3_4.png"]}


def test_pictures_that_are_trained_on_otherwise_than_they_look(ask: Callable[..., Diagnosis]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tree: dict[str, Any] = {
        "alpha.png": picture(mode="RGBA"), "deep.png": Image.fromarray(np.full((512, 512), 9, np.uint16)),
        "small.png": picture(100, 100), "strip.png": picture(5120, 512), "same.png": picture(), "same.jpg": picture(),
        "broken.png": b"no picture",
    }  # fmt: skip
    found = ask("kohya", {"1_x": tree})
    assert {kind: paths for kind, paths in said(found).items() if "caption" not in kind} == {
        "picture cannot be read": ["1_x/broken.png"],
        "picture is transparent": ["1_x/alpha.png"],
        "picture has 16 bits a colour": ["1_x/deep.png"],
        "picture is smaller than what is trained on, and enlarged": ["1_x/small.png"],
        "more than a quarter of the picture is cut off": ["1_x/strip.png"],
        "pictures share a name": ["1_x/same.png"],
    }


def test_kohya_ignores_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "1_x").mkdir()
    picture(1024, 512).save(tmp_path / "1_x" / "a.jpg", exif=exif)
    found = doctor(tmp_path, trainers.build("kohya"))
    assert "picture is turned by EXIF, which is ignored" in said(found)
    assert found.examples[0].fit.bucket[0] > found.examples[0].fit.bucket[1]
    upright = doctor(tmp_path / "1_x", trainers.build("onetrainer"))
    assert upright.examples[0].fit.bucket[0] < upright.examples[0].fit.bucket[1]


def test_a_strip_that_no_bucket_takes_stops_kohya(ask: Callable[..., Diagnosis]) -> None:
    found = ask("kohya", {"1_x": {"strip.png": picture(5000, 50)}}, no_upscale=True)
    assert "picture is too narrow for any size" in said(found) and found.fails


def test_a_latent_cache_older_than_its_picture(tmp_path: Path, grow: Grow) -> None:
    folder = grow(tmp_path, {"1_x": {
        "a.png": picture(), "a_0512x0512_sd.npz": b"", "b.png": picture(), "b.npz": b"", "gone_0512x0512_sdxl.npz": b"",
    }}) / "1_x"  # fmt: skip
    for name, time in {"a.png": 2, "a_0512x0512_sd.npz": 1, "b.png": 1, "b.npz": 2}.items():
        os.utime(folder / name, (time, time))
    found = said(doctor(tmp_path, trainers.build("kohya")))
    assert found["latent cache is older than its picture"] == ["1_x/a_0512x0512_sd.npz"]
    assert found["latent cache has no picture"] == ["1_x/gone_0512x0512_sdxl.npz"]


def test_flipping_and_captions_that_name_a_side(ask: Callable[..., Diagnosis]) -> None:
    tree = {"a.png": picture(), "a.txt": "mira, facing_left", "b.png": picture(), "b.txt": "a leftover, bright"}
    for name in ("onetrainer", "ai-toolkit", "simpletuner"):
        found = said(ask(name, tree, flip=True))
        assert found["caption names a side, and pictures are flipped"] == ["a.png"]
        assert found["pictures are flipped at random"] == ["."]


def test_sizes_with_too_few_pictures_for_a_batch(ask: Callable[..., Diagnosis]) -> None:
    tree: dict[str, Any] = {f"{name}.txt": name for name in "abc"}
    tree |= {"a.png": picture(), "b.png": picture(1024, 512), "c.png": picture()}
    for name, fails in {"onetrainer": True, "simpletuner": True, "ai-toolkit": False}.items():
        found = ask(name, tree, batch_size=2)
        (few,) = [one for one in found.findings if "too few" in one.kind.name]
        assert few.detail == "1 of 2" and found.fails is fails, name


def test_what_diffusers_makes_of_a_table(ask: Callable[..., Diagnosis]) -> None:
    rows = [{"file_name": "a.png", "text": "mira"}, {"file_name": "gone.png", "text": "x"}, {"file_name": "b.png"},
            {"file_name": "a.png", "text": "again"}, {"file_name": "c.png", "text": ""}]  # fmt: skip
    table = "".join(json.dumps(row) + "\n" for row in rows) + "no json\n"
    tree = {name: picture(1024, 512) for name in ("a.png", "b.png", "c.png")}
    found = ask("diffusers", tree | {"metadata.jsonl": table})
    assert said(found) == {
        "row names a file that is not there": ["gone.png"],
        "row cannot be used": ["metadata.jsonl, line 3", "metadata.jsonl, line 6"],
        "picture has no row": ["b.png"],
        "picture has several rows": ["a.png"],
        "more than a quarter of the picture is cut off": ["a.png", "c.png"],
        "caption is empty": ["c.png"],
    }
    assert found.examples[0].fit.scaled == (1024, 512) and found.examples[0].fit.bucket == (512, 512)


def test_diffusers_needs_a_table(ask: Callable[..., Diagnosis]) -> None:
    found = ask("diffusers", {"a.png": picture(), "a.txt": "mira"})
    assert "no metadata.jsonl" in said(found) and found.fails


def test_onetrainer(ask: Callable[..., Diagnosis]) -> None:
    tree = {"a.png": picture(), "a-masklabel.png": picture(), "a.txt": "one\ntwo\n", "b.png": picture(),
            "deep": {"c.png": picture(), "c.txt": "c"}}  # fmt: skip
    found = ask("onetrainer", tree)
    assert said(found) == {
        "picture lies in a folder that is not read": ["deep/c.png"],
        "caption has several lines": ["a.txt"],
        "picture has no caption": ["b.png"],
    }
    assert [one.path for one in found.examples] == ["a.png", "b.png"]
    assert ask("onetrainer", tree, subfolders=True).examples[-1].path == "deep/c.png"


def test_ai_toolkit(ask: Callable[..., Diagnosis]) -> None:
    tree = {"a.webp": picture(), "a.txt": "a", "masks": {"a.png": picture(), "a.txt": "m"}, "b.bmp": picture(),
            "small.png": picture(200, 100), "small.txt": "s"}  # fmt: skip
    found = ask("ai-toolkit", tree)
    assert said(found) == {
        "picture is of a format that is not read": ["b.bmp"],
        "mask would be trained on as a picture": ["masks/a.png"],
        "WebP picture": ["a.webp"],
        "picture is smaller than what is trained on, and hardly enlarged": ["small.png"],
        "picture is smaller than what is trained on, and enlarged": ["small.png"],  # 1.28 times: its sizes are coarse
        "more than a quarter of the picture is cut off": ["small.png"],
    }
    assert {one.path: one.fit.bucket for one in found.examples}["small.png"] == (256, 64)


def test_simpletuner(ask: Callable[..., Diagnosis]) -> None:
    tree = {"a.png": picture(1920, 1080), "a.txt": "a\nb\n", "b.png": picture(300, 300)}
    found = ask("simpletuner", tree, minimum=400)
    assert said(found) == {
        "picture has no caption": ["b.png"],
        "picture is smaller than minimum_image_size": ["b.png"],
        "picture is smaller than what is trained on, and enlarged": ["b.png"],
        "caption has several lines": ["a.txt"],
    }
    assert found.fails and {one.path: one.fit.bucket for one in found.examples}["a.png"] == (704, 384)


@pytest.mark.parametrize("name", NAMES)
def test_what_we_export_is_in_order(name: str, tmp_path: Path, frames: Path, job: Job) -> None:
    from sorter.dataset.croppers import croppers

    sort(frames, tmp_path / "library", job)
    use = "imagefolder" if name == "diffusers" else name
    crop = croppers.build("pad", size=512, enlarge=True)
    export(tmp_path / "library", tmp_path / "dataset", job, use=use, crop=crop, balance="mood", at="/elsewhere/dataset")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").rglob("*")}
    found = doctor(tmp_path / "dataset", trainers.build(name))
    assert not found.findings, said(found)
    assert len(found.examples) == 4 and {one.fit.bucket for one in found.examples} == {(512, 512)}
    assert all(one.caption.startswith("mira, ") for one in found.examples)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "dataset").rglob("*")}


@pytest.mark.parametrize(
    ("name", "config", "text"),
    [
        ("kohya", "mine.toml", '[[datasets]]\n[[datasets.subsets]]\nimage_dir = "{}"\ncaption_extension = ".txt"\n'),
        ("onetrainer", "concepts.json", '[{{"path": "{}"}}]'),
        ("ai-toolkit", "datasets.yaml", 'datasets:\n  - folder_path: "{}"\n'),
        ("simpletuner", "multidatabackend.json", '[{{"instance_data_dir": "{}"}}]'),
    ],
)
@pytest.mark.parametrize("place", ["/home/me/dataset", "E:/sets/dataset", "."])
def test_a_config_may_name_the_folder_that_it_lies_in(
    name: str, config: str, text: str, place: str, ask: Callable[..., Diagnosis]
) -> None:
    found = ask(name, {"a.png": picture(), "a.txt": "mira", config: text.format(place)})
    assert [one.path for one in found.examples] == ["a.png"] and not found.fails


def test_a_toml_whose_folders_are_not_there(ask: Callable[..., Diagnosis]) -> None:
    toml = "[[datasets]]\nresolution = 768\nbatch_size = 4\n"
    toml += '[[datasets.subsets]]\nimage_dir = "/x/pics"\nflip_aug = true\n'
    missing = '[[datasets.subsets]]\nimage_dir = "gone"\n'
    tree = {"any.toml": toml + missing, "pics": {"a.png": picture(768, 768), "a.caption": "left"}}
    found = ask("kohya", tree)
    assert {"dataset TOML cannot be used", "caption names a side, and pictures are flipped"} <= said(found).keys()
    assert found.buckets() == {(768, 768): 1}
    assert any("1 of 4" in one.detail for one in found.findings)


def test_tokens_are_counted_by_a_models_own_tokenizer(tmp_path: Path, grow: Grow) -> None:
    """A vocabulary of letters: every letter is a token."""
    letters = [f"{letter}{end}" for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    vocabulary = {token: number for number, token in enumerate(["<|startoftext|>", "<|endoftext|>", *letters])}
    base = {"tokenizer": {"vocab.json": json.dumps(vocabulary), "merges.txt": "#version: 0.2\n"}}
    word = "a" * (MOST_TOKENS + 1)
    folder = grow(tmp_path / "dataset", {"1_x": {"a.png": picture(), "a.caption": word}})
    assert "caption is cut at 75 tokens" not in said(doctor(folder, trainers.build("kohya")))
    found = doctor(folder, trainers.build("kohya"), grow(tmp_path / "base", base))
    assert said(found) == {"caption is cut at 75 tokens": ["1_x/a.png"]} and found.findings[0].detail == "76 tokens"
    with pytest.raises(DatasetError, match=r"has no tokenizer/vocab\.json"):
        doctor(folder, trainers.build("kohya"), tmp_path)


def test_the_command(tmp_path: Path, grow: Grow, run_cli: Any) -> None:
    folder = grow(tmp_path / "d\x1b[31m", {"1_x": {"a.png": picture(1024, 512), "a.txt": "mira <b>"}})
    code, out, _ = run_cli("doctor", folder, "--for", "kohya", "--report", tmp_path / "report.html")
    assert code == 1 and "left out: 1 x caption is never read" in out and "\x1b" not in out
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count("<img") == 1 and "caption is never read" in html and "\x1b" not in html
    code, out, _ = run_cli("doctor", folder, "--for", "kohya", "--caption-extension", ".txt", "--json")
    data = json.loads(out)
    assert code == 0 and data["pictures"][0]["bucket"] == [704, 320] and not data["fails"]
    code, out, _ = run_cli("doctor", folder, "--for", "kohya", "--set", "no_upscale=true", "--set", "step=32", "--json")
    assert json.loads(out)["pictures"][0]["bucket"] == [704, 352]
    code, _, err = run_cli("doctor", folder, "--for", "koya")
    assert code == 2 and '"koya" is not a trainer; did you mean "kohya"' in err
    code, _, err = run_cli("doctor", tmp_path / "gone", "--for", "kohya")
    assert code == 2 and "there is no such folder" in err


def test_settings_of_another_trainer_are_refused() -> None:
    with pytest.raises(OptionsError, match="caption_extension"):
        trainers.build("diffusers", "--for", caption_extension=".txt")


@pytest.mark.parametrize("key", ["resolution = 40", "batch_size = 0", "resolution = 100000"])
def test_a_toml_that_no_trainer_could_follow_is_a_finding(key: str, ask: Callable[..., Diagnosis]) -> None:
    toml = f'[[datasets]]\n{key}\n[[datasets.subsets]]\nimage_dir = "x"\n'
    found = ask("kohya", {"dataset.toml": toml, "x": {"a.png": picture(), "a.caption": "a"}})
    assert said(found) == {"dataset TOML cannot be used": ["dataset.toml"]} and found.fails
    assert found.findings[0].detail.startswith(f"{key}: Input should be ")
