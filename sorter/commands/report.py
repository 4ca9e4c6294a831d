"""What a library holds, as one HTML page: a model sheet, doubts, what was left out, and all of it in numbers."""

from __future__ import annotations

from math import prod
from pathlib import Path

from sorter.commands.answer import read_answers
from sorter.commands.gallery import Gallery
from sorter.commands.job import Job
from sorter.commands.numbers import Numbers
from sorter.commands.plan import count, note_shares, verdicts
from sorter.commands.sheets import MOST_ROWS, Overview, at_odds, in_doubt, left_out, model_sheet, put_aside, turned
from sorter.errors import LibraryError
from sorter.files import write
from sorter.library.store.manifest import Manifest
from sorter.page import Section, page
from sorter.tally import Report

MOST_CLASSES = 40
"""Classes of an axis in a table of combinations."""
MOST_TABLES = 10
"""Pairs of axes that have one."""


def write_report(library: Path, to: Path, job: Job) -> Report:
    """Write the page; what it counted. Raises LibraryError where `to` cannot be written.

    However large the library is, a few hundred of its pictures are opened.
    """
    with Manifest(library, dry_run=True) as manifest:
        report, overview = Report(failures=manifest.unreadable()), Overview(Numbers(job))
        read_answers(manifest, job, report, "report")
        for verdict in verdicts(manifest, job, runners_up=True):
            count(verdict, job.layout(verdict), report)
            overview.add(verdict)
        note_shares(report)
        gallery = Gallery(manifest, to.parent)
        sections = [
            in_short(report, overview.numbers),
            *model_sheet(overview, gallery, job),
            *gaps(overview.numbers),
            *in_doubt(overview, gallery, job),
            *left_out(overview, gallery),
            *put_aside(report.corrections.misplaced, gallery),
            *turned(overview, gallery, job),
            *at_odds(gallery, job),
            *files(report, gallery),
        ]
    try:
        write(to, page(f"{job.scheme.name}: {library.name}", sections, contents=True).encode())
    except OSError as found:
        raise LibraryError(f"{to}: cannot be written: {found.strerror}") from None
    return report


def in_short(report: Report, numbers: Numbers) -> Section:
    """What was counted, and what a person should know of."""
    rows = [
        ("pictures", numbers.pictures),
        ("in the library", numbers.wanted),
        ("turned", numbers.turned),
        ("in doubt", numbers.in_doubt),
        ("left out", numbers.left_out.total()),
        ("with a caption of your own", numbers.captions),
        ("put aside by you", len(report.corrections.misplaced)),
        ("files that could not be used", len(report.failures)),
        ("files in the library that are not from the frames", len(report.corrections.strangers)),
    ]
    return Section("In short", report.notes, rows=[row for row in rows if row[1]] or [rows[0]])


def gaps(numbers: Numbers) -> list[Section]:
    """How many pictures there are of each combination of classes, two axes at a time; noughts can be seen."""
    tables: list[Section] = []
    for first, second in numbers.pairs():
        found = numbers.combinations(first, second)
        if len({one for one, _ in found}) < len({other for _, other in found}):
            first, second, found = second, first, {(other, one): count for (one, other), count in found.items()}
        rows, columns = (list(dict.fromkeys(pair[side] for pair in found)) for side in (0, 1))
        none = sum(not count for count in found.values())
        texts = []
        if len(rows) > MOST_CLASSES or len(columns) > MOST_CLASSES:
            texts.append(f"Shown are the first {MOST_CLASSES} classes of each.")
        head = ["", *columns[:MOST_CLASSES]]
        cells = [[row, *(found[row, column] for column in columns[:MOST_CLASSES])] for row in rows[:MOST_CLASSES]]
        title = f"{first} and {second}: {none:,} of {len(found):,} missing" if none else f"{first} and {second}"
        tables.append(Section(title, texts, head, cells, gaps=True, folded=bool(tables) and not none))
        if len(tables) == MOST_TABLES:
            break
    if not tables:
        return []
    axes = dict.fromkeys(axis for pair in numbers.pairs() for axis in pair)
    whole = prod(len(numbers.expected(axis)) for axis in axes)
    there = {tuple(sure[axis] for axis in axes) for kind in numbers.kinds if axes.keys() <= (sure := dict(kind)).keys()}
    text = f"Of {whole:,} combinations of {', '.join(axes)}, {len(there):,} have pictures."
    return [Section("Gaps", [text], parts=tables)]


def files(report: Report, gallery: Gallery) -> list[Section]:
    """What is not ours, what could not be used, and the class folders."""
    sections = []
    root, strangers = gallery.manifest.root, report.corrections.strangers
    for title, head, rows in (
        ("Not from the frames, so left alone", ["file", "folder"],
         [[gallery.link(root / path), gallery.named(root / path)] for path in strangers[:MOST_ROWS]]),
        ("Files that could not be used", ["file", "reason"],
         [[gallery.link(one.path, str(one.path)), one.reason] for one in report.failures[:MOST_ROWS]]),
    ):  # fmt: skip
        if rows:
            all_ = len(strangers if head[1] == "folder" else report.failures)
            more = f"and {all_ - len(rows):,} more" if all_ > len(rows) else ""
            sections.append(Section(f"{title} ({all_:,})", head=head, rows=rows, more=more, folded=len(rows) > 20))
    folders = sorted(report.folders.items(), key=lambda row: (-row[1], row[0]))
    links = [(gallery.link(root / folder, folder), count) for folder, count in folders]
    return [*sections, Section(f"The {len(folders):,} class folders", rows=links, folded=True)]
