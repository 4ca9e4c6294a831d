"""A person at work in a library: random edits, with the commands between them, and what must hold whatever they do.

Used by the tests with a few sequences, and by `python -m tests.bench.hands` with thousands.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.report import write_report
from sorter.commands.sort import sort
from sorter.commands.undo import undo
from sorter.errors import DatasetError, LibraryError
from sorter.library.captions_by_hand import read_caption
from sorter.library.names import digits_in
from sorter.library.store.manifest import FOLDER, Manifest
from sorter.records import CAPTION, Render

EDITS = ("move", "copy", "edit", "rate", "rename", "recaption", "resave", "delete", "aside", "overwrite")
COMMANDS = ("sort", "undo", "export", "report")
Act = tuple[str, int, int]
"""What is done, to which picture, and where or how: numbers of any size."""


def acts(number: int, most: int = 10) -> list[Act]:
    """A random sequence that ends with a sort."""
    draw = random.Random(number)
    kinds = draw.choices([*EDITS, *COMMANDS, "sort"], k=draw.randint(2, most))
    return [("sort", 0, 0), *((kind, draw.randrange(100), draw.randrange(100)) for kind in kinds), ("sort", 0, 0)]


@dataclass
class Person:
    """Edits a library, runs commands, and notices what was lost."""

    frames: Path
    library: Path
    job: Job
    folders: tuple[str, ...]
    """Class folders to drag into."""
    number: int = 0
    bytes_of: set[str] = field(default_factory=set)
    """Hashes of the pictures that they have made, as they stand."""
    words: dict[str, str] = field(default_factory=dict)
    """Digits of a picture -> the words that they wrote last."""

    def act(self, what: Act) -> None:
        """Do one thing, and look at what became of theirs. Raises AssertionError."""
        name, which, how = what
        if name in COMMANDS:
            getattr(self, f"run_{name}")()
            self.look(name)
            return
        pictures = self.pictures()
        if pictures:
            self.number += 1
            getattr(self, name)(pictures[which % len(pictures)], how)
        standing = {digest(path) for path in self.files()}
        self.bytes_of &= standing

    # --- edits

    def move(self, path: Path, how: int, to: str = "") -> None:
        """Drag a picture to another class, with its caption or without."""
        target = self.library / (to or self.folders[how % len(self.folders)]) / path.name
        if target.exists() or not path.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        caption = path.with_suffix(".txt")
        if how % 3 and caption.exists() and not target.with_suffix(".txt").exists():
            shutil.move(caption, target.with_suffix(".txt"))

    def copy(self, path: Path, how: int) -> None:
        """Copy a picture to another class, or beside itself."""
        folder = self.library / self.folders[how % len(self.folders)]
        target = folder / (path.name if how % 2 else f"{path.stem} - Copy{path.suffix}")
        folder.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(path, target)

    def edit(self, path: Path, how: int) -> None:
        """Paint on a picture."""
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        image.putpixel((how % image.width, 0), (self.number % 256, how, 7))
        image.save(path)
        self.bytes_of.add(digest(path))

    def rate(self, path: Path, how: int) -> None:
        """Give a picture stars, which a viewer writes into the file."""
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        exif = Image.Exif()
        exif[0x4746] = how % 6
        exif[0x010E] = f"note {self.number}"
        image.save(path, exif=exif)
        self.bytes_of.add(digest(path))

    def rename(self, path: Path, how: int) -> None:
        """Give a picture another name, its digits left in it."""
        name = f"{'best of ' * (how % 2)}{digits_in(path.stem)}{' (2)' * (how % 3)}{path.suffix}"
        if not path.with_name(name).exists():
            path.rename(path.with_name(name))

    def recaption(self, path: Path, how: int) -> None:
        """Write a caption of one's own, as Notepad or as another editor would."""
        words = f"words {self.number}, of mine"
        data = words.encode("utf-16" if how % 5 == 0 else "utf-8-sig" if how % 5 == 1 else "utf-8")
        path.with_suffix(".txt").write_bytes(data)
        self.words[digits_in(path.stem)] = words

    def resave(self, path: Path, how: int) -> None:
        """Open a caption and save it again, as it is."""
        caption = path.with_suffix(".txt")
        if caption.exists():
            caption.write_bytes(caption.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))

    def delete(self, path: Path, how: int) -> None:
        """Remove a picture, with its caption or without."""
        path.unlink()
        if how % 2:
            path.with_suffix(".txt").unlink(missing_ok=True)
            self.words.pop(digits_in(path.stem), None)

    def aside(self, path: Path, how: int) -> None:
        """Put a picture where the scheme has no folder."""
        self.move(path, how, "best of")

    def overwrite(self, path: Path, how: int) -> None:
        """Save a file of one's own over a caption's place, or drop a picture of one's own into a class."""
        mine = path.with_name(f"mine {self.number}.png")
        Image.new("RGB", (40, 32), (how, self.number % 256, 9)).save(mine)
        self.bytes_of.add(digest(mine))

    # --- commands

    def run_sort(self) -> None:
        """Sort, and sort again: the second changes nothing."""
        sort(self.frames, self.library, self.job)
        before = {path: digest(path) for path in self.files()}
        report, steps = sort(self.frames, self.library, self.job)
        assert steps == (), f"a second sort would take steps: {steps}"
        assert not report.counts["pictures placed"] + report.counts["captions placed"], "a second sort placed files"
        assert {path: digest(path) for path in self.files()} == before, "a second sort changed files"

    def run_undo(self) -> None:
        """Take the last run back, where there is one."""
        try:
            undo(self.library)
        except LibraryError as found:
            assert "to undo" in str(found), found

    def run_export(self) -> None:
        """Export what is certain; what was put aside is not in it."""
        to = self.library.with_name("dataset")
        try:
            export(self.library, to, self.job)
        except DatasetError as found:
            assert "no picture to export" in str(found), found
            return
        aside = {digits_in(path.stem) for path in self.pictures() if path.parent.name == "best of"}
        inside = {digits_in(path.stem) for path in self.pictures() if path.parent.name != "best of"}
        exported = {digits_in(path.stem) for path in to.glob("*.png")}
        assert not exported & (aside - inside), "a picture that was put aside is exported"

    def run_report(self) -> None:
        """Look at the library, which changes nothing."""
        write_report(self.library, self.library.with_name("report.html"), self.job)

    # --- what must hold

    def look(self, after: str) -> None:
        """Nothing of theirs is lost, and no picture of ours stands twice."""
        lost = self.bytes_of - {digest(path) for path in self.files()}
        assert not lost, f"{after} lost {len(lost)} pictures that a person had made"
        with Manifest(self.library, dry_run=True) as manifest:
            rows = [row for row in manifest.placed() if isinstance(row.output.content, Render)]
            shown = Counter(row.output.content.sha256 for row in rows if isinstance(row.output.content, Render))
            assert all(count == 1 for count in shown.values()), f"a picture is placed twice after {after}: {rows}"
            for ten, words in self.words.items():
                texts = [read_caption(path.read_bytes()) for path in self.files() if path.suffix == ".txt"]
                sha256 = manifest.hash_of(ten)
                kept = sha256 and manifest.given(sha256, CAPTION)
                assert kept == words or words in texts, f"{after} lost the words of {ten}: {words}; it has {kept}"
            if after == "sort":
                self._look_at_captions(manifest, [row.output.path for row in rows])

    def _look_at_captions(self, manifest: Manifest, paths: list[str]) -> None:
        for path in paths:
            ten, caption = digits_in(path), (self.library / path).with_suffix(".txt")
            kept = manifest.given(manifest.hash_of(ten) or "", CAPTION)
            if kept is not None and caption.exists():
                said = read_caption(caption.read_bytes())
                assert said == kept, f"{caption} says {said!r}, not {kept!r}"

    def files(self) -> list[Path]:
        """The files of the library that a person sees."""
        return [
            path for path in sorted(self.library.rglob("*")) if path.is_file() and FOLDER not in path.parts[-4:]
            and FOLDER not in path.relative_to(self.library).parts
        ]  # fmt: skip

    def pictures(self) -> list[Path]:
        """Its pictures whose names say which they are."""
        return [path for path in self.files() if path.suffix in (".png", ".jpg") and digits_in(path.stem)]


def digest(path: Path) -> str:
    """The hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
