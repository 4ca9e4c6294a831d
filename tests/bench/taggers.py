"""What a tagger costs beside its network: reading, squaring and keeping, in processor time; or what a real one costs.

    python -m tests.bench.taggers [FOLDER]

Film frames scaled to 1920x1080 JPEG, one thread, nothing written. The tagger is of a form like wd's and of next to no
weights, so that what is measured is ours; FOLDER, with a downloaded tagger or captioner, is measured instead.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sorter.threads import in_step
from tests.bench import data
from tests.bench.speed import frames

PICTURES, FEW = 60, 10
ROUNDS = 3
SORTER = "arrows-2023-h5"


def main() -> None:
    """Print milliseconds a picture."""
    given = [Path(argument) for argument in sys.argv[1:] if Path(argument).is_dir()]
    with tempfile.TemporaryDirectory() as name:
        if given:
            one_of(given[0], Path(name))
        else:
            ours(Path(name))


def one_of(model: Path, folder: Path) -> None:
    """What a downloaded tagger or captioner costs."""
    from sorter.classify.ask import Questions
    from sorter.classify.askers import askers
    from sorter.classify.taggers import use_for

    use = use_for(model)
    if use is None:
        sys.exit(f"{model}: is neither a tagger nor a captioner")
    asker = askers.build(use[0], model=str(model))
    show(use[0], cost(Questions({}, others={"asked": asker}), frames(folder / "heap", FEW)))


def ours(folder: Path) -> None:
    """What we add to any tagger."""
    from sorter.classify.ask import Questions
    from sorter.classify.askers import load_asked
    from sorter.classify.taggers import Tagger

    paths = frames(folder / "heap", PICTURES)
    tagger = Tagger(model=str(plain_tagger(folder / "tagger")))
    another = Tagger(model=tagger.model, general_threshold=0.05)
    sorter = {"a": load_asked(data.folder("tm") / SORTER)}
    show("a tagger's network alone", network_alone(tagger))
    show("a tagger", cost(Questions({}, others={"tags": tagger}), paths))
    show("a sorter", cost(Questions(sorter), paths))
    show("a sorter and a tagger", cost(Questions(sorter, others={"tags": tagger}), paths))
    show("a sorter and two taggers", cost(Questions(sorter, others={"tags": tagger, "more": another}), paths))


def show(what: str, milliseconds: float) -> None:
    """One line."""
    print(f"{what + ':':<30}{milliseconds:8.1f} ms a picture on one core")


def plain_tagger(folder: Path) -> Path:
    """448 pixels a side, 10 tags, each of the mean colour."""
    import numpy as np

    from tests.sorter.tiny_networks import save_mean_tagger

    return save_mean_tagger(folder, np.linspace(-0.1, 0.1, 30).reshape(3, 10))


def network_alone(tagger: Any) -> float:
    """Its network on pictures that are prepared already."""
    import numpy as np

    network = tagger._network()
    square = np.random.default_rng(0).integers(0, 256, (network.side, network.side, 3), np.uint8)
    network(square)
    return least(lambda: [network(square) for _ in range(FEW)], FEW)


def cost(questions: Any, paths: list[Path]) -> float:
    """Of all that is asked about a picture."""
    questions(paths[0])
    return least(lambda: list(in_step(questions, paths, threads=1)), len(paths))


def least(work: Any, pictures: int) -> float:
    """Milliseconds of processor time a picture, the least of some rounds."""
    found = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        found.append((time.process_time() - started) * 1000 / pictures)
    return min(found)


if __name__ == "__main__":
    main()
