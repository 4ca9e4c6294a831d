"""The commands on real faces: fit on ten people, sort the other five, and compare with the truth.

    python -m tests.bench.cmu_faces

"left" is the subject's own left in these pictures; the people are split in alphabetical order.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.bench import data

FITTED = 10
SCHEME = """\
folders = "{direction}/{eyes}"
[axes.direction]
canonical = "left"
[axes.direction.classes]
left  = { mirror = "right" }
right = { mirror = "left" }
[axes.eyes]
"""
MIRRORED = {"left": "right", "right": "left"}


def main() -> None:
    """Print accuracy per axis, how many were turned, and how many face the canonical way before and after."""
    people = sorted(path for path in data.folder("cmu_faces").iterdir() if path.is_dir())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in (picture for person in people[:FITTED] for picture in sorted(person.glob("*.png"))):
            for axis, label in truth(path).items():
                copy(path, folder / "examples" / axis / label / path.name)
        for path in (picture for person in people[FITTED:] for picture in sorted(person.glob("*.png"))):
            copy(path, folder / "heap" / path.name)
        (folder / "scheme.toml").write_text(SCHEME)
        for axis in ("direction", "eyes"):
            sorter(folder, "fit", f"examples/{axis}", "--to", f"models/{axis}")
        sorter(folder, "sort", "heap", "--to", "library")
        sorter(folder, "export", "library", "--to", "dataset", "--crop", "none", "--doubtful")
        report(folder)


def truth(path: Path) -> dict[str, str]:
    """What a file's name says of it: person_pose_expression_eyes."""
    _, direction, _, eyes = path.stem.split("_")
    return {"direction": direction, "eyes": eyes}


def copy(path: Path, to: Path) -> None:
    """Copy a picture, making its folder."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def sorter(folder: Path, *arguments: str) -> None:
    """Run a command of ours in `folder`."""
    print(f"$ sorter {' '.join(arguments)}", flush=True)
    subprocess.run([sys.executable, "-m", "sorter", *arguments], cwd=folder, check=True)


def report(folder: Path) -> None:
    """Read the manifest and compare."""
    from sorter.commands.job import load_job
    from sorter.library.store.manifest import Manifest
    from sorter.records import Render

    job = load_job(folder / "scheme.toml")
    with Manifest(folder / "library") as manifest:
        known = [
            (truth(Path(picture.path)), {label.axis: label.name for label in labels})
            for picture, labels in manifest.pictures(job.questions.sources())
        ]
        renders = [one.output.content for one in manifest.placed() if isinstance(one.output.content, Render)]
        ways = {picture.sha256: truth(Path(picture.path))["direction"] for picture, _ in manifest.pictures({})}
    for axis in ("direction", "eyes"):
        right = sum(said[axis] == true[axis] for true, said in known)
        print(f"{axis}: {right / len(known):.3f} right ({right} of {len(known)}, people never seen in the fit)")
    before = Counter(ways[one.sha256] for one in renders)
    after = Counter(MIRRORED.get(way, way) if one.mirror else way for one in renders for way in [ways[one.sha256]])
    turned = [ways[one.sha256] for one in renders if one.mirror]
    print(f"turned: {len(turned)}; of them rightly: {turned.count('right')}")
    for way in ("left", "right"):
        print(f"facing {way}: {before[way]} before, {after[way]} after")
    with (folder / "dataset" / "metadata.jsonl").open(encoding="utf-8") as file:
        print(f"exported: {sum(1 for _ in file)}")


if __name__ == "__main__":
    main()
