"""What arrives in a folder: the system's news of it, and a walk now and then for what is not announced."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sorter.errors import LibraryError
from sorter.files import Found
from sorter.pictures.images import SUFFIXES
from sorter.pictures.scan import is_system, walk
from sorter.text import is_text

EVERY = 5.0
"""Seconds at least between two walks."""
LOOKING = f"looking for new files every {EVERY:.0f} seconds instead, or less often where there are many"
PART = 300
"""A walk takes at most one part in so many of the time: an idle daemon costs less than half a percent of a core."""

Say = Callable[[str], None]


class Arrivals:
    """A queue of the files that something happened to in a folder. A context manager.

    Network drives announce nothing, the system's number of watched folders is limited, and a folder may be unmounted
    and come back: so its files are walked at intervals too, and what of that a person should know, is said.
    """

    def __init__(
        self, folder: Path, library: Path, unknown: Callable[[Iterable[Found]], Iterable[Found]], say: Say
    ) -> None:
        """`unknown`: the files among some that have not been read as they are now."""
        self.folder, self.library, self.unknown, self.say = folder.absolute(), library.absolute(), unknown, say
        self.arrived: queue.Queue[Path] = queue.Queue()
        self.observer: Any = None
        self.is_there: tuple[int, int] | None = None
        """What tells the folder from another one in its place; None while it is gone."""
        self.next_walk = 0.0
        self.seen: dict[str, tuple[int, int]] = {}
        """Size and time of each file at the last walk."""

    def __enter__(self) -> Self:
        self.is_there = self._identity()
        self._listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._deafen()

    def get(self, timeout: float) -> Path:
        """The next file that something happened to. Raises queue.Empty after `timeout` seconds without one."""
        if timeout:
            self._look_after()
        return self.arrived.get(timeout=timeout) if timeout else self.arrived.get_nowait()

    def _look_after(self) -> None:
        """Notice that the folder went away, or came back, or that the news have ceased; walk, where it is time."""
        now = self._identity()
        if now != self.is_there:
            self._deafen()
            if now is None:
                self.say(f"{self.folder}: is gone; waiting for it to come back")
            else:
                self.say(
                    f"{self.folder}: is back"
                    if self.is_there is None
                    else f"{self.folder}: was replaced by another folder"
                )
                self._listen()
            self.is_there, self.next_walk = now, 0.0
        elif self.observer is not None and not self._hears():
            self._deafen()
            self.say(f"{self.folder}: the system has stopped telling of it; {LOOKING}")
        if now is not None and time.monotonic() >= self.next_walk:
            self._walk()

    def _walk(self) -> None:
        began = time.monotonic()
        with suppress(LibraryError):  # gone since it was looked for
            before, self.seen = self.seen, {}
            for file in self.unknown(self._changed(before)):
                self.arrived.put(file.path)
        took = time.monotonic() - began
        self.next_walk = time.monotonic() + max(EVERY, PART * took)

    def _changed(self, before: dict[str, tuple[int, int]]) -> Iterator[Found]:
        """The files that are not as they were at the walk before: those that cannot be read are tried again then."""
        for file in walk(self.folder, self.library):
            if isinstance(file, Found):
                stamp = file.size, file.modified
                self.seen[str(file.path)] = stamp
                if before.get(str(file.path)) != stamp:
                    yield file

    def _identity(self) -> tuple[int, int] | None:
        try:
            status = self.folder.stat()
        except OSError:
            return None
        return (status.st_dev, status.st_ino) if self.folder.is_dir() else None

    # --- the system's news

    def _listen(self) -> None:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer

        arrived, folder, library = self.arrived, self.folder, self.library

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type in ("created", "modified", "moved", "closed"):
                    path = Path(_text(event.dest_path or event.src_path))
                    with suppress(LibraryError, OSError):  # gone since: the next walk sees what is there
                        for picture in pictures_of(path, folder, library, event.is_directory):
                            arrived.put(picture)

        observer = Observer()
        try:
            observer.schedule(Handler(), str(self.folder), recursive=True)
            observer.start()
        except OSError as found:  # the system's number of watched folders is limited, or the folder has gone again
            why = found.strerror or "the system refuses"
            self.say(f"{self.folder}: nothing tells of what arrives in it ({why}); {LOOKING}")
            return
        self.observer = observer

    def _hears(self) -> bool:
        return self.observer.is_alive() and all(one.is_alive() for one in self.observer.emitters)

    def _deafen(self) -> None:
        if self.observer is not None:
            with suppress(OSError, RuntimeError):
                self.observer.stop()
                self.observer.join()
            self.observer = None


def pictures_of(path: Path, folder: Path, library: Path, is_folder: bool) -> Iterable[Path]:
    """The pictures that an event is about; a folder that was moved in brings all of its own."""
    if library in (path, *path.parents) or folder not in path.parents:
        return []
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") for part in parts) or any(map(is_system, parts[: len(parts) - (not is_folder)])):
        return []
    if is_folder:
        return [file.path for file in walk(path, library) if isinstance(file, Found)] if path.is_dir() else []
    return [path] if path.suffix.lower() in SUFFIXES and is_text(str(path)) else []


def _text(path: str | bytes) -> str:
    return path if isinstance(path, str) else path.decode(errors="surrogateescape")
