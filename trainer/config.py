"""train.toml -> Run. Imports nothing heavy and looks at nothing but the file itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidatorFunctionWrapHandler, field_validator, model_validator

from sorter.errors import OptionsError
from sorter.files import read_file
from sorter.hub import HUB_NAME
from sorter.plugins import Options, read_options
from sorter.toml import BACKSLASHES, is_garbled, read_toml
from trainer.base import Base, read_base
from trainer.dataset import Reading
from trainer.errors import ConfigError
from trainer.methods import METHODS, Method
from trainer.samplers import STANDARD, check_steps, find_sampler
from trainer.schedule import Shape, Stage, auto_steps, read_schedule

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Optimizer = Literal["adamw", "adamw-fused", "adamw-8bit", "prodigy", "adafactor"]
AUTO = 0
"""The number of steps where they are still to be counted."""
LEAST_OF_PRODIGY = 0.1
"""Prodigy multiplies the rate by its own estimate: 1 is meant, and what suits AdamW would hardly move anything."""


class Training(Options):
    """How long, how fast, and what a batch looks like. One step is one update of the weights."""

    steps: Positive = 1000  # or "auto": by the number of pictures, as schedule.auto_views says
    resolution: Positive | None = None  # pixels, of a square with the area of a picture; none: the base's own
    batch_size: Positive = 4  # pictures that go through the network at once
    buckets: bool = False  # scale each picture to the nearest of kohya's sizes around that, so that batches fill
    enlarge: bool = False  # with buckets: small pictures, too
    masked_loss: bool = True  # where the dataset has masks, only what is white in them is learnt
    alpha_mask: bool = False  # what is transparent is not learnt; else it is black
    accumulate: Positive = 1  # batches a step, of each process: a step sees batch_size x accumulate pictures of each
    processes: Positive | None = None  # that a step's batches are counted for; none: as many as are started
    learning_rate: float | str = 1e-4  # a number, or "0.001:200, 0.0001:300" (rate:last step that has it)
    schedule: Shape = "constant"  # "linear" or "cosine": a single rate falls to nothing at the last step
    warmup: Count = 0  # steps over which the rate rises from nothing
    optimizer: Optimizer = "adamw"
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0  # 0: gradients are not clipped
    caption_dropout: Share = 0.1  # share of views with an empty caption: what guidance steers away from
    shuffle_tags: bool = False  # at ",", all but the first keep_tags
    keep_tags: Count = 1  # tags that stay in front, and are never dropped
    tag_dropout: Share = 0.0  # share of the other tags that is left out, of each view others
    min_snr_gamma: Annotated[float, Field(ge=0)] = 0.0  # 0: off; 5 is usual
    noise_offset: Annotated[float, Field(ge=0)] = 0.0  # 0: off; 0.03 to 0.1 for very dark or light pictures
    clip_skip: Positive = 1  # layer of the text encoder, from its end; 2 for most models of anime; previews, too
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0  # 0: off; 0.999: draw and ship a running average of the weights
    seed: Count = 0
    precision: Precision = "auto"
    half_frozen: bool = False  # with bf16 or fp16: what is not trained of the U-Net in 16 bits, too
    gradient_checkpointing: bool = False  # compute again what the backward pass needs: less memory, more time
    checkpoint_every: Positive = 100
    keep: Count = 0  # checkpoints to keep, the last ones and the best; 0: all
    validation_every: Count | None = None  # steps; 0: never; none: at checkpoints; where pictures are held out

    @field_validator("steps", mode="wrap")
    @classmethod
    def _steps_may_be_counted(cls, steps: Any, check: ValidatorFunctionWrapHandler) -> int:
        found: int = AUTO if steps == "auto" else check(steps)
        return found

    @model_validator(mode="after")
    def _schedule_reaches_the_end(self) -> Self:
        end = self.stages[-1].until
        if end is not None and end < self.steps:
            raise ValueError(f"learning_rate: the schedule ends at step {end}, before steps = {self.steps}")
        if self.schedule != "constant" and len(self.stages) > 1:
            raise ValueError(f'schedule = "{self.schedule}" takes one learning_rate, and none after a step')
        if self.optimizer == "prodigy" and max(stage.rate for stage in self.stages) < LEAST_OF_PRODIGY:
            raise ValueError("optimizer prodigy finds the rate itself: write learning_rate = 1")
        if self.half_frozen and self.precision == "fp32":
            raise ValueError('half_frozen = true does nothing with precision = "fp32"')
        if self.enlarge and not self.buckets:
            raise ValueError("enlarge = true does nothing without buckets = true")
        return self

    def as_written(self) -> Training:
        """The same with captions that are not varied."""
        return self.model_copy(update={"caption_dropout": 0.0, "shuffle_tags": False, "tag_dropout": 0.0})

    @property
    def reading(self) -> Reading:
        """How the dataset is read."""
        return Reading(self.buckets, self.enlarge, self.masked_loss, self.alpha_mask)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The learning rate, read."""
        return read_schedule(self.learning_rate)

    @property
    def views(self) -> int:
        """Pictures seen in the whole run, each as often as it is seen."""
        return self.steps * self.of_step

    @property
    def batches(self) -> int:
        """Batches of a step, over all processes."""
        return self.accumulate * (self.processes or 1)

    @property
    def of_step(self) -> int:
        """Pictures that a step sees."""
        return self.batch_size * self.batches


class Preview(Options):
    """Pictures drawn at step 0 and every n steps, always from the same prompts and seeds."""

    every: Count = 100  # 0: never
    prompts: tuple[str, ...] = ()  # none: a few captions of the dataset that together have most of its tags
    negative: str = ""
    seed: Count = 0  # of the first prompt; each next one has the next seed
    emphasis: bool = True  # (word:1.3), [word] and \\( as A1111 reads them; false: brackets are words
    sampler: str = STANDARD
    steps: Positive = 50
    guidance: Annotated[float, Field(ge=0)] = 7.5
    size: tuple[Positive, Positive] | None = None  # [width, height]; none: the base's own

    @field_validator("sampler")
    @classmethod
    def _sampler_is_known(cls, name: str) -> str:
        try:
            return find_sampler(name)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _sampler_takes_the_steps(self) -> Self:
        try:
            check_steps(self.sampler, self.steps)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self


class Run(Options):
    """A whole train.toml."""

    base: Path  # a diffusers folder, a single .safetensors, or owner/model on huggingface.co
    tokenizer: Path | None = None  # folder with vocab.json and merges.txt, for a single file; none: CLIP's, fetched
    prediction: Literal["epsilon", "v_prediction"] | None = None  # none: as the base says
    dataset: Path  # an exported imagefolder, or kohya's folders
    output: Path  # the run folder: checkpoints, losses, previews
    cache: Path | None = None  # where encoded pictures are kept; none: ".latents" in the dataset
    method: dict[str, Any] = Field(default={"use": "lora"})
    training: Training = Training()
    preview: Preview = Preview()

    @field_validator("method")
    @classmethod
    def _method_is_named(cls, table: dict[str, Any]) -> dict[str, Any]:
        if type(table.get("use")) is not str:
            raise ValueError(f"[method] needs use = one of {', '.join(METHODS.names())}")
        return table

    def build_method(self, where: str = "train.toml") -> Method:
        """The training method with its options. Raises ConfigError."""
        options = {key: value for key, value in self.method.items() if key != "use"}
        try:
            return METHODS.build(self.method["use"], f"{where} [method]", **options)
        except OptionsError as error:
            raise ConfigError(str(error)) from None

    def open_base(self) -> Base:
        """What the base says of itself. Raises BaseModelError."""
        return read_base(self.base, self.tokenizer, self.prediction)

    @property
    def latents(self) -> Path:
        """Where encoded pictures are kept."""
        return self.cache or self.dataset / ".latents"

    def trained_with(self, where: str, **changes: Any) -> Run:
        """The same with other keys in [training]. Raises ConfigError where they do not go together."""
        if not changes:
            return self
        values = {**self.training.model_dump(), **changes}
        return self.model_copy(update={"training": read_options(Training, values, where, ConfigError)})

    def counted(self, pictures: int, processes: int = 1) -> Run:
        """The same with a number of processes, and with steps = "auto" as a number, for so many pictures. Raises
        ConfigError."""
        training = self.training.model_copy(update={"processes": self.training.processes or processes})
        run = self.model_copy(update={"training": training})
        if run.training.steps != AUTO:
            return run
        steps = auto_steps(pictures, run.training.of_step)
        return run.trained_with(f'steps = "auto", which comes to {steps}', steps=steps)

    def against(self, folder: Path) -> Run:
        """The same with relative paths taken from `folder`."""
        on_hub = HUB_NAME.fullmatch(self.base.as_posix()) and not (folder / self.base).exists()
        run = self._with_paths(lambda path: Path(os.path.abspath(folder / path)))
        return run.model_copy(update={"base": self.base}) if on_hub else run

    def to_json(self) -> str:
        """For run.json in the run folder: paths are relative to it, so that a project can be moved as a whole."""
        moved = self._with_paths(lambda path: _relative(path, self.output) if path.is_absolute() else path)
        return moved.model_dump_json(indent=2)

    def differences(self, other: Run) -> list[str]:
        """The keys by which another configuration differs from this one, such as "training.batch_size"; paths and the
        numbers of steps and of processes, which are counted where they are not written, are left out."""
        found = []
        for table in ("method", "training", "preview"):
            mine, theirs = getattr(self, table), getattr(other, table)
            old, new = (one if isinstance(one, dict) else one.model_dump() for one in (mine, theirs))
            # Of previews, an older version had other defaults: only what is written counts.
            keys = dict.fromkeys(other.preview.model_fields_set if table == "preview" else [*old, *new])
            found += [f"{table}.{key}" for key in keys if _differ(old.get(key), new.get(key))]
        counted = {"training.steps", "training.processes", *(() if other.preview.prompts else ("preview.prompts",))}
        return [name for name in found if name not in counted]

    def _with_paths(self, change: Any) -> Run:
        paths = {name: getattr(self, name) for name in ("base", "tokenizer", "dataset", "output", "cache")}
        return self.model_copy(update={name: change(path) for name, path in paths.items() if path is not None})


def read_config(path: Path, with_files: bool = True) -> Run:
    """Read and check a train.toml, the method's options included; relative paths are taken from its folder.

    with_files: files that the method's options name are read, too. Raises ConfigError: one sentence with the file,
    the key and the nearest right name.
    """
    try:
        values = read_toml(path, ConfigError)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    for key in ("base", "tokenizer", "dataset", "output", "cache"):
        if isinstance(values.get(key), str) and is_garbled(values[key]):
            raise ConfigError(f"{path}: {key} = {values[key]!r}: {BACKSLASHES}")
    run = read_options(Run, values, str(path), ConfigError).against(path.parent)
    method = run.build_method(str(path))
    if with_files:
        run = run.model_copy(update={"method": {**run.method, **method.kept(path.parent)}})
    return run


def read_run(folder: Path) -> Run:
    """The configuration that a run folder was started with. Raises ConfigError."""
    path = folder / "run.json"
    try:
        values = json.loads(read_file(path))
    except OSError:
        raise ConfigError(f"{folder}: not a run folder: there is no run.json in it") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no table, so it is damaged; write it again from train.toml")
    if isinstance(values.get("preview"), dict):
        values["preview"] = {
            "sampler": "DDIM",
            "emphasis": False,
            **values["preview"],
        }  # of before
    run = read_options(Run, values, str(path), ConfigError).against(folder)
    run.build_method(str(path))
    return run


def _differ(begun: object, written: object) -> bool:
    """Lines that a file gave cannot be compared with its name, which may mean nothing in a run folder."""
    return begun != written and not (isinstance(begun, list) and isinstance(written, str))


def _relative(path: Path, start: Path) -> Path:
    try:
        return Path(os.path.relpath(path, start).replace(os.sep, "/"))
    except ValueError:  # on Windows there is no way from one drive to another
        return path
