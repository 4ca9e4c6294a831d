"""`trainer evaluate RUN`: what its checkpoints draw by the same prompts and seeds, judged by sorters."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from sorter.commands.job import load_job
from trainer.cli import cli
from trainer.errors import EvaluationError
from trainer.evaluate.vocabulary import prompts, spread_evenly

WORDS = {"left": "facing left", "front": "facing the viewer"}


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def run(tmp_path: Path, draw: Any, write_config: Callable[..., Path], write_dataset: Callable[..., Path]) -> Path:
    """Four steps on pictures of two directions and moods, with checkpoints of steps 2 and 4."""
    rows = [(f"{mood}-{side}.png", f"mira, {mood}, {WORDS[side]}") for mood in ("happy", "sad") for side in WORDS]
    config = write_config()
    shutil.rmtree(tmp_path / "dataset")
    write_dataset(tmp_path / "dataset", rows)
    for name, _ in rows:
        mood, side = name.removesuffix(".png").split("-")
        draw(side, mood, size=(32, 32)).save(tmp_path / "dataset" / name)
    assert invoke("train", config).exit_code == 0
    return tmp_path / "run"


@pytest.fixture
def evaluate(project: Path, run: Path) -> Callable[..., Any]:
    def call(*more: object, code: int = 0, count: int = 4) -> Any:
        found = invoke("evaluate", run, "--scheme", project / "scheme.toml", "--count", count, "--json", *more)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    return call


def test_checkpoints_and_base_draw_the_same_prompts_once(
    project: Path, run: Path, evaluate: Callable[..., Any]
) -> None:
    answer = evaluate()
    assert [one["step"] for one in answer["models"]] == [0, 2, 4]
    assert sorted(answer["prompts"]) == sorted(f"mira, {words}, {mood}" for mood in ("happy", "sad")
                                               for words in WORDS.values())  # fmt: skip
    for one in answer["models"]:
        assert [Path(path).is_file() for path in one["pictures"]] == [True] * 4
        assert one["axes"]["direction"]["of"] == 4
        assert one["likeness"]["compared"] == 4
        assert len(one["losses"]["training"]) == 4
        alone = invoke("evaluate", "--pictures", Path(one["pictures"][0]).parent, "--scheme", project / "scheme.toml",
                       "--json")  # fmt: skip
        pictures = json.loads(alone.stdout)
        for key in ("share", "of", "confusion", "classes", "sure"):
            assert {axis: row[key] for axis, row in pictures["axes"].items()} == {
                axis: row[key] for axis, row in one["axes"].items()
            }
    before = {path: path.stat().st_mtime_ns for path in (run / "evaluation").rglob("*.png")}
    assert len(before) == 12
    assert evaluate() == answer
    assert {path: path.stat().st_mtime_ns for path in (run / "evaluation").rglob("*.png")} == before
    assert sorted(one["gain"] for one in answer["captions"]) == [one["gain"] for one in answer["captions"]]
    assert evaluate(count=6)["prompts"][:4] == answer["prompts"]
    page = (run / "evaluation.html").read_text(encoding="utf-8")
    assert page.index("<img") < page.index("Asked and seen, step by step</h2>")


def test_a_picture_is_what_sample_draws_by_its_recipe(run: Path, evaluate: Callable[..., Any]) -> None:
    answer = evaluate("--steps", "2", "--seed", "7")
    assert [one["step"] for one in answer["models"]] == [0, 2]
    drawn = Path(answer["models"][1]["pictures"][3])
    found = invoke("sample", run, answer["prompts"][3], "--seed", 10, "--step", 2, "--steps", 2, "--json")
    assert found.exit_code == 0, found.output
    assert pixels(Path(json.loads(found.stdout)["pictures"][0])) == pytest.approx(pixels(drawn), abs=1)


def test_a_lora_is_drawn_at_several_strengths(run: Path, evaluate: Callable[..., Any]) -> None:
    answer = evaluate("--strength", "0,0.5,1", "--steps", "4")
    assert [(one["step"], one["strength"]) for one in answer["models"]] == [(0, 1.0), (4, 0.0), (4, 0.5), (4, 1.0)]
    base, none, half, full = (pixels(Path(one["pictures"][0])) for one in answer["models"])
    assert none == pytest.approx(base, abs=1)
    assert np.abs(half - base).max() > 1
    assert np.abs(full - base).mean() > np.abs(half - base).mean()
    assert "Checkpoint and strength" in (run / "evaluation.html").read_text(encoding="utf-8")


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), float)


def test_the_best_checkpoint_is_named_and_what_came_after_it(
    run: Path, draw: Any, evaluate: Callable[..., Any]
) -> None:
    answer = evaluate()
    for prompt, path in zip(answer["prompts"], answer["models"][1]["pictures"], strict=True):
        side = next(side for side, words in WORDS.items() if words in prompt)
        replace(Path(path), draw(side, "happy" if "happy" in prompt else "sad", size=(32, 32)))
    for path in answer["models"][2]["pictures"]:
        replace(Path(path), draw("nobody", "?", size=(32, 32)))
    answer = evaluate("--at-least", 0.3)
    assert answer["best"] == {"step": 2, "strength": 1.0}
    assert answer["mean"]["share"] == 1.0
    assert answer["steps_too_many"] == 2
    assert any(note.startswith("2 steps too many") for note in answer["notes"])
    assert answer["models"][1]["all_right"]["share"] == 1.0
    assert answer["models"][1]["likeness"]["copies"]
    assert evaluate("--at-least", 0.9, code=1)["falls_short"] is True
    assert evaluate("--at-least", 0.3, "--steps", "4", code=1)["best"]["step"] == 4


def replace(path: Path, picture: Image.Image) -> None:
    """Other pixels under the same recipe."""
    from PIL.PngImagePlugin import PngInfo

    chunks = PngInfo()
    with Image.open(path) as before:
        for key, text in before.info.items():
            chunks.add_itxt(key, text)
    picture.save(path, pnginfo=chunks)


def test_a_loss_that_rose_again_is_said(
    tmp_path: Path, run: Path, evaluate: Callable[..., Any], write_dataset: Callable[..., Path]
) -> None:
    write_dataset(tmp_path / "dataset" / "validation", [(f"new{n}.png", "mira, happy, facing left") for n in range(6)])

    def rise(times: float) -> list[str]:
        """What is said where the last checkpoint knows held-out pictures so many times worse than step 2 does."""
        kept, last = (run / "evaluation" / f"step-00000{step}" / "losses.json" for step in (2, 4))
        losses = json.loads(kept.read_text())
        losses["held_out"] = {sha256: loss * times for sha256, loss in losses["held_out"].items()}
        last.write_text(json.dumps(losses))
        return [sign for sign in evaluate()["overtrained"] if "loss" in sign]

    def learnt(held_out: float) -> list[str]:
        """What is said where the last checkpoint halves the loss of the base on its training pictures."""
        base, last = (run / "evaluation" / f"step-00000{step}" / "losses.json" for step in (0, 4))
        losses = json.loads(base.read_text())
        for part, times in (("training", 0.5), ("held_out", held_out)):
            losses[part] = {sha256: loss * times for sha256, loss in losses[part].items()}
        last.write_text(json.dumps(losses))
        return [sign for sign in evaluate()["overtrained"] if "learnt" in sign]

    answer = evaluate()
    assert [len(one["losses"]["held_out"]) for one in answer["models"]] == [6] * 3
    assert answer["models"][0]["likeness"]["nearer_to_training"]["of"] == 4
    assert answer["judge"]["mood"]["now"]["of"] == 4 + 6  # the judge is tried on held-out pictures, too
    assert rise(0.9) == []
    assert rise(1.002) == []  # less than anybody would see
    (sign,) = rise(1.3)
    assert sign.startswith("the loss on held-out pictures rose again, from ")
    assert "overtrained: the loss on held-out pictures rose again" in (run / "evaluation.html").read_text()
    assert learnt(held_out=0.55) == []
    assert learnt(held_out=0.7) == ["40% of what step 4 has learnt of its training pictures holds for no others"]


def test_steps_gone_back_to_are_drawn_anew(run: Path, evaluate: Callable[..., Any]) -> None:
    evaluate()
    assert invoke("resume", run, "--step", 2).exit_code == 0
    assert [path.name for path in sorted((run / "evaluation").iterdir())] == ["step-000000", "step-000002"]
    assert len(list((run / "aside-1" / "evaluation" / "step-000004").glob("*.png"))) == 4


def test_a_run_whose_dataset_is_gone_is_judged_all_the_same(
    tmp_path: Path, project: Path, run: Path, evaluate: Callable[..., Any]
) -> None:
    shutil.rmtree(tmp_path / "dataset")
    with (project / "scheme.toml").open("a", encoding="utf-8") as file:
        file.write('[axes.mood.classes]\nhappy = { tag = "happy (grin)" }\n')
    answer = evaluate()
    assert len(answer["models"]) == 3
    assert answer["models"][0]["likeness"] is None
    assert any("nothing is compared with the training pictures" in note for note in answer["notes"])
    assert "mira, facing left, happy \\(grin\\)" in answer["prompts"]  # where brackets weigh, these are words
    assert answer["models"][0]["axes"]["mood"]["of"] == 4


def test_bad_input_is_one_sentence(
    tmp_path: Path, project: Path, run: Path, base_folder: Path, draw: Any, grow: Any
) -> None:
    scheme = ("--scheme", project / "scheme.toml", "--count", 1)

    def said(*arguments: object) -> str:
        found = invoke("evaluate", *arguments)
        assert found.exit_code == 2, found.output
        assert found.stderr.startswith("trainer: ")
        assert found.stderr.count("\n") == 1
        return found.stderr

    assert "give either the folder of a run, or --pictures" in said(*scheme)
    assert "give either the folder of a run, or --pictures" in said(run, "--pictures", tmp_path, *scheme)
    assert "--base is for --pictures" in said(run, "--base", base_folder, *scheme)
    assert "not a run folder" in said(tmp_path / "none", *scheme)
    assert "there is no checkpoint of step 3; there are 2, 4" in said(run, "--steps", "3", *scheme)
    assert "no such file" in said(run, "--scheme", tmp_path / "none.toml")
    assert said(run, "--library", tmp_path / "dataset", *scheme)
    assert invoke("evaluate", run, "--steps", "some").exit_code == 2
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run, unfinished)
    shutil.rmtree(unfinished / "checkpoints" / "step-000004")
    shutil.rmtree(unfinished / "trained")
    found = invoke("evaluate", unfinished, *scheme)
    assert found.exit_code == 0, found.output
    assert "the run stands at step 2 of 4" in found.stdout
    shutil.rmtree(unfinished / "checkpoints")
    assert "there is no checkpoint yet" in said(unfinished, *scheme)
    about = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(about | {"base": "../gone"}))
    assert "gone: there is no such file or folder" in said(run, *scheme)


def test_prompts_ask_for_every_class_as_evenly_as_can_be(project: Path) -> None:
    job = load_job(project / "scheme.toml")
    captions = ["mira, happy, facing left", "sad"]
    assert set(prompts(job, captions, 4)) == {"mira, facing left, happy", "mira, facing left, sad"}
    assert set(prompts(job, [], 8)) == {
        f"mira, {words}, {mood}" for words in WORDS.values() for mood in ("happy", "sad")
    }
    assert prompts(job, captions, 3) == prompts(job, captions, 9)[:3]
    with pytest.raises(EvaluationError, match="nothing to ask for"):
        prompts(job, ["a cat"], 4)


def test_combinations_are_spread() -> None:
    axes = [list("ab"), list("cdef"), list("ghijk")]
    chosen = [one for one, _ in zip(spread_evenly(axes, 0), range(40), strict=False)]
    assert len(set(chosen)) == 40  # of 40 there are, each once
    for place, names in enumerate(axes):
        assert {name: sum(one[place] == name for one in chosen) for name in names} == dict.fromkeys(
            names, 40 // len(names)
        )
    many = [[str(number) for number in range(9)] for _ in range(5)]
    chosen = [one for one, _ in zip(spread_evenly(many, 1), range(18), strict=False)]
    assert all(sum(one[place] == "3" for one in chosen) in (1, 2, 3) for place in range(5))
