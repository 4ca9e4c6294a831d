"""DreamBooth: what the network is told, the class that it keeps, and the method that it is laid on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

import trainer
import trainer.cli
from trainer.cli import cli
from trainer.data import steps
from trainer.errors import CheckpointError, ConfigError
from trainer.methods import Dreambooth, Full, Lora
from trainer.recipe import Drawn

WriteConfig = Callable[..., Path]
METHOD = {"use": "dreambooth", "instance_prompt": "ox q", "class_prompt": "q", "class_pictures": 3}
PREVIEW = {"every": 0, "sampler": "DDIM", "steps": 2, "guidance": 3.0, "negative": "bad"}


def read(write_config: WriteConfig, output: str = "run", preview: Any = PREVIEW, **options: Any) -> trainer.Run:
    return trainer.read_config(write_config(output, method={**METHOD, **options}, preview=preview))


def classes(config: trainer.Run) -> list[Path]:
    return sorted(config.latents.glob("class-*/*.png"))


def test_the_instance_prompt_stands_before_each_caption() -> None:
    method = Dreambooth(instance_prompt=" ox q ")
    assert method.told("sad, facing left") == "ox q, sad, facing left"
    assert method.told("ox q, sad") == "ox q, sad"
    assert method.told("") == "ox q"
    assert Dreambooth(instance_prompt="ox q", captions=False).told("sad") == "ox q"


def test_the_class_is_drawn_once_as_previews_are(write_config: WriteConfig) -> None:
    config = read(write_config)
    session = trainer.start(config)
    assert session.prior is not None
    assert (session.prior.newly_drawn, session.prior.kept) == (3, 0)
    paths = classes(config)
    assert len(paths) == 3
    about = []
    for path in paths:
        with Image.open(path) as picture:
            about.append(json.loads(picture.text["modelsheet"]))
    assert [(one["seed"], one["prompt"], one["sampler"], one["negative"]) for one in about] == [
        (seed, "q", "DDIM", "bad") for seed in range(3)
    ]
    parts, _ = trainer.load_trained(_trained(session), 0)
    drawn = trainer.draw(parts, [Drawn("q", 1, negative="bad", steps=2, guidance=3.0, sampler="DDIM")])[0]
    with Image.open(paths[1]) as picture:
        assert picture.tobytes() == drawn.tobytes()

    again = trainer.start(read(write_config, "again", class_pictures=5)).prior
    assert again is not None and (again.newly_drawn, again.kept) == (2, 3)
    other = trainer.start(read(write_config, "other", preview={**PREVIEW, "steps": 3})).prior
    assert other is not None and (other.newly_drawn, other.kept) == (3, 0)


def _trained(session: trainer.Session) -> Path:
    list(session.run())
    return session.config.output


def test_a_drawing_that_was_cut_off_goes_on(write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer import prior

    with monkeypatch.context() as patch:
        patch.setattr(prior, "AT_ONCE", 1)
        calls, honest = itertools.count(1), prior.write_png

        def killed(*given: Any) -> None:
            if next(calls) == 3:
                raise KeyboardInterrupt
            honest(*given)

        patch.setattr(prior, "write_png", killed)
        with pytest.raises(KeyboardInterrupt):
            trainer.start(read(write_config))
    config = read(write_config)
    paths = classes(config)
    assert len(paths) == 2
    paths[0].write_bytes(paths[0].read_bytes()[:100])
    found = trainer.start(config).prior
    assert found is not None and (found.newly_drawn, found.kept) == (2, 1)


def test_each_batch_has_as_many_of_the_class_under_its_prompt(write_config: WriteConfig) -> None:
    session = trainer.start(read(write_config))
    assert session.prior is not None
    training = session.config.training.model_copy(update={"caption_dropout": 1.0, "accumulate": 2})
    found = list(itertools.islice(steps(session.encoded, training, 0, session.prior.encoded), 6))
    batches = [batch for step in found for batch in step]
    assert [batch.prior.captions for batch in batches if batch.prior] == [("q", "q")] * 12
    later = next(steps(session.encoded, training, 3, session.prior.encoded))
    for one, other in zip(later, found[3], strict=True):
        assert torch.equal(one.moments, other.moments)
        assert torch.equal(one.prior.moments, other.prior.moments)  # type: ignore[union-attr]


def test_the_class_counts_by_its_weight(write_config: WriteConfig) -> None:
    session = trainer.start(read(write_config))
    assert session.prior is not None and isinstance(session.method, Dreambooth)
    (batch,) = next(steps(session.encoded, session.config.training, 0, session.prior.encoded))

    def loss(weight: float) -> float:
        method = session.method.model_copy(update={"prior_weight": weight})
        return method.loss(session.parts, batch, torch.Generator().manual_seed(0)).item()

    assert loss(0.5) - loss(0) == pytest.approx((loss(1) - loss(0)) / 2, rel=1e-4)
    assert loss(1) - loss(0) > 0.5  # an untrained network leaves about all of the noise


@pytest.mark.parametrize("train", ["lora", "full"])
def test_what_comes_out_is_that_of_the_method_it_is_laid_on(write_config: WriteConfig, train: str) -> None:
    options = {"lora": {"rank": 2, "alpha": 3.0}, "full": {"save_as": "fp32"}}
    config = read(write_config, train=train, **{train: options[train]})
    session = trainer.start(config)
    list(session.run())
    (path,) = (config.output / "trained").iterdir()
    alone = Lora(rank=2, alpha=3.0) if train == "lora" else Full(save_as="fp32")
    alone.load(trainer.load_parts(session.parts.base, "fp32", "cpu"), path.parent)
    names = load_file(path)
    assert any(name.startswith({"lora": "lora_unet_", "full": "model.diffusion_model."}[train]) for name in names)


def test_without_a_class_nothing_is_drawn(write_config: WriteConfig) -> None:
    for output, options in (("a", {"class_prompt": " "}), ("b", {"prior_weight": 0.0})):
        config = read(write_config, output, **options)
        assert trainer.start(config).prior is None
        assert classes(config) == []


def test_other_pictures_of_the_class_are_not_gone_on_with(write_config: WriteConfig) -> None:
    config = read(write_config)
    list(itertools.islice(trainer.start(config).run(), 3))
    Image.new("RGB", (32, 32), "red").save(classes(config)[0])
    with pytest.raises(CheckpointError, match="other pictures of the class than there are now"):
        trainer.resume(config.output)


def test_the_command_counts_them(write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer.cli.training, "need_torch", lambda: None)
    path = write_config(method=METHOD, preview=PREVIEW)
    found = CliRunner().invoke(cli, ["train", str(path)])
    assert found.exit_code == 0, found.output
    assert "class     3 pictures drawn by the base, 0 there before" in found.stdout


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"instance_prompt": " "}, "instance_prompt: is empty"),
        ({"lora": {"rnak": 3}}, r'"rnak" is not a key in \[lora\]; did you mean "rank"'),
        ({"train": "dora"}, "train"),
        ({"lora": {"targets": ["to_nothing"]}}, "to_nothing"),
    ],
)
def test_what_does_not_fit_is_a_sentence(write_config: WriteConfig, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence) as found:
        trainer.start(read(write_config, class_prompt="", **options))
    assert "\n" not in str(found.value)
