"""The command that looks at datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sorter.cli.shared import FOLDER, json_option
from sorter.cli.terminal import progress, say


@click.command()
@click.argument("dataset", type=FOLDER)
@click.option("--for", "name", required=True, help="kohya, diffusers, onetrainer, ai-toolkit or simpletuner.")
@click.option("--resolution", type=int, help="Pixels a side that are trained on.  [default: its config's, or 512]")
@click.option("--batch-size", type=int, help="Pictures a batch.  [default: its config's, or 1]")
@click.option("--flip", is_flag=True, help="Pictures are mirrored at random.")
@click.option("--caption-extension", help="Of kohya's captions, where no TOML says it.  [default: .caption]")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Another setting; see sorter list.")
@click.option("--base", type=FOLDER, help="The model's folder, whose tokenizer counts the captions' tokens.")
@click.option("--report", "to", type=FOLDER, help="Write an HTML page with what is cut off drawn on the pictures.")
@click.option("--headers", is_flag=True, help="Do not decode the pictures: faster, and damaged ones pass.")
@json_option
def doctor(
    dataset: Path,
    name: str,
    resolution: int | None,
    batch_size: int | None,
    flip: bool,
    caption_extension: str | None,
    settings: tuple[str, ...],
    base: Path | None,
    to: Path | None,
    headers: bool,
    as_json: bool,
) -> int:
    """Say what a trainer will make of a DATASET, and what it would drop, never read, or trip over.

    Works on any dataset's folder and changes nothing in it. Exit code 1: the trainer would stop, or leave something
    out.
    """
    from sorter.commands.doctor import doctor as run
    from sorter.commands.doctor_text import as_dict, lines_of, write_page
    from sorter.dataset.doctor import trainers

    given: dict[str, Any] = {"resolution": resolution, "batch_size": batch_size, "caption_extension": caption_extension}
    options = {key: value for key, value in given.items() if value is not None} | ({"flip": True} if flip else {})
    trainer = trainers.build(name, "--for", **options, **_settings(settings))
    with progress() as track:
        found = run(dataset, trainer, base, not headers, track)
    if to:
        write_page(found, dataset, name, to)
    written = [f"{to}: written; open it in a browser"] if to else []
    return say(as_json, as_dict(found, dataset, name), [*lines_of(found, dataset, name), *written], found.fails)


def _settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE, with values as TOML writes them, or words."""
    import tomllib

    found: dict[str, Any] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign):
            raise click.BadParameter(f"{pair!r} is no setting; write no_upscale=true", param_hint="--set")
        try:
            found[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name] = value
    return found
