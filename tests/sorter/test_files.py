"""The one door to the disk."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from sorter import files
from sorter.files import clear_away, copy, is_ours, read_file, sha256_of, whole_folder, write

needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs pipes")
HALF = ".{}.1f3a0c77.modelsheet-part"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def hash_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


# --- files


def test_a_file_is_written_with_its_folders_and_replaced(tmp_path: Path) -> None:
    for data in (b"old", b"", b"new"):
        write(tmp_path / "a" / "b" / "file", data)
        assert (tmp_path / "a" / "b" / "file").read_bytes() == data
    assert names(tmp_path / "a" / "b") == ["file"]


@pytest.mark.usefixtures("full")
def test_a_write_that_fails_leaves_what_there_was_and_names_the_place(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left") as found:
        write(place, b"new")
    assert found.value.filename == str(place)
    assert names(tmp_path) == ["file"] and place.read_bytes() == b"old"


def test_names_of_a_persons_files_are_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two names that are drawn are taken, by a file and by a folder."""
    numbers = iter([1, 2, 3])
    monkeypatch.setattr(files, "_names", type("Drawn", (), {"getrandbits": lambda self, bits: next(numbers)})())
    (tmp_path / ".file.00000001.modelsheet-part").write_bytes(b"kept")
    (tmp_path / ".file.00000002.modelsheet-part").mkdir()
    write(tmp_path / "file", b"1")
    assert (tmp_path / ".file.00000001.modelsheet-part").read_bytes() == b"kept"
    assert len(names(tmp_path)) == 3 and next(numbers, None) is None


@pytest.mark.parametrize("name", ["x" * 255, "\u00e9" * 127, ".hidden", "file.part"])
def test_any_name_that_a_place_can_have_will_do(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, b"1")
    assert names(tmp_path) == [name]


def test_threads_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=write, args=(tmp_path / "file", data)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() in contents


def test_a_place_that_is_a_folder_is_left(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match=r"."):
        write(tmp_path / "file", b"1")
    assert names(tmp_path) == ["file"] and (tmp_path / "file").is_dir()


def test_a_copy_keeps_times_and_is_refused_where_the_hash_is_another(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "there" / "target"
    source.write_bytes(b"picture")
    os.utime(source, (1_000_000_000, 1_000_000_000))
    source.chmod(0o444)
    copy(source, target, hash_of(b"picture"))
    assert (target.read_bytes(), target.stat().st_mtime) == (b"picture", 1_000_000_000)
    with pytest.raises(OSError, match="has changed"):
        copy(source, tmp_path / "other", hash_of(b"another"))
    assert names(tmp_path) == ["source", "there"]


# --- folders


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with whole_folder(tmp_path / "folder") as part:
            (part / "file").write_text(content)
            assert is_ours(part.name)
    with pytest.raises(ZeroDivisionError), whole_folder(tmp_path / "folder") as part:
        (part / "file").write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path) == ["folder"] and (tmp_path / "folder" / "file").read_text() == "new"


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    replace, calls = os.replace, []

    def second_fails(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="Input/output"), whole_folder(tmp_path / "folder") as part:
        (part / "file").write_text("new")
    assert names(tmp_path) == ["folder"] and (tmp_path / "folder" / "file").read_text() == "old"


# --- what was cut off


def test_only_what_is_ours_is_cleared_away(tmp_path: Path) -> None:
    kept = ["a.png", "a.png.part", ".a.png.part", ".a.png.modelsheet-part", ".a.png.1f3a.modelsheet-part"]
    for name in [*kept, HALF.format("a.png"), HALF.format("b.png")]:
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / HALF.format("folder")).mkdir()
    (tmp_path / HALF.format("folder") / "file").write_bytes(b"1")
    clear_away(tmp_path, {"a.png"})
    assert names(tmp_path) == sorted([*kept, HALF.format("b.png"), HALF.format("folder")])
    clear_away(tmp_path)
    assert names(tmp_path) == sorted(kept)
    clear_away(tmp_path / "nowhere")


def test_a_folder_that_was_moved_aside_is_put_back_if_nothing_took_its_place(tmp_path: Path) -> None:
    for name in (".lost.1f3a0c77.modelsheet-old", HALF.format("lost"), ".there.1f3a0c77.modelsheet-old", "there"):
        (tmp_path / name).mkdir()
    clear_away(tmp_path)
    assert names(tmp_path) == ["lost", "there"]


def test_a_long_name_is_cleared_away_too(tmp_path: Path) -> None:
    name = "\u00e9" * 127
    cut = name.encode()[: files.ROOM].decode(errors="ignore")
    (tmp_path / HALF.format(cut)).write_bytes(b"1")
    clear_away(tmp_path, {name})
    assert names(tmp_path) == []


# --- reading


@needs_posix
@pytest.mark.timeout(20)
def test_nothing_waits_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_file, sha256_of):
        with pytest.raises(OSError, match="pipe or a device"):
            read(tmp_path / "pipe")


def test_reading_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(3 << 20))
    with pytest.raises(OSError, match="larger than 2 MB"):
        read_file(tmp_path / "file", 2 << 20)
    assert len(read_file(tmp_path / "file", 3 << 20)) == 3 << 20
    assert sha256_of(tmp_path / "file") == hash_of(bytes(3 << 20))
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
