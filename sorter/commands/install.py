"""`sorter watch --install`: writes what starts the daemon at login, as the system at hand wants it."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sorter.at_login import launchd, systemd, task
from sorter.at_login.service import MARK, Service
from sorter.commands.watch import check_watch
from sorter.errors import LibraryError
from sorter.files import read_file, write
from sorter.library.store.manifest import Manifest

MOST_BYTES = 1 << 20
"""A larger file is none that we wrote."""
LONGEST_NAME = 40


@dataclass(frozen=True)
class Installed:
    """What was written, and the commands that belong to it."""

    path: Path
    start: str
    """Starts it now."""
    remove: str
    """Ends it, and takes away what was written."""
    log: str = ""
    """Shows what it says; empty where that is kept nowhere."""


def daemon(
    source: Path, library: Path, scheme: Path, *, still: float = 1.0, take: bool = False, unfitted: bool = False
) -> Service:
    """`sorter watch` with these options, for whoever starts it from any folder. Raises LibraryError where it would be
    refused."""
    source, library, scheme = (Path(os.path.abspath(path)) for path in (source, library, scheme))
    check_watch(source, library)
    with Manifest(library, create=True, dry_run=True) as manifest:
        manifest.refuse_dataset()
    words = re.sub(r"[^A-Za-z0-9_.]+", "-", library.name).strip("-.")[:LONGEST_NAME] or "library"
    name = f"{words}-{hashlib.sha256(os.fsencode(library)).hexdigest()[:6]}"
    options = ["--still", f"{still:g}", *["--take"] * take, *["--unfitted"] * unfitted]
    # -X utf8: whatever language the system is in. -P: a random.py where it is started is not taken for Python's own.
    python = (_python(), "-X", "utf8", "-P", "-m", "sorter")
    command = (*python, "watch", str(source), "--to", str(library), "--scheme", str(scheme), *options)
    return Service(name, f"Modelsheet: sorts what arrives in {source} into {library}.", command)


def install(service: Service, system: str = "") -> Installed:
    """Write what starts a service at login. Raises LibraryError where that is somebody else's, or cannot be done.

    `system`: as sys.platform has it.  [default: this one]
    """
    system = system or sys.platform
    if system == "darwin":
        return _agent(service)
    if system == "win32":
        return _task(service)
    if system == "linux" and shutil.which("systemctl"):
        return _unit(service)
    raise LibraryError(
        f"{service.name}: this system has no systemd, which would start it; have your own start this: "
        + shlex.join(service.command)
    )


def _unit(service: Service) -> Installed:
    home, name = Path(os.environ.get("XDG_CONFIG_HOME", "")), systemd.file_name(service)
    folder = (home if home.is_absolute() else Path.home() / ".config") / "systemd" / "user"
    path, link = folder / name, folder / f"{systemd.WANTED_BY}.wants" / name
    _write(path, systemd.unit(service).encode())
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path)  # as "systemctl enable" does
    except OSError as found:
        raise LibraryError(f"{link}: cannot be written: {found.strerror}; make it writable") from None
    return Installed(
        path,
        f"systemctl --user daemon-reload && systemctl --user restart {name}",
        f"systemctl --user disable --now {name}; rm {shlex.quote(str(path))}",
        f"journalctl --user -u {name}",
    )


def _agent(service: Service) -> Installed:
    folder, label = Path.home() / "Library", launchd.label(service)
    path, log = folder / "LaunchAgents" / f"{label}.plist", folder / "Logs" / f"{label}.log"
    _write(path, launchd.plist(service, str(log)))
    out, quoted = f'launchctl bootout "gui/$(id -u)/{label}"', shlex.quote(str(path))
    return Installed(
        path,
        f'{out} 2>/dev/null; launchctl bootstrap "gui/$(id -u)" {quoted}',
        f"{out}; rm {quoted}",
        shlex.join(["tail", str(log)]),
    )


def _task(service: Service) -> Installed:
    home, name = os.environ.get("APPDATA"), task.name(service)
    path = (Path(home) if home else Path.home()) / "Modelsheet" / f"{service.name}.xml"
    user = "\\".join(filter(None, [os.environ.get("USERDOMAIN"), getpass.getuser()]))
    is_again = path.exists()
    _write(path, task.task(service, user))
    create = ["schtasks", "/Create", "/TN", name, "/XML", str(path), *["/F"] * is_again]
    try:
        done = subprocess.run(create, stdin=subprocess.DEVNULL, capture_output=True, errors="replace", check=False)
        refused = (done.stderr or done.stdout).strip() if done.returncode else ""
    except OSError as found:
        refused = str(found.strerror)
    if refused:
        if not is_again:
            path.unlink(missing_ok=True)
        raise LibraryError(f"{name}: Windows refuses the task: {refused}; ask whoever looks after this machine")
    quoted = f'"{name}"'
    return Installed(path, f"schtasks /Run /TN {quoted}", f"schtasks /Delete /F /TN {quoted}")


def _write(path: Path, data: bytes) -> None:
    try:
        there = read_file(path, MOST_BYTES) if path.exists() else None
        if there is not None and not any(MARK.encode(form) in there for form in ("utf-8", "utf-16-le")):
            raise LibraryError(f"{path}: was not written by sorter watch, so it stays; move it away and try again")
        write(path, data)
    except OSError as found:
        raise LibraryError(f"{path}: cannot be written: {found.strerror}; make it writable") from None


def _python() -> str:
    """This Python; on Windows the one that opens no console."""
    path = Path(os.path.abspath(sys.executable))
    quiet = path.with_name("pythonw.exe")
    return str(quiet if path.name.lower() == "python.exe" and quiet.exists() else path)
