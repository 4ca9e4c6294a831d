"""What `sorter check` and `sorter list` say. Reads nothing that is not loaded already, but for the pictures that the
mirror check is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sorter.classify.ask import Questions, Seen
from sorter.classify.askers import TagClasses, askers, mirror_places
from sorter.classify.measures import Measure, measures
from sorter.classify.taggers import Worded
from sorter.commands.init import is_silent
from sorter.commands.job import Job
from sorter.dataset.croppers import croppers
from sorter.dataset.doctor import trainers
from sorter.dataset.layouts import layouts
from sorter.errors import LibraryError
from sorter.files import Found
from sorter.library.caption import captioners
from sorter.networks.load import Sorter
from sorter.pictures.scan import walk
from sorter.records import Label, Unreadable
from sorter.scheme import Axis, placeholders
from sorter.tally import Report, Track, silent
from sorter.threads import in_step

T = TypeVar("T")

MOST = 300
"""Pictures that the mirror check asks about; the share that it prints is then good to about 3 points."""
ENOUGH = 0.9
"""The least agreement that is fine. A head that keeps the sides apart came to 0.93 on faces, Teachable Machine's to
0.6."""
FEWEST = 10
"""Pictures of classes with a mirror class, below which their own share says nothing."""


def describe(job: Job) -> list[dict[str, Any]]:
    """For each axis its classes, who answers it, and notes for a person."""
    asked_of = job.questions.asked.items()
    networks = {axis: job.questions.network_of(axis) for axis, one in asked_of if isinstance(one, Sorter)}
    sources = job.questions.sources()
    rows = []
    for name, axis in job.scheme.axes.items():
        asked = job.questions.asked[name]
        notes = []
        if isinstance(asked, Sorter):
            sharing = [other for other, key in networks.items() if key == networks[name] and other != name]
            notes.append(
                f"shares its backbone pass with {', '.join(sharing)}" if sharing else "has a backbone of its own"
            )
        elif isinstance(asked, TagClasses):
            notes.append(f"told by the tags of [ask.{axis.asker}], whose pass over a picture it shares")
        else:
            notes.append("measured at the picture's own size, without a network")
        if name in job.questions.mirrors:
            notes.append("asked twice, of the picture and of its mirror image, since pictures are turned by its answer")
        if axis.canonical:
            turned = [label for label in asked.labels if axis.mirrored(label) == axis.canonical != label]
            notes.append(f'"{", ".join(turned)}" is turned to "{axis.canonical}"')
        notes += [f'"{label}" is left out of the library' for label in asked.labels if axis.meaning(label).drop]
        notes += _silence(axis, asked.labels)
        rows.append({"axis": name, "classes": list(asked.labels), "source": sources[name], "notes": notes})
    return rows


def describe_askers(job: Job) -> list[dict[str, Any]]:
    """For each asker of the scheme's [ask] who it is, and notes. Raises ModelError where one cannot ask."""
    texts = job.layout.captioner.captioner.texts(job.scheme)
    used = {name for text in texts for name in placeholders(text)} | {axis.asker for axis in job.scheme.axes.values()}
    sources = job.questions.sources()
    rows = []
    for name, asker in job.questions.others.items():
        notes = asker.check()
        if isinstance(asker, Worded) and texts and name not in used:
            notes.append(f"no caption says its words; write {{{name}}} where they should stand in [caption] text")
        rows.append({"asker": name, "use": job.scheme.ask[name].use, "source": sources[name], "notes": notes})
    return rows


def _silence(axis: Axis, labels: Sequence[str]) -> list[str]:
    """Which classes add no words to captions, and which might as well."""
    silent = [label for label in labels if not axis.tag(label) and not axis.meaning(label).drop]
    spoken = [label for label in labels if axis.tag(label) == label and is_silent(label) and label not in axis.classes]
    notes = [f'"{", ".join(silent)}" adds no words to captions'] if silent else []
    return notes + [
        f'"{label}" is said in captions, where it shows nothing; {label} = {{ tag = "" }} keeps it silent'
        for label in spoken
    ]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often an axis's answer about a mirror image is the mirrored answer about the picture."""

    axis: str
    pictures: int
    agreement: float
    """The share of all pictures, 0..1."""
    sided: int
    """Pictures that were taken, one way round or the other, for a class that has a mirror class."""
    sided_agreement: float | None
    """The share of those; by them pictures are turned."""
    fine: bool
    advice: str
    """What a person should do about it, or know."""
    pairs: tuple[tuple[str, str], ...]
    """The classes that become each other in a mirror."""

    def sentence(self) -> str:
        """The numbers, and the advice."""
        shown = f"{self.agreement:.0%} of {self.pictures} pictures and their mirror images agree"
        if self.sided_agreement is not None:
            shown += f", {self.sided_agreement:.0%} of the {self.sided} taken for {_joined(self.pairs, ' or ')}"
        return f"{shown}: {self.advice}"


@dataclass(frozen=True, slots=True)
class MirrorCheck:
    """What the mirror check found: a row for each trained axis, and what became of the files."""

    axes: tuple[Agreement, ...]
    report: Report


def mirror_check(folder: Path, job: Job, track: Track[Any] = silent) -> MirrorCheck:
    """Ask every trained axis about pictures of `folder` and about their mirror images. Needs no labels.

    Raises LibraryError where `folder` is none or holds no pictures.
    """
    files = list(walk(folder))
    if not files:
        raise LibraryError(f"{folder}: holds no pictures; give a folder of the pictures that are to be sorted")
    trained = {name: asked for name, asked in job.questions.asked.items() if not isinstance(asked, Measure)}
    axes = job.scheme.axes
    questions = Questions(trained, {name: mirror_places(axes[name], asked.labels) for name, asked in trained.items()})
    for one in track(questions.unprepared(), "converting sorters, once on this machine", None):
        one.compiled()

    def ask(file: Found | Unreadable) -> Seen | Unreadable:
        return file if isinstance(file, Unreadable) else questions(file.path)

    chosen = spread(files, MOST)
    answers = list(track(in_step(ask, chosen), "asking both ways", len(chosen)))
    report = Report(failures=[one for one in answers if isinstance(one, Unreadable)])
    labels = [one.labels for one in answers if not isinstance(one, Unreadable)]
    report.counts.update({"pictures": len(labels), "unreadable": len(report.failures)})
    if not labels:
        return MirrorCheck((), report)
    columns = zip(trained.items(), zip(*labels, strict=True), strict=True)
    return MirrorCheck(tuple(_agreement(name, axes[name], one.labels, said) for (name, one), said in columns), report)


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, evenly spread over their order."""
    count = min(most, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _agreement(name: str, axis: Axis, classes: Sequence[str], labels: Sequence[Label]) -> Agreement:
    places = enumerate(classes, 1)
    pairs = tuple((one, axis.mirrored(one)) for place, one in places if axis.mirrored(one) in classes[place:])
    names = {one for pair in pairs for one in pair}
    sided = [one for one in labels if names & ({one.taken_for, one.mirror_taken_for} if one.taken_for else {one.name})]
    share, sided_share = _share(labels), _share(sided) if sided else None
    tells = sided_share is None or sided_share >= ENOUGH
    fine = share >= ENOUGH and (tells or len(sided) < FEWEST)
    advice = _praise(pairs, len(sided)) if fine else _remedy(name, pairs, tells)
    return Agreement(name, len(labels), share, len(sided), sided_share, fine, advice, pairs)


def _share(labels: Sequence[Label]) -> float:
    return sum(not label.taken_for for label in labels) / len(labels)


def _praise(pairs: Sequence[tuple[str, str]], sided: int) -> str:
    if not pairs:
        return "a mirror does not change its answer, as it should be"
    if sided >= FEWEST:
        return f"{_joined(pairs, ' and ')} change places in a mirror, as they should"
    few = f"{f'only {sided}' if sided else 'none'} of these pictures were taken for {_joined(pairs, ' or ')}"
    return f"{few}, so it cannot be said whether it tells them apart; give a folder with more of them"


def _remedy(name: str, pairs: Sequence[tuple[str, str]], tells: bool) -> str:
    fit = f"sorter fit EXAMPLES --to models/{name}"
    if not tells:
        options = [f'--mirror "{one}={other}"' for one, other in pairs]
        named = options if {one.lower() for one in pairs[0]} != {"left", "right"} or len(pairs) > 1 else []
        blind = f"it hardly tells {_joined(pairs, ' from ')}, so pictures would be turned the wrong way"
        return f"{blind}; fit one that does: {' '.join([fit, *named])}"
    one_way = "mirroring changes its answer: its examples may face one way only; fit it with mirrored copies of them"
    unsaid = "; or, if two of its classes are each other's mirror image, say so in the scheme with mirror"
    return f"{one_way}, as sorter fit does: {fit}{'' if pairs else unsaid}"


def _joined(pairs: Sequence[tuple[str, str]], word: str) -> str:
    """Such as "left from right and up from down"."""
    between = " or " if word == " or " else " and "
    return between.join(word.join(pair) for pair in pairs)


def plugins() -> list[dict[str, Any]]:
    """Every plug-in: its kind, name, options with their defaults, and the first line of its help."""
    rows = []
    for registry in (askers, measures, captioners, croppers, layouts, trainers):
        for name, plugin in registry:
            fields = plugin.model_fields.items()
            options = {key: "(needed)" if field.is_required() else field.default for key, field in fields}
            text = (plugin.__doc__ or "").strip().splitlines()[0]
            rows.append({"kind": registry.kind, "name": name, "options": options, "help": text})
    return rows
