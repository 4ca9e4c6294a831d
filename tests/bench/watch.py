"""A daemon under four writers: is each file placed exactly once, and how soon; and what it costs while nothing happens.

    python -m tests.bench.watch

Real frames of 320x180 arrive at ten a second, each written in two pieces, and are sorted by the built-in measure of
sharpness. Idle: 20,000 files of 16x16 pixels, sorted before.
"""

from __future__ import annotations

import io
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

from tests.bench import data

FILES, WRITERS, A_SECOND, STILL = 2000, 4, 10.0, 1.0
IDLE_FILES, IDLE_SECONDS = 20_000, 60
SCHEME = 'folders = "{blur}"\n[axes.blur]\nmeasure = "sharpness"\nthreshold = 0.0\n'


def main() -> None:
    """Print how many were placed, the delays, and the share of a core while idle."""
    with tempfile.TemporaryDirectory() as name:
        arriving(Path(name) / "arriving")
        idle(Path(name) / "idle")


def arriving(root: Path) -> None:
    """Write the files and wait until they are placed."""
    daemon, incoming, library = start(root)
    pieces = pictures()
    shares = (range(number, FILES, WRITERS) for number in range(WRITERS))
    written: dict[str, float] = {}
    threads = [threading.Thread(target=writer, args=(incoming, share, pieces, written)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 60
    while len(placed(library)) < FILES and time.monotonic() < until:
        time.sleep(0.5)
    time.sleep(2 * STILL)
    end(daemon)
    found = placed(library)
    names = [path.stem.rpartition("-")[0] for path in found]
    delays = sorted(path.stat().st_mtime - written[path.stem.rpartition("-")[0]] - STILL for path in found)
    once = len(names) == len(set(names)) == FILES
    print(f"{len(found)} of {FILES} files of {WRITERS} writers placed, {'each once' if once else 'NOT each once'}")
    print(
        f"from standing still to placed, beyond the {STILL:.0f} s of settling, at {A_SECOND:.0f} files a second: "
        f"median {statistics.median(delays):.2f} s, p95 {delays[int(len(delays) * 0.95)]:.2f} s (bar: 1), "
        f"most {delays[-1]:.2f} s"
    )


def idle(root: Path) -> None:
    """Let a daemon stand beside many files."""
    (root / "incoming").mkdir(parents=True)
    for number in range(IDLE_FILES):
        picture = Image.new("RGB", (16, 16), (number % 256, number // 256 % 256, 99))
        picture.save(root / "incoming" / f"{number:05}.bmp")
    daemon, _, library = start(root)
    while len(placed(library)) < IDLE_FILES:
        time.sleep(1)
    time.sleep(10)
    before = cpu(daemon.pid)
    time.sleep(IDLE_SECONDS)
    share = (cpu(daemon.pid) - before) / IDLE_SECONDS
    end(daemon)
    print(f"idle over {IDLE_FILES} files: {share:.2%} of a core (bar: 1 %)")


def pictures() -> list[bytes]:
    """Frames as small JPEGs."""
    found = []
    for path in sorted(data.folder("frames").glob("*.jpg")):
        out = io.BytesIO()
        Image.open(path).convert("RGB").resize((320, 180)).save(out, "JPEG", quality=90)
        found.append(out.getvalue())
    return found


def writer(incoming: Path, share: range, pieces: list[bytes], written: dict[str, float]) -> None:
    """Write a share of the files, each in two pieces, and note when each stood still."""
    draw, began = random.Random(share.start), time.monotonic()
    for count, number in enumerate(share):
        time.sleep(max(0.0, began + count * WRITERS / A_SECOND - time.monotonic()))
        whole = pieces[number % len(pieces)] + number.to_bytes(4, "big")
        with (incoming / f"{number:04}.jpg").open("wb") as file:
            file.write(whole[: len(whole) // 2])
            file.flush()
            time.sleep(draw.uniform(0, 0.2))
            file.write(whole[len(whole) // 2 :])
        written[f"{number:04}"] = time.time()


def start(root: Path) -> tuple[subprocess.Popen[bytes], Path, Path]:
    """A daemon that is ready."""
    incoming, library = root / "incoming", root / "library"
    incoming.mkdir(parents=True, exist_ok=True)
    (root / "scheme.toml").write_text(SCHEME)
    command = [
        "watch",
        str(incoming),
        "--to",
        str(library),
        "--scheme",
        str(root / "scheme.toml"),
        "--still",
        str(STILL),
    ]
    daemon = subprocess.Popen(
        [sys.executable, "-m", "sorter", *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert daemon.stderr is not None
    daemon.stderr.readline()
    while not (library / ".modelsheet" / "lock.txt").exists():
        time.sleep(0.1)
    time.sleep(1)
    return daemon, incoming, library


def end(daemon: subprocess.Popen[bytes]) -> None:
    """End it as a service manager does."""
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(60) == 0


def placed(library: Path) -> list[Path]:
    """The pictures in a library."""
    return [path for path in library.glob("*/*") if path.suffix in (".jpg", ".bmp") and not path.name.startswith(".")]


def cpu(process: int) -> float:
    """Seconds of processor time that a process has used (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
