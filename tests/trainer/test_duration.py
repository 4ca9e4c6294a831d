"""How long training takes: what `trainer check` says, and how near it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.training_time import BASE, LORA, measure
from tests.trainer.test_cli import invoke
from trainer.config import Training
from trainer.duration import validations
from trainer.say import spoken

WriteConfig = Callable[..., Path]


@pytest.mark.parametrize("training", [{"batch_size": 4}, {"batch_size": 8, "gradient_checkpointing": True}])
def test_the_estimate_is_near_what_steps_take(training: dict[str, Any]) -> None:
    guess, took, _ = measure(BASE, 64, LORA, training, steps=6)
    assert guess == pytest.approx(took, rel=0.5)  # 10 to 20 %, where nothing else runs


def test_check_says_how_long_and_of_what(write_config: WriteConfig) -> None:
    path = write_config(steps=40, preview={"every": 10, "steps": 5})
    said = invoke("check", path).stdout
    (line,) = [line for line in said.splitlines() if line.startswith("time ")]
    for what in (
        r"^time      about [\w.]+ seconds? on this machine's CPU: ", r"steps [\w.]+ seconds? \([\d.e-]+ s each\), ",
        r"previews [\w.]+ seconds?, ", r"encoding pictures, once, [\w.]+ seconds?; loading and saving not counted$",
    ):  # fmt: skip
        assert re.search(what, line)
    answer = json.loads(invoke("check", path, "--json").stdout)["time"]
    assert answer["device"] == "cpu" and answer["validation"] == answer["class_pictures"] == 0
    assert answer["steps"] == pytest.approx(40 * answer["step"])
    parts = ("steps", "previews", "validation", "encoding", "class_pictures")
    assert answer["total"] == pytest.approx(sum(answer[name] for name in parts))


def test_what_is_asked_for_counts(write_config: WriteConfig) -> None:
    def takes(**keys: Any) -> dict[str, float]:
        found: dict[str, float] = json.loads(invoke("check", write_config(**keys), "--json").stdout)["time"]
        return found

    plain, quiet = takes(batch_size=1), takes(preview={"every": 0})
    assert quiet["previews"] == 0 < plain["previews"]
    assert takes(batch_size=1, accumulate=16)["step"] > 2 * plain["step"]
    assert takes(preview={"every": 1, "steps": 80})["previews"] > 3 * plain["previews"]
    prior = {"use": "dreambooth", "instance_prompt": "mira girl", "class_prompt": "girl", "class_pictures": 6}
    assert takes(batch_size=1, method=prior)["class_pictures"] > 0


def test_what_is_too_large_to_be_tried_is_told_from_less(write_config: WriteConfig) -> None:
    said = [json.loads(invoke("check", write_config(batch_size=n), "--json").stdout)["time"] for n in (8, 800_000)]
    assert said[1]["step"] > 10_000 * said[0]["step"]
    path = write_config(preview={"every": 2, "size": [65_536, 65_536]})
    assert json.loads(invoke("check", path, "--json").stdout)["time"]["previews"] > 1e6


def test_validation_is_counted_as_it_is_taken() -> None:
    assert validations(Training(steps=10, checkpoint_every=4)) == 4  # before the first, at 4, 8 and 10
    assert validations(Training(steps=10, checkpoint_every=4, validation_every=5)) == 5
    assert validations(Training(steps=10, validation_every=0)) == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.02, "a second"), (61.2, "61 seconds"), (95, "1.6 minutes"), (725, "12 minutes"), (12_600, "3.5 hours"),
     (400_000, "4.6 days")],
)  # fmt: skip
def test_a_time_is_said_in_two_figures(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
