"""What `full` saves, taken as a base again: the same networks, and all that no shape tells of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import trainer
from tests.trainer.test_cli import invoke
from trainer.base import read_base
from trainer.config import read_config
from trainer.errors import BaseModelError
from trainer.load import load_parts
from trainer.single.own import KEY

WriteConfig = Callable[..., Path]
SAMPLE = Path(__file__).parents[2] / "samples" / "base-model"
KINDS = ("SD 1", "velocity", "SDXL", "the sample's")


@pytest.fixture(params=KINDS)
def base(request: pytest.FixtureRequest, tmp_path: Path, make_base: Any, make_sdxl: Any) -> Path:
    made: dict[str, Callable[[], Path]] = {
        "SD 1": lambda: make_base(tmp_path / "base"),
        "velocity": lambda: make_base(
            tmp_path / "base", prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
        ),
        "SDXL": lambda: make_sdxl(tmp_path / "base"),
        "the sample's": lambda: SAMPLE,
    }
    return made[request.param]()


def trained_on(base: Path, write_config: WriteConfig, **method: Any) -> trainer.Session:
    how = {"use": "full", "save_as": "fp32", **method}
    path = write_config("run", base=base, method=how, steps=1, checkpoint_every=1, warmup=0, preview={"every": 0})
    session = trainer.start(read_config(path), path)
    assert len(list(session.run())) == 1
    return session


def test_it_is_the_same_base_with_other_weights(base: Path, write_config: WriteConfig) -> None:
    session = trained_on(base, write_config)
    path = session.config.output / "trained" / "run.safetensors"
    found, wanted = read_base(path, base / "tokenizer"), session.parts.base
    for name in ("family", "factor", "channels", "size", "prediction", "second_generation"):
        assert getattr(found, name) == getattr(wanted, name), name
    parts = load_parts(found, "fp32", "cpu")
    for name, network in session.parts.networks.items():
        tensors = parts.networks[name].state_dict()
        assert tensors.keys() == network.state_dict().keys()
        assert [key for key, one in network.state_dict().items() if not torch.equal(one, tensors[key])] == []
    for key in ("prediction_type", "beta_schedule", "beta_end", "rescale_betas_zero_snr", "steps_offset"):
        assert parts.noise_scheduler.config.get(key) == session.parts.noise_scheduler.config.get(key)
    assert torch.equal(parts.noise_scheduler.alphas_cumprod, session.parts.noise_scheduler.alphas_cumprod)
    side = found.size // found.factor
    noisy, at = torch.ones(1, found.channels, side, side), torch.tensor([500])
    session.parts.unet.eval()
    with torch.no_grad():
        answers = [one.predict(noisy, at, one.encode_text(["mira"])) for one in (parts, session.parts)]
    torch.testing.assert_close(*answers, rtol=1e-4, atol=1e-5)  # tensors lie elsewhere in memory


def test_a_run_begins_with_it_and_is_drawn_from(write_config: WriteConfig, tmp_path: Path) -> None:
    trained_on(SAMPLE, write_config, save_as="fp16")
    path = write_config("next", base=tmp_path / "run" / "trained" / "run.safetensors", steps=1, checkpoint_every=1,
                        warmup=0, preview={"every": 0})  # fmt: skip
    text = path.read_text(encoding="utf-8")
    path.write_text(f"tokenizer = {json.dumps(str(SAMPLE / 'tokenizer'))}\n{text}", encoding="utf-8")
    assert "Stable Diffusion 1, 64x64, v_prediction" in invoke("check", path).stdout
    assert invoke("train", path).exit_code == 0
    assert invoke("sample", tmp_path / "next", "lbay mira", "--steps", "1").exit_code == 0


def test_the_header_names_nobody_and_is_not_believed_against_the_weights(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    trained_on(SAMPLE, write_config)
    path = tmp_path / "run" / "trained" / "run.safetensors"
    with safe_open(path, "pt") as file:
        about = file.metadata()
    configs = json.loads(about[KEY])
    assert {key for one in configs.values() for key in one if key.startswith("_")} == {"_class_name"}
    assert str(tmp_path) not in json.dumps(about)
    tensors = load_file(path)
    configs["unet"]["layers_per_block"] = 2
    save_file(tensors, path, {**about, KEY: json.dumps(configs)})
    with pytest.raises(BaseModelError, match=r"lacks \d+ of \d+ tensors"):
        load_parts(read_base(path, SAMPLE / "tokenizer"))
    for said in ("[]", "{", json.dumps({**configs, "vae": {"latent_channels": "8"}})):
        save_file(tensors, path, {**about, KEY: said})
        with pytest.raises(BaseModelError, match=r"run\.safetensors: "):
            load_parts(read_base(path, SAMPLE / "tokenizer"))
    save_file(tensors, path, {key: value for key, value in about.items() if key != KEY})
    with pytest.raises(BaseModelError, match="has latents of other channels than Stable Diffusion's four"):
        read_base(path)
