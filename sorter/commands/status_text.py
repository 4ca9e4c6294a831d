"""A status as JSON has it, and as a person reads it. Pure.

The lines are made from the JSON, so that the page can show what the command printed in another process.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sorter.commands.status import Status

MOST_REASONS = 20
"""Reasons why files could not be used that are printed."""


def as_dict(found: Status, library: Path) -> dict[str, Any]:
    """A status as --json prints it; times as ISO 8601 has them, with the offset from UTC."""
    daemon = found.daemon
    return {
        "library": str(library),
        "state": found.state,
        "held_by": found.held_by.words if found.held_by else None,
        "daemon": daemon
        and {
            "process": daemon.process,
            "started": _iso(daemon.started),
            "ended": _iso(daemon.ended),
            "reason": daemon.reason,
            "written": _iso(daemon.written),
            "folder": daemon.folder,
            "placed": daemon.placed,
            "placed_a_minute": round(daemon.rate(found.now), 1) if found.state == "running" else None,
            "last_placed": daemon.last_placed or None,
            "last_placed_at": _iso(daemon.last_placed_at),
            "failures": daemon.failures,
            "last_failures": [{"path": path, "reason": reason} for path, reason in daemon.last_failures],
        },
        "pictures": found.pictures,
        "in_doubt": found.in_doubt,
        "doubts": found.doubts,
        "unusable": found.unusable.total(),
        "unusable_reasons": dict(found.unusable),
        "notes": found.notes,
    }


def lines_of(data: dict[str, Any]) -> list[str]:
    """The same for a person; times are local. `data`: what `as_dict` made."""
    doubts, reasons = Counter(data["doubts"] or {}), Counter(data["unusable_reasons"])
    lines = [f"{data['library']}: {_daemon(data)}", *_work(data)]
    lines.append(
        f"{data['pictures']} pictures, {data['in_doubt']} in doubt, {data['unusable']} files could not be used"
    )
    if doubts:
        lines.append("in doubt: " + ", ".join(f"{count} {axis}" for axis, count in doubts.most_common()))
    lines += [f"  {count} x {reason}" for reason, count in reasons.most_common(MOST_REASONS)]
    return [*lines, *data["notes"]]


def _daemon(data: dict[str, Any]) -> str:
    daemon, who, state = data["daemon"] or {}, data["held_by"], data["state"]
    if state == "running":
        since = f", since {_time(daemon['started'])}" if daemon else ""
        return f"a daemon is running, {who}{since}"
    ended = _time(daemon.get("ended"))
    said = {
        "never": "no daemon has ever run",
        "stopped": f"no daemon is running; the last one was stopped at {ended}",
        "failed": f"no daemon is running; the last one failed at {ended}: {daemon.get('reason')}",
        "killed": f"no daemon is running; the last one was killed after {_time(daemon.get('written'))}",
    }[state]
    return f"{said}; in use by {who}" if who else said


def _work(data: dict[str, Any]) -> list[str]:
    daemon = data["daemon"]
    if daemon is None:
        return []
    is_running = data["state"] == "running"
    rate = f", {daemon['placed_a_minute']:.1f} a minute lately" if is_running else f" from {daemon['folder']}"
    lines = [f"  it placed {daemon['placed']} pictures{rate}"]
    if daemon["last_placed"]:
        lines.append(f"  the last one at {_time(daemon['last_placed_at'])}: {daemon['last_placed']}")
    if daemon["failures"]:
        last = [f"    {one['path']}: {one['reason']}" for one in daemon["last_failures"]]
        lines += [f"  {daemon['failures']} files failed; the last of them:", *last]
    return lines


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).astimezone().isoformat(timespec="seconds")


def _time(iso: str | None) -> str:
    return "" if iso is None else f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M:%S}"
