"""What a step holds in memory: the estimate, what makes it less, and what is said where it is too much."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ImageChops, ImageStat
from safetensors.torch import load_file, save

import trainer
from tests.bench.training_memory import measure
from tests.trainer.test_cli import ROOT, invoke
from trainer import read_base, read_config, read_losses
from trainer.config import Training
from trainer.device import card_advice
from trainer.errors import ConfigError
from trainer.latents import encode
from trainer.load import load_parts
from trainer.memory import advice, estimate
from trainer.recipe import Drawn

WriteConfig = Callable[..., Path]
QUIET: dict[str, Any] = {"preview": {"every": 0}, "checkpoint_every": 4}


def whole(path: Path) -> trainer.Session:
    session = trainer.start(read_config(path), path)
    list(session.run())
    return session


def saved(session: trainer.Session) -> dict[str, torch.Tensor]:
    folder = session.config.output / "checkpoints" / "step-000004"
    return load_file(folder / "parameters.safetensors") | load_file(folder / "optimizer.safetensors")


def assert_same(one: trainer.Session, other: trainer.Session) -> None:
    first, second = saved(one), saved(other)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert read_losses(one.config.output) == read_losses(other.config.output)


@pytest.mark.skipif(sys.platform == "win32", reason="the profiler of memory is tried on Linux")
def test_the_estimate_is_near_what_is_allocated_and_checkpointing_takes_less(base_folder: Path) -> None:
    case = {"batch_size": 8, "gradient_checkpointing": False}
    plain, less = (measure({**case, "gradient_checkpointing": on}, base_folder) for on in (False, True))
    assert plain[0] == pytest.approx(plain[1], rel=0.2)
    assert less[0] == pytest.approx(less[1], rel=0.2)
    assert less[1] < 0.7 * plain[1]


def test_checkpointing_changes_no_bit(write_config: WriteConfig) -> None:
    keys = {**QUIET, "method": {"dropout": 0.3, "text_encoder": True}}
    assert_same(whole(write_config("a", **keys)), whole(write_config("b", **keys, gradient_checkpointing=True)))


def test_frozen_weights_in_16_bits_change_no_bit_and_are_half(write_config: WriteConfig) -> None:
    keys = {**QUIET, "precision": "bf16", "preview": {"every": 4}}
    plain, half = whole(write_config("plain", **keys)), whole(write_config("half", **keys, half_frozen=True))
    assert_same(plain, half)
    sizes = [sum(p.nbytes for p in one.parts.unet.parameters() if not p.requires_grad) for one in (plain, half)]
    assert sizes[1] < 0.52 * sizes[0]
    assert {p.dtype for p in half.state.parameters.values()} == {torch.float32}
    pictures = [(one.config.output / "previews" / "step-000004" / "00.png").read_bytes() for one in (plain, half)]
    assert pictures[0] == pictures[1]
    config = read_config(write_config("stopped", **keys, half_frozen=True))
    list(itertools.islice(trainer.start(config).run(), 3))
    stopped = trainer.resume(config.output)
    list(stopped.run())
    assert_same(half, stopped)
    with pytest.raises(ConfigError, match='half_frozen = true does nothing with precision = "fp32"'):
        read_config(write_config("x", precision="fp32", half_frozen=True))


def test_steps_need_neither_the_autoencoder_nor_a_text_encoder_that_does_not_learn(write_config: WriteConfig) -> None:
    session = trainer.start(read_config(write_config(**QUIET)))
    session.parts.encode_text(["", *session.encoded.dataset.captions])

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("it is not on the device")

    session.parts.vae.forward = session.parts.vae.encode = fail
    session.parts.text_encoder.forward = fail
    steps = session.run()
    assert [progress.step for progress in itertools.islice(steps, 3)] == [1, 2, 3]
    steps.close()
    session.parts.rest("vae", *session.parts.text_encoders)
    del session.parts.vae.forward, session.parts.vae.encode, session.parts.text_encoder.forward
    with session.parts.present("vae"):
        assert session.parts.vae.encode(torch.zeros(1, 3, 32, 32)) is not None
    assert session.parts.resting == {"vae", "text_encoder"}


def test_a_network_stays_until_the_last_who_needs_it_is_done(base_folder: Path) -> None:
    """On a device that every torch has, from which nothing can be moved back: so that is seen when it is tried."""
    parts = load_parts(read_base(base_folder))
    parts.rest("vae")
    parts.device = torch.device("meta")
    seen = []
    with pytest.raises(NotImplementedError, match="meta tensor"), parts.present("vae", "text_encoder"):
        with parts.present("vae"):
            seen.append(parts.vae.device.type)
        seen.append(parts.vae.device.type)
        seen.append(parts.text_encoder.device.type)
    assert seen == ["meta", "meta", "cpu"]  # the text encoder does not rest, so nobody moves it


def test_a_base_that_is_larger_than_the_card_is_loaded_beside_it(base_folder: Path) -> None:
    parts = load_parts(read_base(base_folder), "bf16", "meta", at_rest=True)
    assert {network.device.type for network in parts.networks.values()} == {"cpu"}
    parts.halve_frozen()
    parts.stay("unet")
    assert {name: network.device.type for name, network in parts.networks.items()} == {
        "unet": "meta", "vae": "cpu", "text_encoder": "cpu"
    }  # fmt: skip
    assert parts.resting == {"vae", "text_encoder"}
    assert {
        network.device.type for network in load_parts(read_base(base_folder), "bf16", "meta").networks.values()
    } == {"meta"}


def test_pictures_of_a_class_count_in_the_estimate(write_config: WriteConfig) -> None:
    method = {"use": "dreambooth", "instance_prompt": "ox q"}
    alone, beside = (
        estimate(read_config(write_config(**QUIET, batch_size=8, method=method | more)), (32, 32), torch.float32)
        for more in ({}, {"class_prompt": "q"})
    )
    assert beside.activations == pytest.approx(2 * alone.activations, rel=0.1)
    assert beside.weights == alone.weights


def test_check_says_the_memory_and_what_to_lower(write_config: WriteConfig) -> None:
    result = invoke("check", write_config())
    assert "memory    about 0.5" in result.stdout and "lower, in this order" not in result.stdout
    path = write_config(batch_size=200_000)
    answer = json.loads(invoke("check", path, "--json").stdout)["memory"]
    assert answer["total"] > 8e9
    assert list(answer["lower"]) == [
        "half_frozen = true", "gradient_checkpointing = true", "batch_size = 1 with accumulate = 200000"
    ]  # fmt: skip
    totals = list(answer["lower"].values())
    assert totals == sorted(totals, reverse=True) and totals[1] > 8e9 > totals[2]
    assert (
        "note      more than the 8 GB of the card; lower, in this order: half_frozen = true ("
        in invoke("check", path).stdout
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a test take memory away")
def test_too_little_memory_is_a_sentence_that_says_what_to_lower(
    write_config: WriteConfig, write_dataset: Callable[..., Path], base_folder: Path, tmp_path: Path
) -> None:
    steps, large, base = tmp_path / "steps.toml", tmp_path / "large.toml", tmp_path / "base.toml"
    whole(write_config("drawn", **QUIET))
    write_config("steps", batch_size=100_000, preview={"every": 0}).rename(steps)
    write_dataset(tmp_path / "pictures", [("a.png", "mira")], (6000, 6000))
    write_config("large", resolution=6000).rename(large)
    large.write_text(large.read_text().replace('dataset = "dataset"', 'dataset = "pictures"'))
    write_config("base", base=with_many_words(base_folder, tmp_path / "words")).rename(base)
    said = with_little_memory(
        (1500, "train", steps),
        (1500, "train", large),
        (300, "sample", tmp_path / "drawn", "mira", "--size", "4096", "4096", "--steps", "2"),
        (700, "train", base),
    )
    assert "out of memory at step 1; start a new run with, in this order: half_frozen = true" in said[0]
    assert "batch_size = 1 with accumulate = 100000" in said[0]
    assert "out of memory while encoding a picture of 6000x6000; close what else uses it, or write a smaller" in said[1]
    assert "out of memory while drawing a picture of 4096x4096; close what else uses it, or draw smaller" in said[2]
    assert f"{tmp_path / 'words'}: there is not enough memory to load it; close what else uses it, or" in said[3]
    assert not (tmp_path / "large").exists() and not (tmp_path / "base").exists()


def with_little_memory(*commands: tuple[object, ...]) -> list[str]:
    """What each command says where it has so many megabytes beyond what is taken before; each must end with 2."""
    program = (
        "import json, logging, resource, sys; logging.getLogger('bitsandbytes').setLevel(logging.ERROR)\n"
        "import diffusers, peft; from trainer import draw, start; from trainer.cli import main\n"
        "for megabytes, *arguments in json.loads(sys.argv[1]):\n"
        "    used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 10**6, resource.RLIM_INFINITY))\n"
        "    sys.argv = ['trainer', *arguments]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as ended:\n"
        "        assert ended.code == 2, ended.code\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    given = json.dumps([[megabytes, *map(str, arguments)] for megabytes, *arguments in commands])
    found = subprocess.run([sys.executable, "-c", program, given], capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    assert len(found.stderr.splitlines()) == len(commands), found.stderr
    return found.stderr.splitlines()


def with_many_words(base: Path, to: Path) -> Path:
    """The base with a text encoder of 20,000,000 words, 1.3 GB, of which the disk holds next to nothing."""
    shutil.copytree(base, to)
    config, weights, words = to / "text_encoder" / "config.json", to / "text_encoder" / "model.safetensors", 20_000_000
    config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": words}))
    tensors = load_file(weights)
    name = next(name for name in tensors if name.endswith("token_embedding.weight"))
    whole = save({key: tensor for key, tensor in tensors.items() if key != name})
    length = int.from_bytes(whole[:8], "little")
    header, end = json.loads(whole[8 : 8 + length]), len(whole) - 8 - length
    header[name] = {"dtype": "F32", "shape": [words, 16], "data_offsets": [end, end + 64 * words]}
    begin = json.dumps(header).encode()
    with weights.open("wb") as file:
        file.write(len(begin).to_bytes(8, "little") + begin + whole[8 + length :])
        file.truncate(8 + len(begin) + end + 64 * words)
    return to


def test_where_memory_runs_out_fewer_are_encoded_and_drawn_at_once(write_config: WriteConfig, tmp_path: Path) -> None:
    plain = trainer.start(read_config(write_config("plain", preview={"every": 0})))
    wanted = trainer.draw(plain.parts, [Drawn("mira", seed, steps=2) for seed in range(3)])
    tried: list[int] = []

    def full(network: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(given[0]))
        if len(given[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    hook = plain.parts.vae.encoder.register_forward_pre_hook(full)
    again = encode(plain.parts, plain.encoded.dataset, tmp_path / "cache")
    hook.remove()
    assert tried == [3, 1, 2, 1, 1, 2, 1, 1]
    for one, other in zip(again.moments, plain.encoded.moments, strict=True):
        torch.testing.assert_close(one, other)
    tried.clear()
    hook = plain.parts.vae.decoder.register_forward_pre_hook(full)
    drawn = trainer.draw(plain.parts, [Drawn("mira", seed, steps=2) for seed in range(3)])
    hook.remove()
    assert tried == [3, 1, 2, 1, 1]
    for picture, other in zip(drawn, wanted, strict=True):
        assert ImageStat.Stat(ImageChops.difference(picture, other)).extrema[0][1] <= 1


def test_what_is_lowered_already_is_not_named() -> None:
    low = Training(half_frozen=True, gradient_checkpointing=True, batch_size=1, optimizer="adamw-8bit")
    assert advice(low) == "a smaller resolution"


@pytest.mark.skipif(torch.version.cuda is not None, reason="this torch can use such a card")
@pytest.mark.skipif(sys.platform == "win32", reason="a program of another kind would be needed")
def test_a_card_that_torch_cannot_use_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_config: WriteConfig
) -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("there is such a card here")
    assert card_advice() is None
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    said = invoke("check", write_config()).stderr
    assert "has an NVIDIA card, and the torch that is installed cannot use it" in said
    assert "-m pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu" in said
