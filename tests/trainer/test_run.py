from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import trainer
from trainer import checkpoint, read_config, read_losses
from trainer.errors import CheckpointError, LoaderWarning, RunError, TrainingError
from trainer.methods import Lora

WriteConfig = Callable[..., Path]


def run_whole(path: Path) -> Path:
    config = read_config(path)
    assert len(list(trainer.start(config, path).run())) == config.training.steps
    return config.output


def weights(run: Path, step: int) -> dict[str, torch.Tensor]:
    folder = run / "checkpoints" / f"step-{step:06d}"
    return load_file(folder / "parameters.safetensors") | load_file(folder / "optimizer.safetensors")


def assert_same(one: Path, other: Path, step: int) -> None:
    first, second = weights(one, step), weights(other, step)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("text_encoder", [False, True])
def test_stopping_and_resuming_is_the_same_run_bit_for_bit(write_config: WriteConfig, text_encoder: bool) -> None:
    keys = {
        "method": {"dropout": 0.2, "text_encoder": text_encoder}, "steps": 6, "accumulate": 2, "shuffle_tags": True,
        "checkpoint_every": 3,
    }  # fmt: skip
    whole = run_whole(write_config("whole", **keys))
    config = read_config(write_config("parts", **keys))
    # Two steps, killed before the first checkpoint; then four, killed one after the checkpoint; then to the end.
    list(itertools.islice(trainer.start(config).run(), 2))
    list(itertools.islice(trainer.resume(config.output).run(), 4))
    assert [progress.step for progress in trainer.resume(config.output).run()] == [4, 5, 6]
    assert_same(whole, config.output, 6)
    assert read_losses(whole) == read_losses(config.output)
    assert len(read_losses(whole)) == 6
    for name in ("step-000000", "step-000004", "step-000006"):
        first, second = ((run / "previews" / name / "00.png").read_bytes() for run in (whole, config.output))
        assert first == second


def test_training_moves_what_it_should_and_lowers_the_loss(write_config: WriteConfig) -> None:
    path = write_config(steps=30, checkpoint_every=30, preview={"every": 0}, caption_dropout=0.0)
    session = trainer.start(read_config(path))
    frozen = {name: p.clone() for name, p in session.parts.unet.named_parameters() if not p.requires_grad}
    losses = [progress.loss for progress in session.run()]
    assert sum(losses[-10:]) < sum(losses[:10])
    assert all(torch.equal(p, frozen[name]) for name, p in session.parts.unet.named_parameters() if name in frozen)
    assert not (session.config.output / "previews").exists()


def test_previews_come_at_the_start_and_every_n_steps(write_config: WriteConfig) -> None:
    run = run_whole(write_config(preview={"every": 3, "prompts": ["mira", "mira, sad"], "seed": 7}))
    found = sorted(path.relative_to(run / "previews").as_posix() for path in (run / "previews").rglob("*.png"))
    assert found == [f"step-{step:06d}/{number:02d}.png" for step in (0, 3) for number in (0, 1)]
    with Image.open(run / "previews" / "step-000003" / "01.png") as picture:
        about = json.loads(picture.text["modelsheet"])
    assert (about["prompt"], about["seed"], about["trained"], about["sampler"]) == ("mira, sad", 8, 3, "Euler a")


def test_tensorboard_reads_what_was_written(write_config: WriteConfig) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = run_whole(write_config())
    board = EventAccumulator(str(run / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == [1, 2, 3, 4]
    assert [event.value for event in board.Scalars("learning_rate")] == pytest.approx([0.005, 0.01, 0.01, 0.01])
    assert [event.step for event in board.Images("preview/00")] == [0, 2, 4]


def test_pictures_are_encoded_once(write_config: WriteConfig, dataset_folder: Path) -> None:
    first = trainer.start(read_config(write_config("one")))
    assert first.encoded.newly_encoded == 5
    second = trainer.start(read_config(write_config("two")))
    assert second.encoded.newly_encoded == 0
    assert all(map(torch.equal, first.encoded.moments, second.encoded.moments))
    cached = sorted((dataset_folder / ".latents").rglob("*.safetensors"))
    assert len(cached) == 5
    cached[0].write_bytes(cached[0].read_bytes()[:50])
    Image.new("RGB", (32, 32), "red").save(dataset_folder / "0.png")
    assert trainer.start(read_config(write_config("three"))).encoded.newly_encoded in (
        1,
        2,
    )  # the cut one may be of 0.png


def test_a_picture_that_breaks_off_is_left_out_and_reported(write_config: WriteConfig, dataset_folder: Path) -> None:
    path = dataset_folder / "1.png"
    Image.effect_noise((32, 32), 90).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:400])
    session = trainer.start(read_config(write_config(steps=1)))
    assert [one.file_name for one in session.unreadable] == ["1.png"]
    assert len(list(session.run())) == 1


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_what_is_not_a_number_stops_the_run_with_a_sentence(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    honest = Lora.loss
    calls = itertools.count(1)

    def loss(self: Lora, *given: object) -> torch.Tensor:
        good = honest(self, *given)  # type: ignore[arg-type]
        if next(calls) != 4:
            return good
        return good * float("nan") if where == "loss" else good + (good - good.detach()).sqrt()

    monkeypatch.setattr(Lora, "loss", loss)
    config = read_config(write_config(steps=9))
    session = trainer.start(config)
    with pytest.raises(TrainingError) as found:
        list(session.run())
    sentence = str(found.value)
    assert f"the {where} at step 4 is not a number" in sentence
    assert f"{config.output / 'checkpoints' / 'step-000002'}" in sentence
    assert "lower learning_rate" in sentence
    assert all(parameter.isfinite().all() for parameter in session.state.parameters.values())
    assert [row[0] for row in read_losses(config.output)] == [1, 2, 3]
    assert [progress.step for progress in trainer.resume(config.output).run()][:2] == [3, 4]


def test_a_checkpoint_that_fails_half_way_leaves_the_earlier_one(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = read_config(write_config())
    honest = checkpoint.tensors_of
    saves = itertools.count(1)

    def full_disk(*given: object) -> dict[str, torch.Tensor]:
        if next(saves) == 2:
            raise OSError(28, "No space left on device")
        return honest(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "tensors_of", full_disk)
        with pytest.raises(TrainingError, match=r"No space left on device; make room.*checkpoint is .*step-000002"):
            list(trainer.start(config).run())
    folder = config.output / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["step-000002"]
    cut_off = folder / ".step-000004.1f3a0c77.modelsheet-part"  # as a machine that stops leaves it
    cut_off.mkdir()
    (cut_off / "parameters.safetensors").write_bytes(b"half")
    assert [path.name for path in checkpoint.checkpoints(folder)] == ["step-000002"]
    assert [progress.step for progress in trainer.resume(config.output).run()] == [3, 4]
    assert sorted(path.name for path in folder.iterdir()) == ["step-000002", "step-000004"]


def test_only_the_last_checkpoints_are_kept(write_config: WriteConfig) -> None:
    run = run_whole(write_config(steps=5, checkpoint_every=1, keep=2, preview={"every": 0}))
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["step-000004", "step-000005"]


def test_a_run_is_not_begun_over_another(write_config: WriteConfig, tmp_path: Path) -> None:
    path = write_config()
    run = run_whole(path)
    assert (run / "train.toml").read_bytes() == path.read_bytes()
    with pytest.raises(RunError, match=r"continue with `trainer resume .*run`"):
        trainer.start(read_config(path))
    with pytest.raises(RunError, match="all 4 steps are done"):
        trainer.resume(run)
    assert [progress.step for progress in trainer.resume(run, 6).run()] == [5, 6]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="not an empty folder"):
        trainer.start(read_config(write_config("full")))


def test_another_dataset_is_not_resumed_with(write_config: WriteConfig, dataset_folder: Path) -> None:
    config = read_config(write_config())
    list(itertools.islice(trainer.start(config).run(), 3))
    rows = dataset_folder / "metadata.jsonl"
    rows.write_text(rows.read_text(encoding="utf-8").replace("smiling", "grinning"), encoding="utf-8")
    with pytest.warns(LoaderWarning, match="captions have changed since; the run goes on with the new ones"):
        trainer.resume(config.output)
    lines = rows.read_text(encoding="utf-8").splitlines()
    rows.write_text("\n".join(lines[1:]), encoding="utf-8")
    with pytest.raises(CheckpointError, match="trained with another dataset"):
        trainer.resume(config.output)


def test_a_run_folder_that_was_cut_off_at_its_start_is_begun_again(write_config: WriteConfig) -> None:
    config = read_config(write_config())
    config.output.mkdir(parents=True)
    (config.output / ".run.json.1f3a0c77.modelsheet-part").write_text("{")
    trainer.start(config)
    assert [path.name for path in config.output.iterdir()] == ["run.json"]


def test_an_edited_copy_of_the_configuration_is_told_of(write_config: WriteConfig) -> None:
    run = run_whole(write_config())
    path = run / "train.toml"
    path.write_text(path.read_text().replace("[training]", "[training]\nweight_decay = 0.5"))
    with pytest.warns(LoaderWarning, match=r"training\.weight_decay differ from what the run was started with"):
        trainer.resume(run, 6)


def test_one_can_go_back_to_an_earlier_checkpoint(write_config: WriteConfig) -> None:
    run = run_whole(write_config())
    (run / "checkpoints" / "step-000004" / "state.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"step-000004: damaged: .*go back to the one before with --step 2"):
        trainer.resume(run, 6)
    assert [progress.step for progress in trainer.resume(run, step=2).run()] == [3, 4]
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == ["step-000002", "step-000004"]


def test_nothing_that_came_after_is_lost_by_going_back_however_often(write_config: WriteConfig) -> None:
    run = run_whole(write_config())
    kept = []
    for round_ in (1, 2, 3):
        mark = run / "checkpoints" / "step-000004" / "round.txt"
        mark.write_text(str(round_))
        (run / "trained" / "round.txt").write_text(str(round_))
        kept.append((run / "losses.csv").read_bytes())
        session = trainer.resume(run, step=2 if round_ < 3 else 0)
        assert not (run / "trained").exists()
        assert [progress.step for progress in session.run()][-1] == 4
    for round_ in (1, 2, 3):
        aside = run / f"aside-{round_}"
        assert (aside / "checkpoints" / "step-000004" / "round.txt").read_text() == str(round_)
        assert (aside / "trained" / "round.txt").read_text() == str(round_)
        assert (aside / "previews" / "step-000004" / "00.png").exists()
        assert (aside / "losses.csv").read_bytes() == kept[round_ - 1]
        assert trainer.load_trained(aside)[1] == 4  # it is a run of its own
    assert len(list((run / "aside-3" / "checkpoints").iterdir())) == 2


def test_what_was_trained_before_more_steps_is_not_taken_for_their_result(write_config: WriteConfig) -> None:
    run = run_whole(write_config(checkpoint_every=1))
    first = (run / "trained" / "run.safetensors").read_bytes()
    session = trainer.resume(run, 6)
    assert [progress.step for progress in itertools.islice(session.run(), 2)] == [5, 6]  # killed before `trained`
    assert not (run / "trained").exists()
    assert (run / "aside-1" / "trained" / "run.safetensors").read_bytes() == first
    assert list(trainer.resume(run).run()) == []
    assert (run / "trained" / "run.safetensors").read_bytes() != first
    assert sorted(path.name for path in (run / "aside-1").iterdir()) == ["run.json", "trained"]


def test_a_checkpoint_that_is_cut_off_while_it_is_removed_is_none(
    write_config: WriteConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    config = read_config(write_config(keep=1))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path: (path / "state.json").unlink())
        list(trainer.start(config).run())
    assert [path.name for path in checkpoint.checkpoints(config.output / "checkpoints")] == ["step-000004"]
    trainer.resume(config.output, 6)
    assert [path.name for path in (config.output / "checkpoints").iterdir()] == ["step-000004"]


def test_a_run_that_did_not_scale_its_pictures_is_not_gone_on_with(
    write_config: WriteConfig, dataset_folder: Path
) -> None:
    Image.new("RGB", (64, 64), "red").save(dataset_folder / "0.png")
    config = read_config(write_config())
    list(itertools.islice(trainer.start(config).run(), 3))
    path = config.output / "checkpoints" / "step-000002" / "state.json"
    path.write_text(path.read_text().replace('"scales"', '"unheard"'))
    with pytest.raises(CheckpointError, match="earlier versions did not scale the large ones; start a new run"):
        trainer.resume(config.output)


def test_a_run_can_be_gone_on_with_at_another_precision(write_config: WriteConfig) -> None:
    config = read_config(write_config(precision="bf16"))
    list(itertools.islice(trainer.start(config).run(), 3))
    session = trainer.resume(config.output)
    session.state.scaler = torch.amp.GradScaler("cpu", enabled=True)  # as fp16 on a GPU has it
    folder = config.output / "checkpoints" / "step-000002"
    checkpoint.load_checkpoint(folder, session.state, session.fingerprints)
    assert session.state.step == 2


def test_drawing_with_a_checkpoint(write_config: WriteConfig) -> None:
    from trainer.recipe import Drawn

    run = run_whole(write_config())
    drawn = [Drawn(prompt="mira", seed=0, steps=3)]
    pictures = {}
    for step in (0, 2, None):
        parts, trained = trainer.load_trained(run, step)
        pictures[trained] = trainer.draw(parts, drawn)[0].tobytes()
    assert len(set(pictures.values())) == 3
    assert list(pictures) == [0, 2, 4]
    with pytest.raises(CheckpointError, match="no checkpoint of step 3; there are 2, 4"):
        trainer.load_trained(run, 3)


def test_a_run_killed_before_the_very_end_is_finished(write_config: WriteConfig) -> None:
    """The last checkpoint is there and `trained` is not; that of the checkpoint is written again, too."""
    import shutil

    run = run_whole(write_config())
    wanted = load_file(run / "trained" / "run.safetensors")
    shutil.rmtree(run / "trained")
    file = run / "checkpoints" / "step-000004" / "trained" / "run-step00000004.safetensors"
    file.rename(file.with_name("pytorch_lora_weights.safetensors"))
    assert list(trainer.resume(run).run()) == []
    for found in (run / "trained" / "run.safetensors", file):
        tensors = load_file(found)
        assert tensors.keys() == wanted.keys()
        assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert [row[0] for row in read_losses(run)] == [1, 2, 3, 4]
    with pytest.raises(RunError, match="all 4 steps are done"):
        trainer.resume(run)
