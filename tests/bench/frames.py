"""`sorter frames` on videos whose cuts and cross-fades are known: is every scene there, no mixture, and how fast?

    python -m tests.bench.frames [VIDEO...]

The films are made of 22 film frames: cuts, cross-fades of 8 to 48 frames, fades through black; scenes stand still, are
panned, zoomed, or drawn on twos. The first was at hand while scenes.py was written; those drawn by chance were not, and
have scenes of less than a second between two fades. Speed: of the whole command, pictures written, against
decoding alone with as many threads; both in turn, the best of five. VIDEO: of videos of your own, the speed alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from tests.bench import data
from tests.film import RATE, Pixels, film, write_video

SIZES = ((1280, 720), (1920, 1080))
ROUNDS = 5
DRAWN = 4


def main() -> None:
    """Print the figures, each with its bar."""
    own = [Path(name) for name in sys.argv[1:]] if __name__ == "__main__" else []
    with tempfile.TemporaryDirectory() as name:
        for video in own:
            print(f"{video.name}: {_speed(video, Path(name))}")
        if not own:
            pictures = [Image.open(path).convert("RGB") for path in sorted(data.folder("frames").glob("*.jpg"))]
            for size in SIZES:
                folder = Path(name, f"{size[0]}x{size[1]}")
                video = _made(pictures, size, folder)
                print(f"  {_speed(video, folder)}", flush=True)
            for seed in range(DRAWN):
                _made(pictures, (640, 360), Path(name, f"drawn {seed}"), seed)


def _made(pictures: list[Image.Image], size: tuple[int, int], folder: Path, seed: int | None = None) -> Path:
    from sorter.commands.frames import frames
    from sorter.library.names import read_frame_stem

    truth: list[int | None] = []

    def shown() -> Iterator[Pixels]:
        for pixels, number in film(pictures, size, seed):
            truth.append(number)
            yield pixels

    video = write_video(folder / "film.mp4", shown())
    frames([video], folder / "taken")
    seconds = [read_frame_stem(path.stem) for path in (folder / "taken").glob("*.jpg")]
    taken = [truth[round(found[1] * RATE)] for found in seconds if found]
    scenes = set(truth) - {None}
    print(f"{folder.name}, {len(truth)} frames of {len(scenes)} scenes: {len(taken)} taken")
    print(f"  scenes represented: {len(scenes & set(taken))} of {len(scenes)} (bar: all)")
    print(f"  frames of a cross-fade: {taken.count(None)} (bar: 0)", flush=True)
    return video


def _speed(video: Path, folder: Path) -> str:
    from sorter.commands.frames import frames

    plain, whole = [], []
    for number in range(ROUNDS):
        place = folder / f"{video.stem} {number}"
        plain.append(_timed(partial(_decode, video)))
        whole.append(_timed(partial(frames, [video], place)))
    wall, processor = (min(row[column] for row in whole) for column in range(2))
    plain_wall, plain_processor = (min(row[column] for row in plain) for column in range(2))
    return (
        f"speed of plain decoding: {plain_wall / wall:.2f} (bar: 0.7); by processor seconds"
        f" {plain_processor / processor:.2f}; decoding {plain_wall:.2f} s, the command {wall:.2f} s"
    )


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of processors."""
    began, worked = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - worked


def _decode(video: Path) -> None:
    import av

    with av.open(str(video)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


if __name__ == "__main__":
    main()
