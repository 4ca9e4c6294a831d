"""The training methods, one file each. `METHODS` is the plug point, entry-point group "modelsheet.methods".

Importing this reads options only; torch comes in when a method is prepared.
"""

from __future__ import annotations

from trainer.methods.dreambooth import Dreambooth
from trainer.methods.full import Full
from trainer.methods.inversion import Inversion
from trainer.methods.lora import Lora
from trainer.methods.lycoris import Lycoris
from trainer.methods.method import METHODS, Batch, Method, Prior

__all__ = ["METHODS", "Batch", "Dreambooth", "Full", "Inversion", "Lora", "Lycoris", "Method", "Prior"]
