"""A run folder from its first step to its last.

    train.toml     the configuration as it was given
    run.json       the same with all defaults; resuming reads this
    losses.csv     step,loss,learning_rate
    tensorboard/   the same, and the previews
    previews/      step-000000/00.png ...
    checkpoints/   step-000100/ ...
    trained/       what came out in the end
    aside-1/       what came after a step that was gone back to, as a run folder of its own

Losses after the last checkpoint are written again on resuming; nothing else is ever changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from sorter.files import clear_away, read_file, whole_folder, write
from trainer.base import read_base
from trainer.checkpoint import checkpoints, find_checkpoint, load_checkpoint, save_checkpoint, step_of
from trainer.config import Run, read_run
from trainer.data import steps
from trainer.dataset import Unreadable, read_dataset
from trainer.errors import ConfigError, Diverged, RunError, TrainingError
from trainer.folder import check_drawable, check_output, forget_after, say_differences, set_aside
from trainer.formats import file_stem
from trainer.header import run_header
from trainer.latents import Encoded, encode
from trainer.loop import Progress, State, initial_state, seeded, train
from trainer.methods import Method
from trainer.methods.denoise import min_snr_weights
from trainer.parts import Parts, check_fit, load_parts, skeleton
from trainer.readback import read_back
from trainer.recipe import Drawn, write_png
from trainer.record import Record
from trainer.sample import sample
from trainer.samplers import scheduler
from trainer.source import Source

OnProgress = Callable[[str, int, int], None]
"""Called with the name of the work, how much of it is done, and how much there is."""


def _show_nothing(what: str, done: int, of: int) -> None:
    pass


@dataclass
class Session:
    """A run that is ready for its next step: networks loaded, dataset checked, pictures encoded."""

    config: Run
    method: Method
    parts: Parts
    encoded: Encoded
    state: State
    fingerprints: dict[str, str]  # hashes of base and dataset, kept in every checkpoint

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """The pictures that are left out."""
        return self.encoded.dataset.unreadable

    @property
    def cut_captions(self) -> int:
        """How many captions are longer than the text encoder reads, so that their end is not learnt."""
        return self.parts.too_long([example.caption for example in self.encoded.dataset.examples])

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
        """Train to the end, or until `stop()` after a step; a checkpoint is saved in either case.

        Raises TrainingError when the loss diverges, CheckpointError when what was written is not what was trained;
        what is in the run folder stays good.
        """
        config = self.config
        try:
            yield from self._steps(stop)
            if self.state.step == config.training.steps:
                with whole_folder(config.output / "trained") as part:
                    self._save_trained(part, self.name)
        except Diverged as error:
            raise TrainingError(f"{error}; {self._advice()}") from None
        except OSError as error:
            said = f"{error.filename or config.output}: cannot be written: {error.strerror or error}"
            raise TrainingError(
                f"{said}; make room, and go on with `trainer resume {config.output}`; {self._saved()}"
            ) from None

    def _steps(self, stop: Callable[[], bool]) -> Iterator[Progress]:
        config, training, preview = self.config, self.config.training, self.config.preview
        with closing(Record(config.output, self.state.step)) as record:
            if self.state.step == 0 and preview.every:
                self._preview(record)
            if self.state.step >= training.steps:
                # Killed before `trained` was written; the checkpoint may be of an older version: write it again.
                self._save()
            batches = steps(self.encoded, training, self.state.step)
            for progress in train(self.parts, self.method, batches, self.state, training):
                record.add(progress)
                last = progress.step == training.steps
                stopped = not last and stop()
                if last or stopped or progress.step % training.checkpoint_every == 0:
                    self._save()
                if preview.every and progress.step % preview.every == 0:
                    self._preview(record)
                yield progress
                if stopped:
                    return

    @property
    def name(self) -> str:
        """What the run's files are called."""
        return file_stem(self.config.output.name)

    def _save(self) -> None:
        def save_trained(folder: Path) -> None:
            self._save_trained(folder, f"{self.name}-step{self.state.step:08d}")

        save_checkpoint(
            self.config.output / "checkpoints", self.state, self.fingerprints, save_trained, self.config.training.keep
        )

    def _save_trained(self, folder: Path, name: str) -> None:
        about = run_header(
            self.name,
            self.parts.base,
            self.fingerprints["base"],
            self.encoded.dataset,
            self.config.training,
            self.state.step,
        )
        self.method.save(self.parts, folder, name, about)
        read_back(self.method, self.parts, folder)

    def _preview(self, record: Record) -> None:
        preview, step = self.config.preview, self.state.step
        drawn = [
            Drawn(
                prompt=prompt,
                seed=preview.seed + number,
                negative=preview.negative,
                steps=preview.steps,
                guidance=preview.guidance,
                sampler=preview.sampler,
                emphasis=preview.emphasis,
                trained=step,
                base=self.fingerprints["base"][:10],
                model=self.parts.base.folder.name,
            )
            for number, prompt in enumerate(preview.prompts)
        ]
        pictures = draw(self.parts, drawn, preview.size)
        for number, (picture, about) in enumerate(zip(pictures, drawn, strict=True)):
            write_png(picture, self.config.output / "previews" / f"step-{step:06d}" / f"{number:02d}.png", about)
            record.add_picture(number, picture, step)

    def _saved(self) -> str:
        saved = checkpoints(self.config.output / "checkpoints")
        return f"the last good checkpoint is {saved[-1]}" if saved else "there is no checkpoint yet"

    def _advice(self) -> str:
        return f"{self._saved()}; try a lower learning_rate, or precision fp32 or bf16"


def start(config: Run, source: Path | None = None, on_progress: OnProgress = _show_nothing) -> Session:
    """Begin a new run in `config.output`, which must be new or empty. `source` is the train.toml, to be copied.

    Raises RunError, BaseModelError, DatasetError or ConfigError; nothing is written before all of them are checked.
    """
    output = config.output
    check_output(config)
    session = _session(config, on_progress)
    clear_away(output)  # what a start that was cut off left
    write(output / "run.json", config.to_json().encode())
    if source is not None:
        write(output / "train.toml", read_file(source))
    return session


def resume(
    folder: Path, total: int | None = None, on_progress: OnProgress = _show_nothing, step: int | None = None
) -> Session:
    """Continue from the last checkpoint of a run folder, or from step 0 where there is none yet.

    total: another number of steps in all. step: go back to the checkpoint of this step, 0 to the beginning; what came
    after it is moved into `aside-1`. A run that stopped between its last checkpoint and `trained` writes only
    `trained`. Raises RunError where the run is at its end, CheckpointError where a checkpoint is damaged, or base or
    pictures have changed.
    """
    config = begun = read_run(folder)
    if total is not None:
        training = config.training.model_copy(update={"steps": total})
        end = training.schedule[-1].until
        if end is not None and end < total:
            raise ConfigError(f"{folder}: the learning_rate ends at step {end}, before step {total}")
        config = config.model_copy(update={"training": training})
    say_differences(folder, config)
    folders = checkpoints(folder / "checkpoints")
    chosen = (
        find_checkpoint(folder / "checkpoints", step) if step else folders[-1] if folders and step is None else None
    )
    session = _session(config, on_progress)
    if chosen is not None:
        load_checkpoint(chosen, session.state, session.fingerprints)
    if session.state.step >= config.training.steps and step is None and (folder / "trained").exists():
        raise RunError(
            f"{folder}: all {config.training.steps} steps are done; give `--steps` a larger number to train on"
        )
    set_aside(begun, session.state.step, step is not None)
    if total is not None:
        write(folder / "run.json", config.to_json().encode())
    forget_after(folder, session.state.step)
    for place in (folder, folder / "checkpoints"):
        clear_away(place)
    return session


def load_trained(folder: Path, step: int | None = None, device: str | None = None) -> tuple[Parts, int]:
    """The parts as trained in a run folder at `step` (none: the last checkpoint), and that step. Step 0 is the base.

    Raises CheckpointError where there is no such checkpoint.
    """
    config = read_run(folder)
    checkpoint = None if step == 0 else find_checkpoint(folder / "checkpoints", step)
    parts = load_parts(read_base(config.base), _drawing_precision(config), device)
    if checkpoint is None:
        return parts, 0
    config.build_method(str(folder)).load(parts, checkpoint / "trained")
    return parts, step_of(checkpoint)


def trained_lora(folder: Path, step: int) -> dict[str, float]:
    """The name of the LoRA that a run folder holds of `step`, as A1111 finds it, and its weight; none of step 0."""
    config = read_run(folder)
    if step == 0 or not config.build_method(str(folder)).is_lora:
        return {}
    name = file_stem(config.output.name)
    return {name if step == config.training.steps else f"{name}-step{step:08d}": 1.0}


def draw(
    parts: Parts,
    drawn: list[Drawn],
    size: tuple[int, int] | None = None,
    source: Source | None = None,
    batch_size: int = 8,
) -> list[Image.Image]:
    """Draw the pictures that are described, so many at once; all but prompts and seeds are those of the first."""
    if not drawn:
        return []
    return sample(
        parts,
        [picture.prompt for picture in drawn],
        [picture.seed for picture in drawn],
        steps=drawn[0].steps,
        guidance=drawn[0].guidance,
        sampler=drawn[0].sampler,
        emphasis=drawn[0].emphasis,
        clip_skip=drawn[0].clip_skip,
        source=source,
        batch_size=batch_size,
        negative=drawn[0].negative,
        size=size,
    )


def _session(config: Run, on_progress: OnProgress) -> Session:
    base = read_base(config.base)
    check_drawable(config, base)
    dataset = read_dataset(config.dataset, base.factor, config.training.resolution or base.size)
    bare = skeleton(base)
    check_fit(bare)
    scheduler(bare, config.preview.sampler)
    parts = load_parts(base, config.training.precision)
    encoded = encode(parts, dataset, config.latents, lambda done, of: on_progress("encoding pictures", done, of))
    weights = min_snr_weights(parts.noise_scheduler, config.training.min_snr_gamma)
    parts = replace(parts, timestep_weights=weights.to(parts.device))
    method = config.build_method()
    seeded(config.training.seed, 0)  # fresh weights are drawn from the global generator
    state = initial_state(parts, method.prepare(parts), config.training)
    data = encoded.dataset
    fingerprints = {
        "base": base.fingerprint(),
        "dataset": data.fingerprint(),
        "pictures": data.pictures(),
        "scales": data.scales(),
    }
    return Session(config, method, parts, encoded, state, fingerprints)


def _drawing_precision(config: Run) -> str:
    """fp16 is only for GPUs, and a run may be looked at on another machine."""
    return "auto" if config.training.precision == "fp16" else config.training.precision
