"""Is the judge of `trainer evaluate` within 5 points of its card? On the demo, and on real faces.

    python -m tests.bench.judge [DEMO]

DEMO is what `make demo` left, in demo/ unless said otherwise. Its judge is that of `trainer evaluate`, which is also
refitted on fewer pictures and tried on all others. The faces are those of ../shared/data/cmu_faces: sorters are
fitted on eight people, and refitted on the others at 64x64 through the sample's autoencoder, which never saw a face;
how a refit does on people that it never saw is measured beside what it says of itself.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sorter.classify.ask import Questions, Seen
from sorter.commands.gallery import Place
from sorter.commands.job import Job, load_job
from sorter.pictures.png import encode_png
from tests.bench import data
from tests.bench.base import ROOT
from tests.bench.cmu_faces import SCHEME, copy, truth
from trainer.evaluate.known import Known, Lens, of_dataset
from trainer.evaluate.pictures import lens_of
from trainer.evaluate.refit import Refit, refit
from trainer.evaluate.text import aligned
from trainer.evaluate.trial import Trial, try_out
from trainer.evaluate.trial_text import table, title

SIZE = (64, 64)
BASE = ROOT / "samples" / "base-model"
COUNTS = (40, 80, 160)
"""Of the demo's pictures, that are refitted on."""
FITTED, REFITTED = 8, 12
"""People: those before the first are fitted on, those before the second refitted on where others are tried."""


def main() -> None:
    """Print the judge beside its card, of the demo and of faces."""
    demo = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "demo"
    if (demo / "dataset").is_dir():
        of_demo(demo)
    else:
        print(f"skipped: {demo} is not here; make demo")
    of_faces()


def of_demo(demo: Path) -> None:
    from trainer.base import read_base
    from trainer.dataset import read_dataset

    job, axes = load_job(demo / "scheme.toml"), ("character", "pose", "expression", "direction")
    known, lens = of_dataset(read_dataset(demo / "dataset", read_base(BASE).factor, SIZE[0]), job), lens_of(BASE, SIZE)
    tell(f"{len(known)} pictures of the demo", try_out(job, known, axes, lens, quiet))
    random.Random(0).shuffle(known)
    for count in COUNTS:
        compare(job, axes, known[:count], known[count:], lens, f"{count} pictures of the demo")


def of_faces() -> None:
    people = sorted(path for path in data.folder("cmu_faces").iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in (one for person in people[:FITTED] for one in person.glob("*.png")):
            for axis, label in truth(path).items():
                copy(path, folder / "examples" / axis / label / path.name)
        (folder / "scheme.toml").write_text(SCHEME)
        axes = ("direction", "eyes")
        for axis in axes:
            command = "fit", f"examples/{axis}", "--to", f"models/{axis}", "--group", "{group}_*"
            subprocess.run([sys.executable, "-m", "sorter", *command], cwd=folder, check=True, capture_output=True)
        job, lens = load_job(folder / "scheme.toml"), lens_of(BASE, SIZE)
        tell(f"{len(people) - FITTED} people", try_out(job, faces(people[FITTED:]), axes, lens, quiet))
        some, others = people[FITTED:REFITTED], people[REFITTED:]
        compare(job, axes, faces(some), faces(others), lens, f"{len(some)} people")


def faces(people: Sequence[Path]) -> list[Known]:
    """Their pictures, with the classes that the files' names say."""
    return [face(path) for person in people for path in sorted(person.glob("*.png"))]


def face(path: Path) -> Known:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Known(sha256, f"{path.parent.name}/{path.name}", [Place(path)], truth(path))


def tell(what: str, trial: Trial) -> None:
    print(f"\n{what}: {title(trial)[0].lower()}{title(trial)[1:]}")
    print("\n".join([*aligned(table(trial)), *trial.left]))


def compare(
    job: Job, axes: Sequence[str], some: Sequence[Known], others: Sequence[Known], lens: Lens, what: str
) -> None:
    """What a refit says of itself, and how often it is right on pictures that had no part in it."""
    print(f"\nrefitted on {what}, tried on {len(others)} other pictures")
    pictures = [(one, encode_png(pixels)) for one in others if (pixels := lens(one)) is not None]
    with tempfile.TemporaryDirectory() as name:
        for axis, made in refit(job, axes, some, lens, Path(name), quiet).items():
            if isinstance(made, Refit):
                asked = {**job.questions.asked, axis: made.sorter}
                questions = Questions(asked, job.questions.mirrors)
                now, was = share(questions, axis, pictures), share(job.questions, axis, pictures)
                own = made.score.share.value
                print(f"{axis:10}  of itself {own:.2f}, there {now:.2f}, where it was {was:.2f}")
            else:
                print(made)


def share(questions: Questions, axis: str, pictures: Sequence[tuple[Known, bytes]]) -> float:
    """Of known pictures, those in which a sorter sees what they are."""
    seen = [(known, questions.answer(Path(known.name), picture, [axis])) for known, picture in pictures]
    right = [one.labels[0].name == known.classes[axis] for known, one in seen if isinstance(one, Seen)]
    return sum(right) / len(right)


def quiet(what: str, number: int, total: int) -> None:
    """No progress."""


if __name__ == "__main__":
    main()
