"""A run folder from its first step to its last.

    train.toml     the configuration as it was given
    run.json       the same with all defaults; resuming reads this
    losses.csv     step,loss,learning_rate
    validation.csv step,loss on what is held out, where the dataset has such
    tensorboard/   the same, and the previews
    previews/      step-000000/00.png ...
    previews.jpg   all of them, a row a step
    checkpoints/   step-000100/ ...
    trained/       what came out in the end
    aside-1/       what came after a step that was gone back to, as a run folder of its own

Losses after the last checkpoint are written again on resuming; nothing else is ever changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sorter.files import clear_away, read_file, write
from trainer.checkpoint import checkpoints, find_checkpoint, load_checkpoint
from trainer.config import Run, Training, read_run
from trainer.dataset import read_dataset
from trainer.device import card_advice
from trainer.errors import LoaderWarning, RunError
from trainer.folder import check_drawable, check_output, forget_after, say_differences, set_aside
from trainer.latents import encode
from trainer.load import check_fit, load_parts, skeleton
from trainer.loop import initial_state, seeded
from trainer.memory import advice
from trainer.methods.denoise import min_snr_weights
from trainer.optimizers import check_optimizer
from trainer.out_of_memory import enough_memory
from trainer.parts import Parts
from trainer.preview import suggest
from trainer.prior import class_pictures
from trainer.processes import Processes, processes
from trainer.sample import check_clip_skip
from trainer.samplers import scheduler
from trainer.session import Session

OnProgress = Callable[[str, int, int], None]
"""Called with the name of the work, how much of it is done, and how much there is."""


def _show_nothing(what: str, done: int, of: int) -> None:
    pass


def start(config: Run, source: Path | None = None, on_progress: OnProgress = _show_nothing) -> Session:
    """Begin a new run in `config.output`, which must be new or empty. `source` is the train.toml, to be copied.

    Raises RunError, BaseModelError, DatasetError or ConfigError; nothing is written before all of them are checked.
    """
    output, together = config.output, processes()
    with together.first_before_others():
        check_output(config)
        with enough_memory("before the first step", f"lower, in this order: {advice(config.training)}"):
            session = _session(config, on_progress, together)
    if not together.first:
        return session
    preview = session.config.preview
    if preview.every and not preview.prompts:
        told = list(map(session.method.told, session.encoded.dataset.captions))
        preview = preview.model_copy(update={"prompts": suggest(told, preview.emphasis)})
    # Where steps = "auto", the session's own knows how many.
    config = session.config = session.config.model_copy(update={"preview": preview})
    clear_away(output)  # what a start that was cut off left
    write(output / "run.json", config.to_json().encode())
    if source is not None:
        write(output / "train.toml", read_file(source))
    return session


def resume(
    folder: Path, total: int | None = None, on_progress: OnProgress = _show_nothing, step: int | None = None,
    learning_rate: float | str | None = None,
) -> Session:  # fmt: skip
    """Continue from the last checkpoint of a run folder, or from step 0 where there is none yet.

    total: another number of steps in all; learning_rate: another one, from here on; both stay in run.json. step: go
    back to the checkpoint of this step, 0 to the beginning; what came after it is moved into `aside-1`. A run that
    stopped between its last checkpoint and `trained` writes only `trained`. Raises RunError where the run is at its
    end, CheckpointError where a checkpoint is damaged, or base or pictures have changed, ConfigError where what is
    changed does not fit the rest.
    """
    together = processes()
    config = begun = read_run(folder)
    changes = {key: value for key, value in (("steps", total), ("learning_rate", learning_rate)) if value is not None}
    # A run of an earlier version was one process's.
    config = config.trained_with(str(folder), processes=begun.training.processes or 1, **changes)
    say_differences(folder, config)
    folders = checkpoints(folder / "checkpoints")
    chosen = (
        find_checkpoint(folder / "checkpoints", step) if step else folders[-1] if folders and step is None else None
    )
    with together.first_before_others():
        with enough_memory("before the next step", f"start a new run with, in this order: {advice(config.training)}"):
            session = _session(config, on_progress, together)
        if chosen is not None:
            load_checkpoint(chosen, session.state, session.fingerprints)
        if session.state.step >= config.training.steps and step is None and (folder / "trained").exists():
            raise RunError(
                f"{folder}: all {config.training.steps} steps are done; give `--steps` a larger number to train on"
            )
    if not together.first:
        return session
    set_aside(begun, session.state.step, step is not None)
    if changes:
        write(folder / "run.json", config.to_json().encode())
    forget_after(folder, session.state.step)
    for place in (folder, folder / "checkpoints"):
        clear_away(place)
    return session


def _session(config: Run, on_progress: OnProgress, together: Processes) -> Session:
    if said := card_advice():
        warnings.warn(said, LoaderWarning, stacklevel=2)
    base = config.open_base()
    check_drawable(config, base)
    training = config.training
    if training.processes:
        together.own(training.batches)
    read = partial(read_dataset, config.dataset, base.factor, training.resolution or base.size, how=training.reading)
    dataset = read()
    held_out = read(part="validation") if training.validation_every != 0 else None
    bare = skeleton(base)
    check_fit(bare)
    check_clip_skip(bare, config.training.clip_skip)
    check_optimizer(config.training.optimizer)
    scheduler(bare, config.preview.sampler)
    parts = load_parts(base, config.training.precision, at_rest=True)
    encoded = encode(parts, dataset, config.latents, lambda done, of: on_progress("encoding pictures", done, of))
    config = config.counted(len(encoded.dataset.examples), together.count)
    weights = min_snr_weights(parts.noise_scheduler, config.training.min_snr_gamma)
    parts = replace(
        parts,
        timestep_weights=weights.to(parts.device),
        noise_offset=training.noise_offset,
        clip_skip=training.clip_skip,
    )
    method = config.build_method()
    wanted = method.prior
    prior = class_pictures(parts, wanted, config.preview, config.latents, on_progress) if wanted else None
    judged = encode(parts, held_out, config.latents) if held_out and held_out.examples else None
    captions = [one for some in (encoded, judged) if some for one in some.dataset.captions]
    halved = training.half_frozen and parts.dtype != torch.float32
    if not halved:  # else they may not fit on the device before
        parts.stay(*parts.networks)
    seeded(config.training.seed, 0)  # fresh weights are drawn from the global generator
    trained = method.prepare(parts)
    if halved:
        parts.halve_frozen()
    if training.gradient_checkpointing:
        parts.checkpoint_gradients()
    if parts.device.type != "cpu":
        resting = _resting(parts, captions, training)
        parts.rest(*resting)
        parts.stay(*(name for name in parts.networks if name not in resting))
    state = initial_state(parts, trained, config.training)
    data = encoded.dataset
    fingerprints = {
        "base": base.fingerprint(),
        "dataset": data.fingerprint(),
        "pictures": data.pictures(),
        "scales": data.scales(),
        "seen": data.seen(),
        "class": prior.fingerprint if prior else "",
    }
    return Session(config, method, parts, encoded, state, fingerprints, prior, judged, together)


def _resting(parts: Parts, captions: Sequence[str], training: Training) -> list[str]:
    """The networks that steps do not need: the autoencoder, and text encoders that do not learn, where each caption is
    encoded once and kept."""
    learns = any(parameter.requires_grad for one in parts.text_encoders.values() for parameter in one.parameters())
    if learns or training.shuffle_tags or training.tag_dropout or not parts.keeps(len(set(captions)) + 1):
        return ["vae"]
    return ["vae", *parts.text_encoders]
