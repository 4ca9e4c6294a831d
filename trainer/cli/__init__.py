"""The command line: reads arguments, calls the rest, prints. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
from typing import Any

from trainer.cli import training as training  # isort: skip  in the order in which they are used
from trainer.cli import drawing as drawing  # isort: skip
from trainer.cli import judging as judging  # isort: skip
from trainer.cli.shared import cli, command


@command
def list_() -> tuple[dict[str, Any], str]:
    """List the training methods with their options, and the samplers."""
    from trainer.methods import METHODS
    from trainer.samplers import SAMPLERS

    answer: dict[str, dict[str, Any]] = {
        name: {
            "help": (method.__doc__ or "").strip().splitlines()[0],
            "options": {key: _default(field) for key, field in method.model_fields.items()},
            "needed": [key for key, field in method.model_fields.items() if field.is_required()],
        }
        for name, method in METHODS
    }
    lines = []
    for name, about in answer.items():
        lines.append(f"{name}  {about['help']}")
        lines += [
            f"    {key} = {'(must be given)' if key in about['needed'] else json.dumps(value)}"
            for key, value in about["options"].items()
        ]
    lines.append(f"samplers  {', '.join(SAMPLERS)}")
    return {"methods": answer, "samplers": list(SAMPLERS)}, "\n".join(lines)


def _default(field: Any) -> Any:
    """What JSON can say of it; an option that must be given has none."""
    from sorter.plugins import Options

    default = None if field.is_required() else field.get_default()
    return default.model_dump() if isinstance(default, Options) else default


def main() -> None:
    """The console script."""
    cli(prog_name="trainer")
