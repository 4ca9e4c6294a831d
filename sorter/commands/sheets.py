"""The sections of a library's report that show pictures: a model sheet, doubts, what was left out, what was turned."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from sorter.commands.gallery import MIDDLE, SMALL, First, Gallery, Place, Request
from sorter.commands.job import Job
from sorter.commands.numbers import Numbers, confusion, margin, mistakes
from sorter.library.decide import REMOVED_BY_HAND
from sorter.page import Link, Section, Shown
from sorter.records import HUMAN, Label, Verdict

SAMPLES = 12
"""Pictures of a kind that are shown."""
MOST_SMALL, MOST_LARGE = 240, 60
"""Pictures on all contact sheets together, and among what was left out; of many kinds, each has fewer."""
MOST_DOUBTS = 24
"""Pictures in doubt that are shown."""
MOST_ROWS = 1000
"""Pictures in doubt, and other files, that are named."""
MOST_LINKS = 6
"""Folders that are named of a class."""
MANY = 12
"""Parts of a section above which they are folded."""


@dataclass(eq=False)
class Overview:
    """The pictures of a library counted, and those chosen that will be shown: the first by their hashes, so by chance,
    but of doubts and of what was left out those that are the least certain."""

    numbers: Numbers
    classes: dict[tuple[str, str], list[Verdict]] = field(default_factory=lambda: defaultdict(list))
    """(axis, class) -> some that are certainly of it."""
    turned: list[Verdict] = field(default_factory=list)
    doubted: First = field(default_factory=lambda: First(MOST_ROWS))
    left_out: dict[str, First] = field(default_factory=lambda: defaultdict(lambda: First(SAMPLES)))
    """Why -> some of them."""

    def add(self, verdict: Verdict) -> None:
        """Count a picture, and choose it where it is among the first."""
        for one in self.numbers.add(verdict):
            if len(chosen := self.classes[one]) < SAMPLES:
                chosen.append(verdict)
        if verdict.unwanted:
            label = _reason(verdict)
            self.left_out[verdict.unwanted].add(verdict, label.score if label else 0.0)
            return
        if verdict.mirror and len(self.turned) < SAMPLES:
            self.turned.append(verdict)
        if verdict.unsure:
            self.doubted.add(verdict, min((margin(label) for label in _doubtful(verdict)), default=1.0))


def model_sheet(overview: Overview, gallery: Gallery, job: Job) -> list[Section]:
    """For each axis, how many pictures each class has, and some of each class."""
    counts = {axis: overview.numbers.classes(axis) for axis in job.scheme.axes}
    sizes = {(axis, name): counts[axis][name] for axis, name in overview.classes}
    largest = sorted(sizes, key=lambda one: (-sizes[one], one))
    each = min(SAMPLES, max(1, MOST_SMALL // max(1, len(largest))))
    chosen = {one: overview.classes[one][:each] for one in largest[: MOST_SMALL // each]}
    places = iter(gallery.standing(verdict for some in chosen.values() for verdict in some))
    pictures = iter(gallery.show(Request(next(places), "", SMALL) for some in chosen.values() for _ in some))
    shown = {one: list(islice(pictures, len(some))) for one, some in chosen.items()}
    sections = []
    for axis, classes in counts.items():
        expected = overview.numbers.expected(axis)
        present = [name for name, count in classes.items() if count]
        parts = [
            replace(
                _sheet(f"{name} ({classes[name]:,})", shown.get((axis, name), []), classes[name]),
                links=_folders(axis, name, overview.numbers, gallery, job),
                folded=len(present) > MANY,
            )
            for name in present
        ]
        doubts, people = overview.numbers.doubts[axis], overview.numbers.people[axis]
        bars = [(name, count) for name, count in classes.items() if count or name in expected]
        bars += [("in doubt", doubts)] if doubts else []
        texts = [f"{people:,} of the answers on {axis} were given by a person."] if people else []
        sections.append(Section(f"Model sheet: {axis}", texts, bars=bars, parts=parts))
    return sections


def in_doubt(overview: Overview, gallery: Gallery, job: Job) -> list[Section]:
    """What a person should look at, the most doubtful first."""
    some = list(overview.doubted)
    if not some:
        return []
    places = gallery.standing(some)
    requests = [
        Request(place, "\n".join(_doubts(verdict, job)))
        for verdict, place in zip(some[:MOST_DOUBTS], places, strict=False)
    ]  # fmt: skip
    count = overview.doubted.count
    section = _sheet(f"In doubt ({count:,})", gallery.show(requests), count)
    rows = []
    for verdict, place in zip(some, places, strict=True):
        named = [gallery.link(place[0].path), gallery.named(place[0].path)]
        labels = {label.axis: label for label in _doubtful(verdict)}
        rows += [[*named, axis, *_scores(labels.get(axis))] for axis in sorted(verdict.unsure)]
    names = Section(
        f"The names of all {count:,}" if count == len(some) else f"The names of the first {len(some):,} of {count:,}",
        head=["picture", "folder", "question", "answer", "score", "or rather", "score"],
        rows=rows,
        folded=True,
    )
    texts = ["The most doubtful come first. Drag each from _unsure to the right folder, and sort again."]
    return [replace(section, texts=texts, parts=[names])]


def left_out(overview: Overview, gallery: Gallery) -> list[Section]:
    """What is not in the library, by reason; of what a sorter said, that first of which it is the least sure."""
    reasons = overview.numbers.left_out.most_common()
    if not reasons:
        return []
    each = min(SAMPLES, max(1, MOST_LARGE // len(reasons)))
    parts = []
    for number, (why, count) in enumerate(reasons):
        some = list(overview.left_out[why])[:each] if number < MOST_LARGE else []
        requests = [
            Request(gallery.original(one.picture.sha256), _said(_reason(one)), MIDDLE, name=_name(one)) for one in some
        ]
        parts.append(replace(_sheet(f"{why} ({count:,})", gallery.show(requests), count), folded=len(reasons) > MANY))
    texts = []
    if any(why != REMOVED_BY_HAND for why, _ in reasons):
        texts.append("Of each class, those come first of which the sorter was the least sure.")
    total = overview.numbers.left_out.total()
    return [Section(f"Left out ({total:,})", texts, bars=reasons, parts=parts)]


def put_aside(paths: Sequence[str], gallery: Gallery) -> list[Section]:
    """Pictures of ours that a person has moved out of the class folders."""
    if not paths:
        return []
    requests = [Request([Place(gallery.manifest.root / path)], width=MIDDLE) for path in paths[:SAMPLES]]
    section = _sheet(f"Put aside by you ({len(paths):,})", gallery.show(requests), len(paths))
    return [replace(section, texts=["They lie in no class folder, so they are left alone, and not exported."])]


def turned(overview: Overview, gallery: Gallery, job: Job) -> list[Section]:
    """Pictures as they came, and as they stand, with their captions."""
    count = overview.numbers.turned
    return [_sheet(f"Turned ({count:,})", before_and_after(overview.turned, gallery, job), count)] if count else []


def before_and_after(verdicts: Sequence[Verdict], gallery: Gallery, job: Job) -> list[Shown | None]:
    """Turned pictures as they came and as they stand; None for one of which either is nowhere any more."""
    placed = gallery.placed(verdict.picture.sha256 for verdict in verdicts)
    requests = []
    for verdict in verdicts:
        sha256 = verdict.picture.sha256
        standing = [Place(path) for path, render in placed.get(sha256, ()) if render.mirror]
        requests.append(Request(gallery.original(sha256), label="as it came"))
        requests.append(Request(standing, job.layout.caption(verdict), label="as it stands"))
    both = gallery.show(requests)
    return [
        replace(before, name=after.name, text=after.text, beside=after) if before and after else None
        for before, after in zip(both[::2], both[1::2], strict=True)
    ]


def at_odds(gallery: Gallery, job: Job) -> list[Section]:
    """What people said against what the sorters say of the same pictures, and the worst mistakes."""
    parts = []
    for axis in job.scheme.axes:
        found = confusion(gallery.manifest, job, axis)
        if not found:
            continue
        wrong = [one for one in found if one.person != one.sorter]
        requests = [
            Request(
                gallery.original(one.sha256),
                f"you: {one.person}\nsorter: {one.sorter} {one.score:.0%}",
                MIDDLE,
                name=next((path.name for path in gallery.manifest.copies(one.sha256)), ""),
            )
            for one in wrong[: max(1, MOST_LARGE // len(job.scheme.axes))][:SAMPLES]
        ]
        text = f"{len(found):,} pictures were answered by you and by the sorter, {len(found) - len(wrong):,} alike."
        if wrong:
            text += " Below are those of which it was surest though you said otherwise, as they came."
        section = _sheet(axis, gallery.show(requests), len(wrong))
        rows = mistakes(wrong)[:MANY]
        parts.append(replace(section, texts=[text], head=["you", "sorter", "pictures"] if rows else (), rows=rows))
    return [Section("Your answers against the sorters'", parts=parts)] if parts else []


def _sheet(title: str, pictures: Sequence[Shown | None], count: int) -> Section:
    """Those that could be read, and how many of `count` are not shown."""
    there = [one for one in pictures if one is not None]
    gone, rest = len(pictures) - len(there), count - len(pictures)
    said = [f"and {rest:,} more" if there else f"{rest:,} not shown"] if rest else []
    if gone:
        said.append(f"{gone:,} could not be shown: no longer where they were, or damaged")
    return Section(title, pictures=there, more="; ".join(said))


def _folders(axis: str, name: str, numbers: Numbers, gallery: Gallery, job: Job) -> list[Link]:
    """The folders of a class, the largest first, as deep as it takes to tell it; none where no folder does."""
    levels = [depth for depth, part in enumerate(job.scheme.folders.strip("/").split("/")) if f"{{{axis}}}" in part]
    if not levels:
        return []
    folders: Counter[str] = Counter()
    for kind, count in numbers.kinds.items():
        if (axis, name) in kind:
            folders["/".join(job.layout.folders.folder(dict(kind)).split("/")[: levels[0] + 1])] += count
    largest = sorted(folders, key=lambda folder: (-folders[folder], folder))[:MOST_LINKS]
    links = [gallery.link(gallery.manifest.root / folder, folder) for folder in largest]
    return links if len(folders) <= MOST_LINKS else [*links, Link(f"{len(folders) - MOST_LINKS:,} more folders", "")]


def _reason(verdict: Verdict) -> Label | None:
    """The answer for which a picture is left out; None where it is a person's wish."""
    return next((label for label in verdict.labels if f"{label.axis}: {label.name}" == verdict.unwanted), None)


def _said(label: Label | None) -> str:
    """An answer with the second likeliest."""
    if label is None:
        return ""
    if label.source == HUMAN:
        return f"you: {label.name}"
    second = f", {label.runner_up} {label.runner_up_score:.0%}" if label.runner_up else ""
    return f"{label.name} {label.score:.0%}{second}"


def _rather(label: Label) -> str:
    return f', or "{label.runner_up}" with {label.runner_up_score:.0%}' if label.runner_up else ""


def _doubts(verdict: Verdict, job: Job) -> list[str]:
    """The sentences of a verdict's doubts, each with the second likeliest class."""
    labels = {label.axis: label for label in verdict.labels}
    axes = [axis for axis in job.scheme.axes if axis in verdict.unsure]
    told = zip(axes, verdict.doubts, strict=True)
    return [doubt + (_rather(labels[axis]) if axis in labels else "") for axis, doubt in told]


def _scores(label: Label | None) -> tuple[str, str, str, str]:
    """An answer and the second likeliest, each with its score."""
    if label is None:
        return "", "", "", ""
    second = f"{label.runner_up_score:.0%}" if label.runner_up else ""
    return label.name, f"{label.score:.0%}", label.runner_up, second


def _doubtful(verdict: Verdict) -> list[Label]:
    return [label for label in verdict.labels if label.axis in verdict.unsure]


def _name(verdict: Verdict) -> str:
    """The name of the file that a picture was found in."""
    return verdict.picture.path.replace("\\", "/").rpartition("/")[2]
