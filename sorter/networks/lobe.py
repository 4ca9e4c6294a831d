"""signature.json with a .tflite file: Lobe's export, TensorFlow Lite.

Lobe's networks read 0..1, where Teachable Machine's read -1..1.
"""

from __future__ import annotations

from sorter.errors import ModelError
from sorter.networks.export_files import Files
from sorter.networks.parts import Parts, named_labels
from sorter.networks.run import Scaling
from sorter.networks.tflite import load_with

SCALING = Scaling(255.0, 0.0)


def find(files: Files) -> str | None:
    """signature.json, if there is one."""
    return files.find("signature.json")


def load(files: Files, name: str) -> Parts:
    """Read it. Raises ModelError: not TensorFlow Lite, damaged, not allowed, or labels that do not fit."""
    where, known = f"{files.where}{name}", files.json(name)
    if known.get("format") != "tf_lite":
        what = str(known.get("format"))[:40]
        raise ModelError(f"{where}: is Lobe's export as {what!r}; export the project as TensorFlow Lite")
    classes, model = known.get("classes"), known.get("filename")
    labels = named_labels(classes.get("Label") if isinstance(classes, dict) else None, where, files.read(name))
    if not isinstance(model, str) or "/" in model or "\\" in model or files.find(model) is None:
        raise ModelError(f"{where}: names the model {str(model)[:60]!r}, which is not a file beside it; {files.held()}")
    return load_with(files, str(files.find(model)), labels, SCALING)
