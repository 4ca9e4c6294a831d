"""What `sorter check` and `sorter list` say. Reads nothing that is not loaded already."""

from __future__ import annotations

from typing import Any

from sorter.classify.model import Sorter
from sorter.dataset.crop import croppers
from sorter.dataset.export import layouts
from sorter.library.caption import captioners
from sorter.pipeline import Job


def describe(job: Job) -> list[dict[str, Any]]:
    """For each axis its classes, who answers it, and notes for a person."""
    backbones = {axis: one.backbone.key for axis, one in job.questions.askers.items() if isinstance(one, Sorter)}
    rows = []
    for name, axis in job.scheme.axes.items():
        asked = job.questions.askers[name]
        notes = []
        if isinstance(asked, Sorter):
            sharing = [other for other, key in backbones.items() if key == backbones[name] and other != name]
            notes.append(
                f"shares its backbone pass with {', '.join(sharing)}" if sharing else "has a backbone of its own"
            )
        else:
            notes.append("measured at the picture's own size, without a network")
        if axis.canonical:
            turned = [label for label in asked.labels if axis.mirrored(label) == axis.canonical != label]
            notes.append(f'"{", ".join(turned)}" is turned to "{axis.canonical}"')
        notes += [f'"{label}" is left out of the library' for label in asked.labels if axis.meaning(label).drop]
        rows.append({"axis": name, "classes": list(asked.labels), "source": asked.sha256, "notes": notes})
    return rows


def plugins() -> list[dict[str, Any]]:
    """Every plug-in: its kind, name, options with their defaults, and the first line of its help."""
    rows = []
    for registry in (captioners, croppers, layouts):
        for name, plugin in registry:
            options = {key: field.default for key, field in plugin.model_fields.items()}
            text = (plugin.__doc__ or "").strip().splitlines()[0]
            rows.append({"kind": registry.kind, "name": name, "options": options, "help": text})
    return rows
