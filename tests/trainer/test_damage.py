"""Whatever is damaged in a base, a run or a dataset: one sentence and exit code 2, by check as by train."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

import trainer.cli
from trainer.buckets import Cut
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

    for module in (trainer.cli.training, trainer.cli.drawing):
        monkeypatch.setattr(module, "need_torch", lambda: None)
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
    said = "is a pickle, which may run programs" if name.endswith(".ckpt") else "is no .safetensors file, or is damaged"
    assert said in result.output


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
    assert Cut(8, side).of(picture) == (scaled, size)


@pytest.mark.filterwarnings("ignore")
def test_a_large_picture_is_trained_on_scaled_and_said(write_config: WriteConfig, dataset_folder: Path) -> None:
    path = next(dataset_folder.glob("*.png"))
    Image.new("RGB", (400, 300), (9, 9, 200)).save(path)
    found: dict[str, Any] = json.loads(invoke("check", write_config(), "--json").output)
    assert found["scaled_down"] == 1 and "400x296" not in found["sizes"]
    assert invoke("train", write_config()).exit_code == 0


@pytest.mark.filterwarnings("ignore")
def test_moments_that_do_not_fit_are_damage(write_config: WriteConfig, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    assert invoke("train", write_config()).exit_code == 0
    path = tmp_path / "run" / "checkpoints" / "step-000004" / "optimizer.safetensors"
    whole = load_file(path)
    name = next(name for name in whole if name.endswith("exp_avg"))
    for moments in (
        {**whole, name: torch.zeros(3)},
        {key: value for key, value in whole.items() if key != name},
        {**whole, "nobody/exp_avg": torch.zeros(3)},
        {**whole, "x": torch.zeros(3)},
    ):
        save_file(moments, path)
        result = invoke("resume", tmp_path / "run", "--steps", 5)
        assert_a_sentence(result, 2)
        assert "go back to the one before with --step 2" in result.output
    (path.parent.parent / "step-000002" / "state.json").write_bytes(b"")
    assert "begin again with --step 0" in invoke("resume", tmp_path / "run", "--steps", 5).output
    (tmp_path / "run" / "previews" / "step-best").mkdir()
    assert_a_sentence(invoke("resume", tmp_path / "run", "--step", 0), 0)
    assert (tmp_path / "run" / "aside-1" / "checkpoints" / "step-000004").is_dir()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["\ud800.png", "a\0.png", "\n\u001b[2J.png", "../x.png", "no.png"])
def test_a_hostile_file_name_in_a_dataset_is_a_sentence(
    write_config: WriteConfig, dataset_folder: Path, name: str
) -> None:
    path = dataset_folder / "metadata.jsonl"
    path.write_text(path.read_text() + json.dumps({"file_name": name, "text": "mira"}) + "\n")
    for command in ("check", "train"):
        result = invoke(command, write_config())
        assert_a_sentence(result, 1, 2)
        assert "\x1b" not in result.output


@pytest.mark.filterwarnings("ignore")
def test_latents_of_another_shape_are_encoded_anew(write_config: WriteConfig, dataset_folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    assert invoke("train", write_config("one")).exit_code == 0
    cached = sorted((dataset_folder / ".latents").rglob("*.safetensors"))
    for path, value in zip(cached, (torch.zeros(8, 3, 3), torch.full((8, 8, 8), torch.nan)), strict=False):
        save_file({"moments": value}, path)
    result = invoke("train", write_config("two"), "--json")
    assert json.loads(result.output)["encoded"] == 2


def _smaller_tokenizer(base: Path) -> None:
    path = base / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": 77}))


def _fewer_words(base: Path) -> None:
    path = base / "text_encoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocab_size": 100}))


def _wider_text(base: Path) -> None:
    path = base / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cross_attention_dim": 32}))


def _without(network: str) -> Callable[[Path], None]:
    def lose(base: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = next((base / network).glob("*.safetensors"))
        save_file(dict(list(load_file(path).items())[1:]), path, {"format": "pt"})

    return lose


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "spoil",
    [_smaller_tokenizer, _fewer_words, _wider_text, _without("vae"), _without("text_encoder"), _without("unet")],
)
def test_parts_that_do_not_fit_are_found_before_training(
    write_config: WriteConfig, base_folder: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    base = tmp_path / "base"
    shutil.copytree(base_folder, base)
    spoil(base)
    config = write_config()
    config.write_text(config.read_text().replace(base_folder.as_posix(), base.as_posix()))
    for command in ("check", "train"):
        assert_a_sentence(invoke(command, config), 2)
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore")
def test_check_finds_what_only_shows_later(write_config: WriteConfig, dataset_folder: Path, tmp_path: Path) -> None:
    for options, said in (
        ({"preview": {"size": [30, 32]}}, "[preview] size 30x32: both must be multiples of 8"),
        ({"output": "train.toml/run"}, 'is a file; set "output" to another folder'),
    ):
        for command in ("check", "train"):
            result = invoke(command, write_config(**options))
            assert_a_sentence(result, 2)
            assert said in result.output
    path = dataset_folder / "1.png"
    Image.effect_noise((32, 32), 90).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:400])
    result = invoke("check", write_config())
    assert result.exit_code == 1
    assert "left out  1 pictures" in result.output


@pytest.mark.filterwarnings("ignore")
def test_pictures_are_trained_on_at_the_resolution_asked_for(write_config: WriteConfig, dataset_folder: Path) -> None:
    Image.new("RGB", (400, 400), "red").save(dataset_folder / "0.png")
    for resolution, size in ((32, "32x32"), (48, "48x48")):
        answer = json.loads(invoke("check", write_config(resolution=resolution), "--json").output)
        assert size in answer["sizes"]
        assert answer["scaled_down"] == 1
    trained = json.loads(invoke("train", write_config(resolution=48), "--json").output)
    assert trained["scaled_down"] == 1


@pytest.mark.filterwarnings("ignore")
def test_pictures_may_be_encoded_into_the_run_folder(write_config: WriteConfig, tmp_path: Path) -> None:
    config = write_config()
    config.write_text('cache = "run/latents"\n' + config.read_text())
    (tmp_path / "run" / "latents" / "0123").mkdir(parents=True)  # killed while pictures were encoded
    for command in ("check", "train"):
        assert_a_sentence(invoke(command, config), 0)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("most", [100, 1000, 10_000, 50_000, 80_000])
def test_a_full_disk_is_a_sentence_and_the_run_goes_on(write_config: WriteConfig, tmp_path: Path, most: int) -> None:
    """The limit is on the size of one file, which to a program is as a disk that is full within it."""
    import resource

    config, before = write_config(), resource.getrlimit(resource.RLIMIT_FSIZE)
    config.write_text(f"cache = {json.dumps((tmp_path / 'latents').as_posix())}\n" + config.read_text())
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        result = invoke("train", config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_a_sentence(result, 2)
    assert "a file:" not in result.output
    again = invoke("resume", tmp_path / "run") if (tmp_path / "run" / "run.json").exists() else invoke("train", config)
    assert_a_sentence(again, 0)
    assert "done: 4 steps" in again.output
