"""The commands about what captions say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sorter.cli.shared import FOLDER, common, dry_option, load
from sorter.cli.terminal import progress, say
from sorter.records import HUMAN

if TYPE_CHECKING:
    from sorter.commands.captions import Said
    from sorter.commands.prune import Effect

MOST_ROWS = 20
MOST_NEAREST = 100
"""Words for which the nearest tag is looked for; among 10,000 tags that takes a quarter of a second each."""


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--each", is_flag=True, help="Show every caption, and who wrote it.")
@common
def captions(folder: Path, each: bool, scheme: Path, as_json: bool) -> int:
    """Say who wrote the captions of a library or a dataset, and what is wrong with their words.

    Listed are words that are no tags of the scheme, with the nearest tag; tags on nearly every picture; and what nearly
    always comes with a class. FOLDER may be any folder of pictures with captions beside them or in a metadata.jsonl.
    """
    from dataclasses import asdict

    from sorter.commands.captions import captions as run

    job = load(scheme, unfitted=True)
    with progress() as track:
        said = run(folder, job, each, track)
    frequent = [word for word, _ in said.unknown.most_common(MOST_NEAREST)]
    nearest = {word: job.layout.captioner.tags.nearest(word) for word in frequent}
    data = {
        "by": dict(said.by),
        "unknown": [
            {"word": word, "captions": count, "nearest": nearest.get(word)}
            for word, count in said.unknown.most_common()
        ],
        "everywhere": [row._asdict() for row in said.counts.everywhere()],
        "together": [row._asdict() for row in said.counts.together()],
        "pruned": dict(said.pruned),
        "notes": said.notes(),
        "failures": [asdict(one) for one in said.failures],
    }
    if each:
        data["captions"] = [one._asdict() for one in said.each]
    return say(as_json, data, _lines(folder, said, nearest), bool(said.failures))


def _lines(folder: Path, said: Said, nearest: dict[str, str]) -> list[str]:
    by = [f"{count} by {'a person' if who == HUMAN else who or 'unknown'}" for who, count in said.by.most_common()]
    lines = [f"{folder}: {said.by.total()} captions{': ' if by else ''}{', '.join(by)}"]
    lines += [f"  {one.by or '?'}: {one.file}: {one.text}" for one in said.each]
    lines += said.notes()
    meant = {word: f'; did you mean "{tag}"?' for word, tag in nearest.items() if tag}
    unknown = [f'{count} x "{word}"{meant.get(word, "")}' for word, count in said.unknown.most_common()]
    everywhere = [f'"{row.word}", on {row.share:.0%}' for row in said.counts.everywhere()]
    lines += _listed("no tags of the scheme", unknown)
    lines += _listed("on nearly every picture, so that the trigger may stand for it (sorter prune)", everywhere)
    lines += _listed(
        "nearly always together, so that a model learns them as one; prune what belongs to the class, find other "
        "pictures for the rest",
        [row.sentence() for row in said.counts.together()],
    )
    lines += _listed("pruned", [f'{count} x "{word}"' for word, count in said.pruned.most_common()])
    if said.failures:
        lines.append(f"{len(said.failures)} failed:")
        lines += [f"  {one.path}: {one.reason}" for one in said.failures[:MOST_ROWS]]
    return lines


def _listed(title: str, rows: list[str]) -> list[str]:
    more = [f"  and {len(rows) - MOST_ROWS} more; see --json"] if len(rows) > MOST_ROWS else []
    return [f"{title} ({len(rows)}):", *(f"  {row}" for row in rows[:MOST_ROWS]), *more] if rows else []


@click.command()
@click.argument("library", type=FOLDER)
@click.argument("tags", nargs=-1, required=True)
@click.option("--of", metavar="AXIS=CLASS", help="Only in captions of this class, such as character=mira.")
@click.option("--undo", is_flag=True, help="Take these rules out of the scheme again.")
@dry_option
@common
def prune(
    library: Path, tags: tuple[str, ...], of: str | None, undo: bool, dry_run: bool, scheme: Path, as_json: bool
) -> int:
    """Leave TAGS, or whole groups of the vocabulary, out of captions: the trigger stands for them.

    Shows what each removes, and writes it into the scheme; the captions follow with the next sorter apply, which sorter
    undo takes back. Captions in your own words stay as they are.
    """
    from sorter.commands import prune as rules
    from sorter.library.store.manifest import Manifest

    Manifest(library).close()
    job, where = load(scheme, unfitted=True), str(scheme)
    chosen = rules.class_of(job, where, of) if of else None
    changed = rules.with_rules(job.scheme, where, tags, chosen, undo)
    with progress() as track:
        found = rules.effects(library, job, where, changed, tags, track)
    if not dry_run:
        rules.write_rules(scheme, tags, chosen, undo)
    lines = [line for effect in found for line in _lines_of(effect, undo)]
    again = " ".join([f'"{tag}"' for tag in tags] + ([f"--of {of}"] if of else []) + ([] if undo else ["--undo"]))
    if dry_run:
        lines.append("nothing was changed")
    else:
        lines.append(f"{scheme}: written; the captions follow with: sorter apply {library}")
        lines.append(f"sorter undo {library} takes those back; the rule itself: sorter prune {library} {again}")
    data = {"written": not dry_run, "of": of, "undo": undo, "rules": [_data(effect) for effect in found]}
    return say(as_json, data, lines)


def _lines_of(effect: Effect, undo: bool) -> list[str]:
    does = "comes back into" if undo else "leaves"
    meant = f'; did you mean "{effect.nearest}"?' if effect.nearest else ""
    lines = [f'"{effect.rule}" {does} {effect.captions} captions{meant}']
    if len(effect.tags) > 1:
        lines += [f'  {count} x "{tag}"' for tag, count in effect.tags.most_common(MOST_ROWS)]
    if effect.kept:
        lines.append(f"  {effect.kept} in your own words say it, and stay as they are")
    return lines + [line for before, after in effect.examples for line in (f"  {before}", f"  -> {after}")]


def _data(effect: Effect) -> dict[str, object]:
    return vars(effect) | {"examples": [{"before": one, "after": other} for one, other in effect.examples]}
