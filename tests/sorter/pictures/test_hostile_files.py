"""Files with names that mean harm, and what only looks like a file, or is one no longer.

Each is sorted or is in the census with its reason; no run waits for it, and no name gets to a terminal as it is.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import sorter
from sorter.classify.ask import Questions
from sorter.commands.job import Job
from sorter.commands.open import open_library
from sorter.commands.scan import scan
from sorter.commands.sort import sort
from sorter.errors import LibraryError
from sorter.pictures.images import ORIENTATION
from sorter.pictures.scan import walk
from sorter.records import Unreadable
from sorter.tally import Report

ROOT = Path(sorter.__file__).parent.parent
Draw = Callable[[], Image.Image]
soon = pytest.mark.timeout(60)
"""What waits for a pipe or reads a device waits for ever."""


@pytest.fixture(scope="module")
def numbered(draw: Any) -> Draw:
    """Draws pictures that face right and are happy, each with a number of its own."""
    numbers = iter(range(1, 4000))
    return lambda: draw("right", "happy", next(numbers))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


# --- names

LONG = "\u6f22" * 83 + "ab.png"  # 255 bytes
NAMES = [
    "two\nlines.png", "tab\tand\rreturn.png", "\x1b[2Jclears the screen.png", "\x9b31mred.png", "bell\x07.png",
    "\U0001f600\U0001f469\u200d\U0001f680.png", LONG, "a" * 251 + ".png", "dots...png", "space .png", " .png",
    "a...png", "CON.png", "con.PNG", "aux.jpg.png", "com1.png", "LPT\u00b9.png", "NUL .png", "Case.png", "case.png",
    "CASE.png", "{direction}.png", "%s%n.png", "$(rm -rf).png", "it's.png", 'say "cheese".png', "a;b&c|d.png",
    "<b>bold<script>.png", "-rf.png", "--take.png", "-.png", "back\\slash.png", "co:lon*.png",
    "right\u202egnp.left.png", "zero\u200bwidth.png", "e\u0301.png", "\u00e9.png", "\u2028line.png", "\ufeffmark.png",
    "\u3000.png", "nbsp\u00a0.png", "\U000e0041tag.png", "_.png", "0.png",
    "caf\u00e9 \u0645\u0631\u062d\u0628\u0627.png",
]  # fmt: skip
HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode's categories of what is not seen and may change how the rest is seen."""


def hidden(text: str) -> list[str]:
    return [char for char in text if unicodedata.category(char) in HIDDEN and char != "\n"]


def named(folder: Path, make: Callable[[str], bytes]) -> list[Path]:
    """A file of each name that this file system takes, and that is not another one's to it."""
    folder.mkdir()
    for name in NAMES:
        path = folder / name
        try:
            if not path.exists():
                path.write_bytes(make(name))
        except OSError:
            continue
    return sorted(folder.iterdir())


def test_a_picture_of_any_name_is_placed_by_a_harmless_one(tmp_path: Path, job: Job, numbered: Draw) -> None:
    files = named(tmp_path / "heap", lambda _: encoded(numbered(), "PNG"))
    assert len(files) > 20
    report, _ = sort(tmp_path / "heap", tmp_path / "library", job)
    assert report.failures == []
    assert report.counts["pictures placed"] == report.counts["turned"] == len(files)
    names = [path.name for path in (tmp_path / "library" / "happy" / "left").iterdir()]
    assert len({name.casefold() for name in names}) == len(names) == 2 * len(files)
    for name in names:
        assert not hidden(name) and len(name.encode()) < 230
        assert re.fullmatch(r"\w[\w-]*\.(png|txt)", name)
    assert sort(tmp_path / "heap", tmp_path / "library", job)[1] == ()


def test_no_name_gets_to_a_terminal_as_it_is(tmp_path: Path, project: Path, run_cli: Any) -> None:
    files = named(tmp_path / "heap", lambda name: name.encode())
    arguments = ("sort", tmp_path / "heap", "--to", tmp_path / "library", "--scheme", project / "scheme.toml")
    code, out, err = run_cli(*arguments, "--json")
    assert (code, err, hidden(out), out.count("\n")) == (1, "", [], 1)
    found = [Path(one["path"]) for one in json.loads(out)["failures"]]
    assert sorted(found) == files
    for name in ("\x1b[2Jclears the screen", "bell\x07", "right\u202egnp", "two\nlines\x9b"):
        few = tmp_path / "few"
        few.mkdir(exist_ok=True)
        try:
            (few / f"{name}.png").write_bytes(b"")
        except OSError:
            continue
        code, out, err = run_cli("sort", few, "--to", tmp_path / "other", *arguments[4:])
        assert (code, err, hidden(out)) == (1, "", [])
        assert sum(".png" in line for line in out.splitlines()) == len(list(few.iterdir()))
        code, out, err = run_cli("sort", few / f"{name}.png", "--to", tmp_path / "other", *arguments[4:])
        assert (code, out, hidden(err), err.count("\n")) == (2, "", [], 1)
        code, out, _ = run_cli("sort", few / f"{name}.png", "--to", tmp_path / "other", *arguments[4:], "--json")
        assert code == 2 and hidden(out) == [] and str(few / name) in json.loads(out)["error"]


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals, nor such names")
def test_a_terminal_shows_such_names_harmlessly(tmp_path: Path, project: Path) -> None:
    import pty

    named(tmp_path / "heap", lambda name: name.encode())
    shown, terminal = pty.openpty()
    command = [sys.executable, "-m", "sorter", "sort", tmp_path / "heap", "--to", tmp_path / "library"]
    done = subprocess.run([*command, "--scheme", project / "scheme.toml"], stdout=terminal, stderr=subprocess.PIPE,
                          cwd=ROOT, check=False)  # fmt: skip
    os.close(terminal)
    text = b""
    while True:
        try:
            text += os.read(shown, 4096)
        except OSError:  # all of it was read
            break
    os.close(shown)
    assert (done.returncode, done.stderr) == (1, b"")
    assert hidden(text.decode().replace("\r\n", "\n")) == []
    assert "clears the screen" in text.decode()


def test_no_name_spoils_the_report(tmp_path: Path, project: Path, run_cli: Any) -> None:
    files = named(tmp_path / "heap", lambda name: name.encode())
    library, scheme = tmp_path / "library", ("--scheme", project / "scheme.toml")
    run_cli("sort", tmp_path / "heap", "--to", library, *scheme)
    assert run_cli("report", library, *scheme)[0] == 0
    text = (tmp_path / "library-report.html").read_text(encoding="utf-8")
    assert hidden(text) == []
    assert "<script" not in text and "<b>" not in text
    assert text.count("not a picture") == len(files)


@soon
def test_the_report_shows_what_is_still_there(few: Path, tmp_path: Path, project: Path, run_cli: Any) -> None:
    library, scheme = tmp_path / "library", ("--scheme", project / "scheme.toml")
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = Image.open(few / "a.png").transpose(Image.Transpose.ROTATE_90)
    (few / "d.jpg").write_bytes(encoded(lying, "JPEG", quality=100, subsampling=0, exif=exif))
    run_cli("sort", few, "--to", library, *scheme)

    def shown() -> int:
        code, _, err = run_cli("report", library, *scheme)
        assert (code, err) == (0, "")
        text = (tmp_path / "library-report.html").read_text(encoding="utf-8")
        return text.count("data:image/")

    before = shown()
    (few / "a.png").write_bytes(b"no picture any more")
    (few / "b.png").unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(few / "b.png")
    without = shown()
    assert without < before
    for path in library.glob("*/*/1-*.png"):
        path.write_bytes(b"by hand")
    assert 0 < shown() < without


# --- what is no file, or not for long


needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs pipes, devices and links")


@pytest.fixture
def few(tmp_path: Path, numbered: Draw, grow: Any) -> Path:
    """Four pictures in two folders."""
    return grow(
        tmp_path / "few", {"a.png": numbered(), "b.png": numbered(), "c": {f"{n}.png": numbered() for n in (1, 2)}}
    )


def reasons(failures: list[Unreadable]) -> dict[str, str]:
    return {failure.path.name: failure.reason for failure in failures}


@needs_posix
@soon
def test_what_only_looks_like_a_picture_file_is_in_the_census(few: Path, tmp_path: Path, job: Job) -> None:
    os.mkfifo(few / "pipe.png")
    (few / "zero.png").symlink_to("/dev/zero")
    (few / "gone.png").symlink_to(few / "nothing.png")
    (few / "round.png").symlink_to(few / "round.png")
    (few / "folder.png").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(few)  # a socket's path is short
        try:
            listener.bind("socket.png")
        finally:
            os.chdir(here)
        report, _ = sort(few, tmp_path / "library", job)
    assert reasons(report.failures) == {
        "pipe.png": "cannot be read: it is no file, but a pipe or a device",
        "zero.png": "cannot be read: it is no file, but a pipe or a device",
        "socket.png": "cannot be read: it is no file, but a pipe or a device",
        "gone.png": "cannot be read: No such file or directory",
        "round.png": "cannot be read: Too many levels of symbolic links",
    }
    assert report.counts["pictures placed"] == 4 and report.counts["files"] == 9


@needs_posix
@soon
def test_links_are_followed_to_files_and_not_to_folders_nor_into_the_library(
    few: Path, tmp_path: Path, job: Job, numbered: Draw, tree_of: Any
) -> None:
    library = few / "library"
    (tmp_path / "elsewhere").mkdir()
    numbered().save(tmp_path / "elsewhere" / "d.png")
    (few / "link.png").symlink_to(tmp_path / "elsewhere" / "d.png")
    (few / "again.png").symlink_to(few / "a.png")
    (few / "c" / "round").symlink_to(few)
    (few / "c" / "here").symlink_to(".")
    (few / "linked").symlink_to(tmp_path / "elsewhere")
    (few / "to the library").symlink_to(library)
    report, _ = sort(few, library, job)
    assert (report.counts["files"], report.counts["copies"], report.counts["pictures placed"]) == (6, 1, 5)
    before = tree_of(library)
    turned = next(library.glob("happy/left/a-*.png"))
    (few / "turned.png").symlink_to(turned)
    (few / "turned too.png").symlink_to(few / "turned.png")
    report, steps = sort(few, library, job)
    assert (steps, report.failures, report.counts["files"]) == ((), [], 6)
    assert tree_of(library) == before
    (tmp_path / "same").symlink_to(few)
    assert sort(tmp_path / "same", library, job)[1] == ()
    with pytest.raises(LibraryError, match="lies in the library"):
        sort(few / "to the library" / "happy", library, job)


def test_folders_in_folders_are_walked_to_any_depth(tmp_path: Path, numbered: Draw) -> None:
    deep = tmp_path
    for _ in range(1100 if os.name != "nt" else 60):
        deep = deep / "d"
        deep.mkdir()
    numbered().save(deep / "a.png")
    try:
        assert [file.path for file in walk(tmp_path)] == [deep / "a.png"]
    finally:
        (deep / "a.png").unlink()
        while deep != tmp_path:
            deep.rmdir()
            deep = deep.parent


def test_a_folder_that_is_replaced_while_it_is_walked_is_in_the_census(few: Path) -> None:
    (few / "e").mkdir()
    found = walk(few)
    assert next(found).path == few / "a.png"
    (few / "b.png").unlink()
    (few / "c" / "1.png").unlink()
    (few / "c" / "2.png").unlink()
    (few / "c").rmdir()
    (few / "c").write_bytes(b"")
    (few / "e").rmdir()
    left = {file.path.name: file.reason for file in found if isinstance(file, Unreadable)}
    assert set(left) == {"b.png", "c", "e"}
    assert left["b.png"] == "cannot be read: No such file or directory"
    assert left["c"].startswith("folder cannot be listed: ")


@soon
def test_what_happens_to_files_between_scan_and_reading_is_in_the_census(
    few: Path, tmp_path: Path, job: Job, numbered: Draw
) -> None:
    files = list(walk(few))
    (few / "a.png").unlink()
    (few / "b.png").unlink()
    (few / "b.png").mkdir()
    numbered().save(few / "c" / "1.png")
    (few / "c" / "2.png").unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(few / "c" / "2.png")
    report = Report()
    with open_library(tmp_path / "library", "test") as manifest:
        read = {sha256 for some in scan(files, manifest, job.questions, report) for sha256 in some}
        assert len(read) == 1
        assert len(list(manifest.pictures({}))) == 1
        assert manifest.unreadable() == []  # they may be readable the next time
    said = reasons(report.failures)
    assert set(said) == {"a.png", "b.png", "2.png"}
    assert all(reason.startswith("cannot be read: ") for reason in said.values())
    numbered().save(few / "a.png")
    assert sort(few, tmp_path / "library", job)[0].counts["pictures placed"] == 2


@soon
def test_originals_that_change_before_they_are_placed_are_in_the_census(
    few: Path, tmp_path: Path, job: Job, project: Path, tree_of: Any, numbered: Draw
) -> None:
    library = tmp_path / "library"
    report = Report()
    with open_library(library, "test") as manifest:
        for _ in scan(walk(few), manifest, job.questions, report):
            pass
    (few / "a.png").unlink()
    (few / "b.png").write_bytes((few / "b.png").read_bytes()[:-9])
    numbered().save(few / "c" / "1.png")
    (few / "c" / "2.png").unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(few / "c" / "2.png")
    code, report = apply_again(library, project)
    assert code == 1
    assert len(report["failures"]) == 4
    assert all(one["reason"].startswith("the original is gone or has changed: ") for one in report["failures"])
    assert [name for name in tree_of(library) if name.endswith((".png", ".modelsheet-part"))] == []


def apply_again(library: Path, project: Path) -> tuple[int, Any]:
    command = [sys.executable, "-m", "sorter", "apply", library, "--scheme", project / "scheme.toml", "--json"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False, timeout=60)
    return done.returncode, json.loads(done.stdout)


@needs_posix
def test_what_may_not_be_read_is_in_the_census(few: Path, tmp_path: Path, job: Job, nobody: Any) -> None:
    (few / "a.png").chmod(0)
    (few / "c").chmod(0)
    try:
        with nobody(tmp_path):
            report, _ = sort(few, tmp_path / "library", job)
    finally:
        (few / "c").chmod(0o755)
    assert reasons(report.failures) == {
        "a.png": "cannot be read: Permission denied",
        "c": "folder cannot be listed: Permission denied",
    }
    assert report.counts["pictures placed"] == 1


def test_a_file_that_is_larger_than_any_picture_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "large.png", "wb") as file:
        file.truncate(20 << 30)  # a hole: it takes no room
    seen = Questions({})(tmp_path / "large.png")
    assert seen == Unreadable(tmp_path / "large.png", "cannot be read: larger than 1024 MB")
