"""What a trainer will make of a dataset, one file each trainer. A plug point. Pure."""

from sorter.dataset.doctor import ai_toolkit, diffusers, kohya, onetrainer, simpletuner
from sorter.dataset.doctor.base import Dataset, Seen, Trainer, trainers
from sorter.dataset.doctor.diagnosis import Diagnosis, Example, Finding

__all__ = [
    "Dataset",
    "Diagnosis",
    "Example",
    "Finding",
    "Seen",
    "Trainer",
    "ai_toolkit",
    "diffusers",
    "kohya",
    "onetrainer",
    "simpletuner",
    "trainers",
]
