"""Everything that can go wrong in training by what a user gave us.

    ModelsheetError
    ├── OptionsError
    │   └── ConfigError        train.toml, or run.json of a run folder
    ├── DatasetError           (of sorter.errors) the dataset folder
    ├── BaseModelError         the model that is trained on top of
    ├── EvaluationError        pictures that are to be judged
    ├── RunError               a run folder that cannot be started, resumed or sampled from as asked
    │   └── CheckpointError    one checkpoint in it
    ├── LoraError              a LoRA file to draw with
    ├── SourceError            a picture to draw from, or its mask
    ├── TrainingError          the training itself
    │   ├── Diverged           the loss or a gradient is no longer a number
    │   └── OutOfMemory        (of trainer.out_of_memory) there is not enough of it
    └── MissingExtra           (of sorter.errors) the "train" part is not installed

The rest of the tree is in `sorter.errors`.
"""

from __future__ import annotations

from sorter.errors import ModelsheetError, OptionsError


class ConfigError(OptionsError):
    """train.toml does not say something that can be carried out."""


class BaseModelError(ModelsheetError):
    """The base cannot be read, or is of a kind that cannot be trained here."""


class RunError(ModelsheetError):
    """A run folder cannot be used as asked."""


class CheckpointError(RunError):
    """A checkpoint is missing, damaged, or of something else."""


class LoraError(ModelsheetError):
    """A LoRA file cannot be read, or does not fit the base."""


class SourceError(ModelsheetError):
    """A picture cannot be drawn from, or not by that mask or strength."""


class TrainingError(ModelsheetError):
    """Training cannot go on."""


class Diverged(TrainingError):
    """A loss or a gradient that is not a number, at `step`; the weights are those of the step before."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"the {what} at step {step} is not a number")
        self.step = step


class EvaluationError(ModelsheetError):
    """There are no pictures to judge, or nothing to judge them by."""


class LoaderWarning(UserWarning):
    """What a library says while it loads the base; shown, since the result may not be what is expected."""
