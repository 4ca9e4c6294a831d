from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.config import Preview, Run, Training, read_config, read_run
from trainer.errors import ConfigError
from trainer.schedule import rate_at, read_schedule

HEAD = 'base = "b"\ndataset = "d"\noutput = "o"\n'

MISTAKES = {
    'base = "b"\ndataset = "d"': '"output" is missing',
    HEAD + "setps = 3": '"setps" is not a key',
    HEAD + "[training]\nlearning_rat = 1e-4": '"learning_rat" is not a key in .training.; did you mean "learning_rate"',
    HEAD + "[training]\nsteps = 0": '"steps" in .training.: input should be greater than 0',
    HEAD + '[training]\nshuffle_tags = "false"': '"shuffle_tags" in .training.: input should be a valid boolean',
    HEAD + '[training]\nprecision = "fp61"': "'fp32', 'bf16' or 'fp16'",
    HEAD + '[training]\nsteps = 500\nlearning_rate = "0.1:300"': "ends at step 300, before steps = 500",
    HEAD + '[training]\nlearning_rate = "fast"': '"fast" is not a number',
    HEAD + '[training]\nlearning_rate = "0.1:x, 0.2"': '"x" after ":" is not a whole number',
    HEAD + '[training]\nlearning_rate = "0.1:9, 0.2:9"': "the steps must grow",
    HEAD + '[training]\nlearning_rate = "0.1, 0.2"': "only the last rate",
    HEAD + '[method]\nuse = "lroa"': '"lroa" is not a method; did you mean "lora"',
    HEAD + "[method]\nrank = 3": "needs use = one of .*lora",
    HEAD + '[method]\nuse = "lora"\nrnak = 3': '"rnak" is not a key; did you mean "rank"',
    HEAD + "steps = ": "not TOML",
    'base = "C:\\Users\\me\\sd15"\ndataset = "d"\noutput = "o"': "write C:/models/pose or",
    'base = "C:\\new\\table"\ndataset = "d"\noutput = "o"': "write C:/models/pose or",
}


@pytest.mark.parametrize(("text", "sentence"), MISTAKES.items())
def test_a_mistake_is_one_sentence_that_names_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as found:
        read_config(path)
    assert str(path) in str(found.value)
    assert re.search(sentence, str(found.value)), found.value
    assert "\n" not in str(found.value)


def test_paths_are_taken_from_the_folder_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text('base = "../b"\ndataset = "d"\noutput = "runs/one"', encoding="utf-8")
    run = read_config(path)
    assert run.base == tmp_path.parent / "b"
    assert run.latents == tmp_path / "d" / ".latents"


def test_a_project_can_be_moved_with_its_runs(write_config: Callable[..., Path], tmp_path: Path) -> None:
    run = read_config(write_config())
    moved = Run.model_validate_json(run.to_json())
    assert (moved.output, moved.dataset) == (Path(), Path("../dataset"))
    run.output.mkdir()
    (run.output / "run.json").write_text(run.to_json(), encoding="utf-8")
    assert read_run(run.output) == run


def test_learning_rates_over_steps() -> None:
    stages = read_schedule("0.1:10, 0.01")
    assert [rate_at(step, stages) for step in (1, 10, 11, 99)] == [0.1, 0.1, 0.01, 0.01]
    assert [rate_at(step, stages, warmup=4) for step in (1, 2, 4, 5)] == pytest.approx([0.025, 0.05, 0.1, 0.1])
    assert Training(steps=300, batch_size=8, accumulate=2).views == 4800


def test_the_documentation_has_every_key_with_its_default() -> None:
    """And no other; a default that needs words is checked to be none here."""
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.M))
    tables = [Training, Preview, Run]
    documented = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text.split("## [preview]")[1], re.M))
    fields = {key: field for table in tables for key, field in table.model_fields.items()}
    assert rows.keys() == fields.keys() - {"method", "training", "preview"}
    for table, there in ((Training, rows), (Preview, documented)):
        for key, field in table.model_fields.items():
            value = field.get_default()
            if value is None or value == ():
                continue
            if not (table is Training and key in documented):  # both have steps and seed
                assert there[key] == json.dumps(value), key
