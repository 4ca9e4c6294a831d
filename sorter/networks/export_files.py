"""The files of an export, in a folder or in a zip. Reads what is asked for, and never more than is sensible."""

from __future__ import annotations

import errno
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sorter.errors import ModelError
from sorter.files import read_file

LARGEST = 400 * 2**20
"""Bytes; a larger model file is refused unread. Teachable Machine's exports have 2.5 MB."""
PIECE = 1 << 20
"""Bytes that are unpacked at a time."""
LARGEST_TEXT = 16 * 2**20
"""Bytes; of a file of labels or JSON, which takes many times its size once it is read. Teachable Machine's have 92
kB."""
DEEPEST = 3
"""Folders below the one that was named: my_model/model.savedmodel/variables."""
MOST = 10_000
"""Names; where a folder holds more, what lies further down is not looked at."""
SUPPORTED = (
    "keras_model.h5 with labels.txt, model.savedmodel, model.json with its weights or a .tflite file "
    "(Teachable Machine: Export Model), or signature.json (Lobe)"
)


@dataclass(frozen=True, eq=False)
class Files:
    """The files of an export as they are seen from one folder of it."""

    where: str
    """What stands before a name in messages: "models/mood/"."""
    names: tuple[str, ...]
    """Paths below that folder, with "/" between; what a Mac adds (._keras_model.h5, __MACOSX) is left out."""
    source: Callable[[str, int], bytes]
    """A path and the most bytes it may have -> its content."""
    above: Files | None = None
    """The folder that this one lies in, where it belongs to the export too."""

    def find(self, name: str) -> str | None:
        """The file of that name, in this spelling if there is one, else in any case of letters."""
        if name in self.names:
            return name
        return next((one for one in self.names if one.casefold() == name.casefold()), None)

    def ending(self, ending: str) -> list[str]:
        """The files right here whose names end so, in any case of letters."""
        return [one for one in self.names if "/" not in one and one.lower().endswith(ending)]

    def folders(self) -> list[Files]:
        """The folders right here."""
        found = dict.fromkeys(name.split("/", 1)[0] for name in self.names if "/" in name)
        return [self.inside(folder) for folder in found]

    def inside(self, folder: str) -> Files:
        """The same files as they are seen from a folder right here."""
        head = f"{folder}/"
        names = tuple(name.removeprefix(head) for name in self.names if name.startswith(head))
        return Files(self.where + head, names, lambda name, most: self.source(head + name, most), self)

    def read(self, name: str, most: int = LARGEST) -> bytes:
        """The content of a file. Raises ModelError: it cannot be read, or has over `most` bytes."""
        data = self.source(name, most)
        if what := not_the_file(data):
            raise ModelError(f"{self.where}{name}: {what}")
        return data

    def text(self, name: str) -> str:
        """The content as text. Raises ModelError."""
        try:
            return self.read(name, LARGEST_TEXT).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise ModelError(f"{self.where}{name}: is not UTF-8 text; save it again as UTF-8") from None

    def json(self, name: str) -> dict[str, Any]:
        """The JSON object in a file. Raises ModelError."""
        try:
            found = json.loads(self.text(name))
        except (ValueError, RecursionError) as wrong:
            raise ModelError(f"{self.where}{name}: is not JSON that can be read: {wrong}; export again") from None
        if not isinstance(found, dict):
            raise ModelError(f"{self.where}{name}: holds no JSON object; export again")
        return found

    def held(self) -> str:
        """For messages: some of what is here."""
        found = list(dict.fromkeys(f"{name.split('/')[0]}/" if "/" in name else name for name in self.names))
        more = ", ..." if len(found) > 5 else ""
        return f"it holds {', '.join(found[:5]) or 'nothing'}{more}"


def not_the_file(data: bytes) -> str:
    """What a file is that was saved in place of another one, by its bytes; else nothing."""
    begins = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not data:
        return "is empty; export or download it again"
    if begins.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the file itself; git lfs pull fetches that"
    if begins.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not the file itself; download it with the button that says so"
    return ""


def open_files(path: Path) -> Files:
    """The files of a folder or of a zip. Raises ModelError where it is neither."""
    if path.is_dir():
        return Files(f"{path}/", tuple(_walk(path)), lambda name, most: _read(path / name, most))
    if zipfile.is_zipfile(path):
        return _open_zip(path)
    what = "is not a folder" if path.exists() else "does not exist"
    raise ModelError(f"{path}: {what}; there should be a folder with {SUPPORTED}")


def only_zip(path: Path) -> Files | None:
    """The files of the one zip in a folder, if there is just one. Raises ModelError where that is damaged."""
    zips = [one for one in sorted(path.iterdir()) if one.suffix.lower() == ".zip"] if path.is_dir() else []
    return _open_zip(zips[0]) if len(zips) == 1 else None


def _walk(path: Path) -> Iterator[str]:
    """The files below a folder, those at the top first."""
    seen = 0
    level = [path]
    for depth in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            for one in _listed(folder, depth == 0):
                try:
                    is_folder, is_file = one.is_dir(), one.is_file()
                except OSError:  # a link to where nobody may look
                    continue
                if is_folder:
                    below.append(one)
                elif is_file and (depth == 0 or seen < MOST):  # not a pipe, which would be waited for
                    seen += 1
                    yield one.relative_to(path).as_posix()
        level = below if seen < MOST else []


def _listed(folder: Path, must: bool) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if _shown(one.name))
    except OSError as found:
        if must:
            raise ModelError(f"{folder}: cannot be read: {found.strerror}") from None
        return []  # a folder inside that is closed to us may have nothing to do with the export


def _shown(name: str) -> bool:
    return not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _open_zip(path: Path) -> Files:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as found:
        raise ModelError(f"{path}: is not a whole zip file: {found}") from None
    sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}

    def read(name: str, most: int) -> bytes:
        try:
            return unpacked(archive, name, most, str(path))
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
            lzma.LZMAError,
        ) as found:
            raise ModelError(f"{path}: {name} cannot be unpacked: {found}") from None

    return Files(f"{path}/", tuple(sorted(filter(_shown, sizes))), read)


def unpacked(archive: zipfile.ZipFile, name: str, most: int, where: str) -> bytes:
    """A member of a zip, in pieces: what it says of its own size may be a lie. Raises ModelError: it has over `most`
    bytes, or is packed in another way than exports are; and what `zipfile` raises."""
    if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError(f"{where}: {name} is packed in an unusual way; pack it again, as a plain zip")
    found = io.BytesIO()
    with archive.open(name) as member:
        while piece := member.read(PIECE):
            if found.tell() + len(piece) > most:
                raise ModelError(f"{where}: {name} unfolds to over {most // 2**20} MB, far more than a sorter has")
            found.write(piece)
    return found.getvalue()


def _read(path: Path, most: int) -> bytes:
    try:
        return read_file(path, most)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ModelError(f"{path}: has over {most // 2**20} MB, far more than a sorter has") from None
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
