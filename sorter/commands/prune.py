"""`sorter prune`: tags that the trigger, or a class's own tag, stands for are left out of captions. Writes the scheme's
rules and no caption; those follow with the next `sorter apply`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sorter.commands.captions import kinds, said_parts
from sorter.commands.job import Job
from sorter.commands.questions import as_written, keep
from sorter.errors import SchemeError, nearest
from sorter.library.caption import captioner_of
from sorter.library.layout import ClassFolders
from sorter.library.store.manifest import Manifest
from sorter.library.vocabulary import key_of
from sorter.scheme import Class, Scheme
from sorter.tally import Track, silent

MOST_EXAMPLES = 3


@dataclass
class Effect:
    """What one rule does to the captions of a library."""

    rule: str
    """A tag, or a group of the vocabulary."""
    captions: int = 0
    """Captions that change by it."""
    tags: Counter[str] = field(default_factory=Counter)
    """Each tag that goes, or comes back, and of how many captions."""
    kept: int = 0
    """Captions in a person's own words that say it, and stay as they are."""
    examples: list[tuple[str, str]] = field(default_factory=list)
    """Some captions before and after all of the rules."""
    nearest: str = ""
    """Of a rule that no caption says: the standard tag that may have been meant."""


def with_rules(scheme: Scheme, where: str, rules: Sequence[str], of: tuple[str, str] | None, undo: bool) -> Scheme:
    """The scheme with these rules more, or (`undo`) fewer. `of`: axis and class, where they are for that class only.

    Raises SchemeError where a rule is there already, or is not there to be taken back.
    """
    axis, name = of or ("", "")
    given = scheme.axes[axis].meaning(name).prune if of else scheme.vocabulary.prune
    at = f"{where}: {f'{axis} {name}' if of else '[vocabulary]'}"
    for rule in rules:
        if undo and rule not in given:
            raise SchemeError(f'{at} does not prune "{rule}"{nearest(rule, given)}')
        if not undo and rule in given:
            raise SchemeError(f'{at} prunes "{rule}" already')
    left = tuple(one for one in given if one not in rules) if undo else (*given, *dict.fromkeys(rules))
    if not of:
        return scheme.model_copy(update={"vocabulary": scheme.vocabulary.model_copy(update={"prune": left})})
    one = scheme.axes[axis]
    classes = one.classes | {name: one.classes.get(name, Class()).model_copy(update={"prune": left})}
    return scheme.model_copy(update={"axes": scheme.axes | {axis: one.model_copy(update={"classes": classes})}})


def effects(
    library: Path, job: Job, where: str, scheme: Scheme, rules: Sequence[str], track: Track[Any] = silent
) -> list[Effect]:
    """What the captions of a library become by the rules that `scheme` has more, or fewer, than the job's.

    Raises SchemeError where they do not fit the vocabulary.
    """
    after = captioner_of(scheme, where, job.classes, job.cropper.wordings())
    new = replace(job, layout=ClassFolders(job.layout.folders, after))
    groups = {name: set(map(key_of, tags)) for name, tags in scheme.vocabulary.groups.items()}
    found = {rule: Effect(rule) for rule in rules}
    with Manifest(library, dry_run=True) as manifest:
        for verdict, times in kinds(manifest, job, "prune", track):
            said, saying = (said_parts(one.layout.captioner, verdict)[0] for one in (job, new))
            own = verdict.caption is not None
            changed = said if own else list(dict.fromkeys(said).keys() ^ dict.fromkeys(saying).keys())
            for rule, effect in found.items():
                keys = groups.get(rule, {key_of(rule)})
                tags = [tag for tag in changed if key_of(tag) in keys]
                if own:
                    effect.kept += times * bool(tags)
                    continue
                effect.captions += times * bool(tags)
                effect.tags.update(dict.fromkeys(tags, times))
                if tags and len(effect.examples) < MOST_EXAMPLES:
                    effect.examples.append((job.layout.caption(verdict), new.layout.caption(verdict)))
    for effect in found.values():
        if not (effect.captions or effect.kept):
            near = after.tags.nearest(effect.rule)
            effect.nearest = "" if key_of(near) == key_of(effect.rule) else near
    return list(found.values())


def write_rules(path: Path, rules: Sequence[str], of: tuple[str, str] | None, undo: bool) -> None:
    """Write the rules into scheme.toml, or take them out; all else in it stays as it is, comments too."""
    import tomlkit

    document = as_written(path)
    if of:
        classes = document["axes"][of[0]].setdefault("classes", tomlkit.table())
        table = classes.setdefault(of[1], tomlkit.inline_table())
    else:
        table = document.setdefault("vocabulary", tomlkit.table())
    listed = table.setdefault("prune", tomlkit.array())
    for rule in rules:
        if undo:
            listed.remove(rule)
        else:
            listed.append(rule)
    if not listed:
        del table["prune"]
        if not of and not table:
            del document["vocabulary"]
    keep(path, tomlkit.dumps(document))


def class_of(job: Job, where: str, text: str) -> tuple[str, str]:
    """Axis and class of a text such as "character=mira". Raises SchemeError with the nearest right name."""
    axis, sign, name = text.partition("=")
    if not sign:
        raise SchemeError(f'{where}: "{text}" is not a class of an axis; write character=mira')
    if axis not in job.classes:
        raise SchemeError(f'{where}: "{axis}" is not an axis{nearest(axis, job.classes)}')
    if name not in job.classes[axis]:
        raise SchemeError(f'{where}: "{name}" is not a class of {axis}{nearest(name, job.classes[axis])}')
    return axis, name
