"""The arithmetic of buckets against sd-scripts' own functions, on 10,000 random sizes.

    python -m tests.bench.doctor SD_SCRIPTS

SD_SCRIPTS: a checkout of kohya-ss/sd-scripts. Only the three pieces that are compared are run of it.
"""

from __future__ import annotations

import ast
import math
import os
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import numpy as np

from sorter.buckets import Buckets

SIZES = 10_000
KINDS = (
    Buckets((512, 512)), Buckets((1024, 1024), 256, 2048), Buckets((768, 512), 320, 960, 32),
    Buckets((512, 512), no_upscale=True), Buckets((1024, 1024), step=32, no_upscale=True),
)  # fmt: skip


def main() -> None:
    """Print how many sizes differ."""
    folder = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SD_SCRIPTS", "")
    if not (Path(folder) / "library" / "train_util.py").is_file():
        print("sd-scripts: not here; give the folder of a checkout")
        return
    print(f"sizes whose bucket or crop differs from sd-scripts': {differences(Path(folder))} of {SIZES} (bar: 0)")


def differences(sd_scripts: Path, sizes: int = SIZES) -> int:
    """On how many random sizes ours and theirs are not the same, a fifth of them with each of KINDS."""
    theirs = _theirs(sd_scripts)
    chance = random.Random(0)
    managers = [theirs.manager(kind) for kind in KINDS]
    assert all(list(kind.sizes) == theirs.sizes(kind) for kind in KINDS)
    different = 0
    for number in range(sizes):
        kind, manager = KINDS[number % len(KINDS)], managers[number % len(KINDS)]
        width, height = (round(math.exp(chance.uniform(math.log(48), math.log(8000)))) for _ in range(2))
        try:
            bucket, scaled, _ = manager.select_bucket(width, height)
            stops = not all(bucket)  # later, at a bucket of no pixels
            wanted = None if stops else (bucket, scaled, theirs.cut(scaled, bucket))
        except (ZeroDivisionError, AssertionError):  # it stops
            wanted = None
        try:
            fit = kind.fit(width, height)
            crop = fit.crop
            found = fit.bucket, fit.scaled, (crop.left, crop.top, crop.right, crop.bottom)
        except ValueError:
            found = None
        different += found != wanted
    return different


def _theirs(sd_scripts: Path) -> Any:
    """Their functions, taken out of modules that import all of a trainer."""
    names: dict[str, Any] = {"math": math, "np": np, "random": random, "Optional": Optional}
    names |= {"Tuple": tuple, "resize_image": lambda image, *_: image}
    for file, wanted in (
        ("model_util.py", {"make_bucket_resolutions"}),
        ("train_util.py", {"BucketManager", "trim_and_resize_if_required"}),
    ):
        tree = ast.parse((sd_scripts / "library" / file).read_text(encoding="utf-8"))
        tree.body = [one for one in tree.body if getattr(one, "name", "") in wanted]
        exec(compile(tree, file, "exec"), names)
        names["model_util"] = SimpleNamespace(**names)

    def sizes(kind: Buckets) -> Any:
        return names["make_bucket_resolutions"](kind.resolution, kind.smallest, kind.largest, kind.step)

    def manager(kind: Buckets) -> Any:
        made = names["BucketManager"](kind.no_upscale, kind.resolution, kind.smallest, kind.largest, kind.step)
        if not kind.no_upscale:
            made.make_buckets()
        return made

    def cut(scaled: tuple[int, int], bucket: tuple[int, int]) -> tuple[int, int, int, int]:
        """The corners of what is kept, read from pixels that say where they are."""
        rows, columns = np.arange(scaled[1])[:, None], np.arange(scaled[0])[None]
        shape = scaled[1], scaled[0]
        high, *_ = names["trim_and_resize_if_required"](False, np.broadcast_to(rows, shape), bucket, scaled)
        wide, *_ = names["trim_and_resize_if_required"](False, np.broadcast_to(columns, shape), bucket, scaled)
        return int(wide[0, 0]), int(high[0, 0]), int(wide[-1, -1]) + 1, int(high[-1, -1]) + 1

    return SimpleNamespace(sizes=sizes, manager=manager, cut=cut)


if __name__ == "__main__":
    main()
