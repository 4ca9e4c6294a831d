"""A run that is ready for its next step, and the steps themselves: what is logged, drawn and saved, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from safetensors import SafetensorError

from sorter.files import whole_folder
from trainer.checkpoint import checkpoints, save_checkpoint, step_of
from trainer.config import Run
from trainer.data import steps
from trainer.dataset import Unreadable
from trainer.drawing import draw
from trainer.errors import Diverged, TrainingError
from trainer.header import run_header
from trainer.latents import Encoded
from trainer.loop import Progress, State, train
from trainer.memory import advice, is_out_of_memory
from trainer.methods import Method
from trainer.parts import Parts
from trainer.preview import write_grid
from trainer.prior import ClassPictures
from trainer.processes import ALONE, Processes
from trainer.readback import read_back
from trainer.recipe import Drawn, write_png
from trainer.record import Record, best_step, read_validation
from trainer.validation import validation_loss


@dataclass
class Session:
    """A run that is ready for its next step: networks loaded, dataset checked, pictures encoded."""

    config: Run
    method: Method
    parts: Parts
    encoded: Encoded
    state: State
    fingerprints: dict[str, str]  # hashes of base and dataset, kept in every checkpoint
    prior: ClassPictures | None = None
    held_out: Encoded | None = None  # pictures that are not trained on, where the dataset has such
    together: Processes = ALONE

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """The pictures that are left out."""
        return self.encoded.dataset.unreadable

    @property
    def cut_captions(self) -> int:
        """How many captions are longer than the text encoder reads, so that their end is not learnt."""
        captions = self.encoded.dataset.captions
        return self.parts.too_long([self.method.told(caption) for caption in captions])

    def run(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Progress]:
        """Train to the end, or until `stop()` after a step; a checkpoint is saved in either case.

        Raises TrainingError when the loss diverges, CheckpointError when what was written is not what was trained;
        what is in the run folder stays good.
        """
        config = self.config
        try:
            yield from self._steps(stop) if self.together.first else self._follow(stop)
            if self.state.step == config.training.steps and self.together.first:
                with whole_folder(config.output / "trained") as part:
                    self._save_trained(part, self.name)
            self.together.wait()  # whoever started them ends all when one is gone
        except Diverged as error:
            raise TrainingError(f"{error}; {self._advice()}") from None
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            todo = f"start a new run with, in this order: {advice(config.training)}"
            raise TrainingError(f"out of memory at step {self.state.step + 1}; {todo}; {self._saved()}") from None
        except (OSError, SafetensorError) as error:  # the latter is how safetensors says that a disk is full
            said = f"{getattr(error, 'filename', None) or config.output}: cannot be written: "
            said += getattr(error, "strerror", None) or str(error)
            raise TrainingError(
                f"{said}; make room, and go on with `trainer resume {config.output}`; {self._saved()}"
            ) from None

    def _steps(self, stop: Callable[[], bool]) -> Iterator[Progress]:
        config, training, preview = self.config, self.config.training, self.config.preview
        with closing(Record(config.output, self.state.step)) as record:
            if self.state.step == 0 and preview.every:
                self._preview(record)
            self._validate(record)
            if self.state.step >= training.steps:
                # Killed before `trained` was written; the checkpoint may be of an older version: write it again.
                self._save()
            for progress in self._train():
                record.add(progress)
                last = progress.step == training.steps
                stopped = self.together.any(stop()) and not last
                saving = last or stopped or progress.step % training.checkpoint_every == 0
                if saving or (training.validation_every and progress.step % training.validation_every == 0):
                    self._validate(record)
                if saving:
                    self._save()
                if preview.every and progress.step % preview.every == 0:
                    self._preview(record)
                yield progress
                if stopped:
                    return

    def _follow(self, stop: Callable[[], bool]) -> Iterator[Progress]:
        """The same steps in a process that is not the first: nothing is written."""
        for progress in self._train():
            stopped = self.together.any(stop())
            yield progress
            if stopped:
                return

    def _train(self) -> Iterator[Progress]:
        training, prior = self.config.training, self.prior.encoded if self.prior else None
        batches = steps(self.encoded, training, self.state.step, prior, self.together)
        return train(self.parts, self.method, batches, self.state, training, self.together)

    @property
    def name(self) -> str:
        """What the run's files are called."""
        return self.method.stem(self.config.output.name)

    def _save(self) -> None:
        def save_trained(folder: Path) -> None:
            self._save_trained(folder, f"{self.name}-step{self.state.step:08d}")

        output, keep = self.config.output, self.config.training.keep
        best = partial(best_step, output)
        save_checkpoint(output / "checkpoints", self.state, self.fingerprints, save_trained, keep, best)

    def _validate(self, record: Record) -> None:
        """Take the loss on what is held out, unless it is known."""
        known = {step for step, _ in read_validation(self.config.output)}
        if self.held_out is None or self.config.training.validation_every == 0 or self.state.step in known:
            return
        with self.state.averaged():
            loss = validation_loss(self.parts, self.method, self.held_out, self.config.training.batch_size)
        record.add_validation(self.state.step, loss)

    @property
    def best(self) -> tuple[int, float] | None:
        """The checkpoint that does best on what is held out: its step, and that loss."""
        output = self.config.output
        step = best_step(output, [step_of(path) for path in checkpoints(output / "checkpoints")])
        return None if step is None else (step, dict(read_validation(output))[step])

    def _save_trained(self, folder: Path, name: str) -> None:
        with self.state.averaged():
            self._write_trained(folder, name)

    def _write_trained(self, folder: Path, name: str) -> None:
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
                clip_skip=self.config.training.clip_skip,
                trained=step,
                base=self.fingerprints["base"][:10],
                model=self.parts.base.name,
            )
            for number, prompt in enumerate(preview.prompts)
        ]
        with self.state.averaged():
            pictures = draw(self.parts, drawn, preview.size)
        for number, (picture, about) in enumerate(zip(pictures, drawn, strict=True)):
            write_png(picture, self.config.output / "previews" / f"step-{step:06d}" / f"{number:02d}.png", about)
            record.add_picture(number, picture, step)
        if drawn:
            write_grid(self.config.output, preview.prompts)

    def _saved(self) -> str:
        saved = checkpoints(self.config.output / "checkpoints")
        return f"the last good checkpoint is {saved[-1]}" if saved else "there is no checkpoint yet"

    def _advice(self) -> str:
        return f"{self._saved()}; try a lower learning_rate, or precision fp32 or bf16"
