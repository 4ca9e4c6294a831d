"""Whatever is damaged in a base, a run or a dataset: one sentence and exit code 2, by check as by train."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

import trainer.cli
from trainer.buckets import fitted
from trainer.cli import cli

WriteConfig = Callable[..., Path]
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda data: data[: len(data) // 2],
    "an empty table": lambda _: b"{}",
    "an empty list": lambda _: b"[]",
    "a web page": lambda _: b"<!DOCTYPE html><html></html>",
    "nested": lambda _: b"[" * 100_000,
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command's way of showing warnings is for a process of its own."""
    import diffusers
    import transformers

    monkeypatch.setattr(trainer.cli, "_need_torch", lambda: None)
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def assert_a_sentence(result: Result, *codes: int) -> None:
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in codes, result.output
    if result.exit_code == 2:
        said = result.output.strip()
        assert said.startswith("trainer: ") and "\n" not in said and "Traceback" not in said


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("damage", [*DAMAGES, "gone"])
def test_a_damaged_base_is_a_sentence(
    base_folder: Path, write_config: WriteConfig, tmp_path: Path, damage: str
) -> None:
    config = write_config()
    text = config.read_text()
    for number, name in enumerate(files_of(base_folder)):
        base = tmp_path / f"base{number}"
        shutil.copytree(base_folder, base)
        if damage == "gone":
            (base / name).unlink()
        else:
            (base / name).write_bytes(DAMAGES[damage]((base / name).read_bytes()))
        config.write_text(text.replace(str(base_folder), str(base)).replace(base_folder.as_posix(), base.as_posix()))
        checked, trained = invoke("check", config), invoke("train", config)
        assert_a_sentence(checked, 0, 2)
        assert_a_sentence(trained, 0, 2)
        assert trained.exit_code == 0 or checked.exit_code == 2, (name, damage, checked.output, trained.output)
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.rmtree(base)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("damage", [*DAMAGES, "gone"])
def test_a_damaged_run_is_a_sentence(write_config: WriteConfig, tmp_path: Path, damage: str) -> None:
    assert invoke("train", write_config()).exit_code == 0
    whole = tmp_path / "run"
    shutil.copytree(whole, tmp_path / "whole")
    for name in files_of(whole):
        if name.startswith(("tensorboard", "previews", "trained")) or name == "train.toml":
            continue
        path = whole / name
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(DAMAGES[damage](path.read_bytes()))
        assert_a_sentence(invoke("resume", whole, "--steps", 5), 0, 2)
        shutil.rmtree(whole)
        shutil.copytree(tmp_path / "whole", whole)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("damage", [*DAMAGES, "gone", "a folder"])
def test_a_damaged_dataset_is_a_sentence(write_config: WriteConfig, dataset_folder: Path, damage: str) -> None:
    path = dataset_folder / "metadata.jsonl"
    data = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "gone":
        path.write_bytes(DAMAGES[damage](data))
    for command in ("check", "train"):
        assert_a_sentence(invoke(command, write_config()), 2)


@pytest.mark.filterwarnings("ignore")
def test_check_refuses_what_train_refuses(write_config: WriteConfig, base_folder: Path) -> None:
    for options, said in (
        ({"method": {"use": "lora", "targets": ["to_q", "to_nothing"]}}, "to_nothing"),
        ({"method": {"use": "lora", "targets": ["norm1"]}}, "norm1"),
        ({"precision": "fp16"}, "needs a CUDA GPU"),
    ):
        config = write_config(**options)
        for command in ("check", "train"):
            result = invoke(command, config)
            assert_a_sentence(result, 2)
            assert said in result.output, result.output
    config = write_config()
    assert invoke("train", config).exit_code == 0
    assert "there is a run in it already" in invoke("check", config).output


@pytest.mark.filterwarnings("ignore")
def test_check_counts_captions(write_config: WriteConfig, dataset_folder: Path) -> None:
    path = dataset_folder / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row, text in zip(rows, ("a, " * 60, "  ", "mira", "mira", "mira"), strict=True):
        row["text"] = text
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = json.loads(invoke("check", write_config(), "--json").output)
    assert (found["cut_captions"], found["empty_captions"]) == (1, 1)


@pytest.mark.parametrize("name", ["model.safetensors", "v1-5-pruned.ckpt"])
def test_a_single_file_is_called_that(write_config: WriteConfig, base_folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"weights")
    config = write_config()
    text = config.read_text()
    config.write_text(text.replace(base_folder.as_posix(), (tmp_path / name).as_posix()))
    result = invoke("check", config)
    assert_a_sentence(result, 2)
    assert "is a single file, and base is a folder" in result.output


@pytest.mark.filterwarnings("ignore")
def test_a_base_of_which_there_are_only_16_bits_loads(
    write_config: WriteConfig, base_folder: Path, tmp_path: Path
) -> None:
    base = tmp_path / "half"
    shutil.copytree(base_folder, base)
    for path in base.rglob("*.safetensors"):
        path.rename(path.with_name(f"{path.stem}.fp16.safetensors"))
    config = write_config()
    config.write_text(config.read_text().replace(base_folder.as_posix(), base.as_posix()))
    for command in ("check", "train"):
        assert invoke(command, config).exit_code == 0


@pytest.mark.parametrize(
    ("picture", "side", "scaled", "size"),
    [
        ((512, 512), 512, (512, 512), (512, 512)),
        ((700, 700), 512, (700, 700), (696, 696)),
        ((4000, 3000), 64, (74, 55), (72, 48)),
        ((1920, 1080), 512, (683, 384), (680, 384)),
        ((100, 8000), 512, (57, 4579), (56, 4576)),
        ((30_000, 10), 64, (3505, 8), (3504, 8)),
    ],
)
def test_large_pictures_are_scaled_to_the_bases_area(
    picture: tuple[int, int], side: int, scaled: tuple[int, int], size: tuple[int, int]
) -> None:
    assert fitted(picture, side, 8) == (scaled, size)


@pytest.mark.filterwarnings("ignore")
def test_a_large_picture_is_trained_on_scaled_and_said(write_config: WriteConfig, dataset_folder: Path) -> None:
    path = next(dataset_folder.glob("*.png"))
    Image.new("RGB", (400, 300), (9, 9, 200)).save(path)
    found: dict[str, Any] = json.loads(invoke("check", write_config(), "--json").output)
    assert found["scaled_down"] == 1 and "400x296" not in found["sizes"]
    assert invoke("train", write_config()).exit_code == 0
