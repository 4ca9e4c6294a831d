"""Random hand edits with commands between them: how many of so many sequences lose nothing.

python -m tests.bench.hands [SEQUENCES]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.sorter.hands import Person, acts

SEQUENCES = 2000
SHOWN = (("left", "sad"), ("right", "happy"), ("front", "sad"))
FOLDERS = ("happy/left", "happy/front", "sad/left", "sad/front")


def main() -> None:
    """Print how many sequences lost nothing, and what went wrong in the others."""
    from sorter.commands.job import load_job
    from sorter.networks.convert import import_keras
    from tests.sorter.conftest import DIRECTIONS, MOODS, SCHEME, _draw, _export

    most = int(sys.argv[1]) if len(sys.argv) > 1 else SEQUENCES
    wrong: Counter[str] = Counter()
    done = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for axis, classes in (("direction", DIRECTIONS), ("mood", MOODS)):
            _export(import_keras(), root / "models" / axis, classes)
        (root / "scheme.toml").write_text(SCHEME)
        job = load_job(root / "scheme.toml")
        (root / "frames").mkdir()
        for number, what in enumerate(SHOWN):
            _draw(*what, number).save(root / "frames" / f"{number}.png")
        for number in range(most):
            shutil.rmtree(root / "work", ignore_errors=True)
            person = Person(root / "frames", root / "work" / "library", job, FOLDERS)
            sequence = acts(number, 14)
            try:
                for act in sequence:
                    person.act(act)
                    done += 1
            except AssertionError as found:
                wrong[str(found)[:100]] += 1
                print(f"sequence {number}: {found}", file=sys.stderr)
    print(f"{most - wrong.total()} of {most} sequences of {done / most:.1f} acts lost nothing (bar: all of 2000)")
    for why, count in wrong.most_common(10):
        print(f"  {count} x {why}")


if __name__ == "__main__":
    main()
