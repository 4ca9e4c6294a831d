"""`sorter status` as it is printed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sorter.commands.status import Status
    from sorter.library.store.diary import Page


def lines_of_status(found: Status, library: Path) -> list[str]:
    """What is known of a library and its daemon, as a person reads it."""
    files = found.unusable.total()
    holds = f"{library}: {found.pictures} pictures, {found.in_doubt} in doubt, {files} files could not be used"
    lines = [f"{library}: {_daemon(found)}", *_work(found), holds]
    if found.doubts:
        lines.append("in doubt: " + ", ".join(f"{count} {axis}" for axis, count in found.doubts.most_common()))
    lines += [f"  {count} x {reason}" for reason, count in found.unusable.most_common(20)]
    return [*lines, *found.notes]


def status_as_dict(found: Status, library: Path) -> dict[str, Any]:
    """The same as --json prints it; times as ISO 8601 has them, with the offset from UTC."""
    page = found.page
    daemon = page and {
        "process": page.pid,
        "started": _iso(page.started),
        "ended": _iso(page.ended),
        "reason": page.reason,
        "written": _iso(page.written),
        "folder": page.folder,
        "placed": page.placed,
        "placed_a_minute": round(page.rate(found.now), 1) if found.state == "running" else None,
        "last_placed": page.last or None,
        "last_placed_at": _iso(page.last_at),
        "failures": page.failures,
        "last_failures": [{"path": path, "reason": reason} for path, reason in page.recent_failures],
    }
    return {
        "library": str(library),
        "state": found.state,
        "held_by": found.held_by and found.held_by.words,
        "daemon": daemon,
        "pictures": found.pictures,
        "in_doubt": found.in_doubt,
        "doubts": found.doubts,
        "unusable": found.unusable.total(),
        "unusable_reasons": dict(found.unusable),
        "notes": found.notes,
    }


def _daemon(found: Status) -> str:
    page, words = found.page, found.held_by and found.held_by.words
    if found.state == "running":
        since = f", since {_time(page.started)}, on what arrives in {page.folder}" if page else ""
        return f"a daemon is at work, {words}{since}"
    said = {
        "never": "no daemon has worked on it",
        "stopped": f"no daemon is at work; the last one ended at {_time(page and page.ended)}",
        "failed": f"no daemon is at work; the last one ended at {_time(page and page.ended)}: {page and page.reason}",
        "killed": f"no daemon is at work; the last one ended without a word, after {_time(page and page.written)}",
    }[found.state]
    return f"{said}; in use by {words}" if words else said


def _work(found: Status) -> list[str]:
    page = found.page
    if page is None:
        return []
    rate = f", {page.rate(found.now):.1f} a minute lately" if found.state == "running" else ""
    watched = "" if found.state == "running" else f" from {page.folder}"
    lines = [f"  it placed {page.placed} pictures{watched}{rate}"]
    if page.last:
        lines.append(f"  the last one at {_time(page.last_at)}: {page.last}")
    return [*lines, *_failures(page)]


def _failures(page: Page) -> list[str]:
    if not page.failures:
        return []
    return [f"  {page.failures} failed, at last:", *(f"    {path}: {why}" for path, why in page.recent_failures)]


def _time(moment: float | None) -> str:
    return "" if moment is None else f"{datetime.fromtimestamp(moment, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).astimezone().isoformat(timespec="seconds")
