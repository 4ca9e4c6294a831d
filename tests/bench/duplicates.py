"""Copies made of real pictures, and how many of them are found; and how long 100,000 looks take to compare.

    python -m tests.bench.duplicates
    python -m tests.bench.duplicates --many mixed
    python -m tests.bench.duplicates --many scenes

Each kind of copy is made of every film frame and photograph, and looked for among all of these. A copy counts as found
if it is in a group with its original, or with a frame that is six away from it: those are neighbours, some of which
differ by nothing that is left in a crop. Every other group of two different pictures is a false one.

--many: looks whose small pictures, hashes and points are drawn from real ones. mixed: 100,000 that have nothing in
common but single points and a twentieth of copies; scenes: 1,000 scenes of 100 frames, each a little changed from the
one before. They lie in the cache's file, as after a first look, and reading them counts.
"""

from __future__ import annotations

import io
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sorter.classify.columns import Columns
from sorter.classify.copies import Group, find_copies
from sorter.classify.looks import Look, LookCache, look_at
from sorter.pictures.keypoints import mirrored_signs
from tests.bench.data import folder

MANY, SCENE = 100_000, 100
CROPS = 30
"""Places of a crop to 80 %, for each picture."""
Picture = Image.Image


def main() -> None:
    """Print what is found of each kind of copy."""
    originals = {path.stem: _opened(path) for path in _paths()}
    names = list(originals)
    looks = {name: look_at(_bytes(picture, "PNG"), name) for name, picture in originals.items()}
    groups = _groups(looks, originals)
    pairs = [(names[one.kept], names[copy.place]) for one in groups for copy in one.copies]
    wrong = [pair for pair in pairs if not _are_neighbours(*pair)]
    print(f"among {len(names)} originals: {len(pairs)} pairs, of which neighbours {len(pairs) - len(wrong)}, "
          f"false {len(wrong)} (bar: 0)")  # fmt: skip
    made: Counter[str] = Counter()
    found: Counter[str] = Counter()
    false = 0
    began = time.perf_counter()
    for kind in _kinds():
        some, shapes, source = dict(looks), dict(originals), {name: name for name in names}
        for name, picture in originals.items():
            for number, (copy, suffix) in enumerate(_copies(kind, picture, random.Random(f"{kind} {name}"))):
                key = f"{name} {number}"
                some[key], shapes[key], source[key] = look_at(_bytes(copy, suffix), key), copy, name
        keys = list(some)
        for group in _groups(some, shapes):
            members = [keys[place] for place in (group.kept, *(copy.place for copy in group.copies))]
            sources = {source[key] for key in members if " " not in key}
            for key in members:
                false += not all(_are_neighbours(source[key], source[other]) for other in members)
                found[kind] += " " in key and any(_are_neighbours(source[key], one) for one in sources)
        made[kind] = len(some) - len(names)
        print(f"  {kind}: {found[kind]} of {made[kind]}")
    share = found.total() / made.total()
    print(f"{found.total()} of {made.total()} copies found, {share:.2%} (bar: 99), {false} in a group of another "
          f"picture, in {time.perf_counter() - began:.0f} s")  # fmt: skip


def many(kind: str) -> None:
    """Print how long as many looks take, and how much memory."""
    with tempfile.TemporaryDirectory() as name:
        cache = LookCache(Path(name) / "looks.sqlite")
        made = _mixed() if kind == "mixed" else _scenes()
        hashes, copies = [], 0
        some: list[Look] = []
        for look, is_copy in made:
            hashes.append(look.sha256)
            some.append(look)
            copies += is_copy
            if len(some) == 1000:
                cache.put(some)
                some = []
        before = _memory()
        began, busy = time.perf_counter(), time.process_time()
        looked = Columns(cache.each(hashes)).looked(
            range(len(hashes)), [16 / 9] * len(hashes), lambda chosen: cache.smalls([hashes[one] for one in chosen])
        )
        read = time.perf_counter() - began
        groups = find_copies(looked)
        seconds = time.perf_counter() - began
        busy = time.process_time() - busy
        cache.close()
    joined = sum(len(group.copies) for group in groups)
    print(f"{len(hashes):,} looks, {kind}: {seconds:.0f} s (bar: 60), of which {read:.0f} to read them; "
          f"{busy:.0f} s of the processor's; "
          f"{_memory()} MB at most (bar: 1000; {before} before); {len(groups):,} groups, {joined:,} copies "
          f"of {copies:,} that were made; load {os.getloadavg()[0]:.1f}")  # fmt: skip


def _memory() -> int:
    """Megabytes that this process has held at most."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _paths() -> list[Path]:
    return [*sorted(folder("frames").glob("*.jpg")), *sorted((folder("dedup") / "base_images").glob("*.jpg"))]


def _are_neighbours(one: str, other: str) -> bool:
    """The same picture, or film frames of a second or so."""
    if one.startswith("bbb_") and other.startswith("bbb_"):
        return abs(int(one[4:]) - int(other[4:])) <= 24
    return one == other


def _kinds() -> list[str]:
    return ["mirrored", "resized", "re-encoded", "cropped to 80 %", "mirrored, cropped, resized and re-encoded",
            "cropped to 90 %", "cropped to 70 %", "cropped to a square"]  # fmt: skip


def _copies(kind: str, picture: Picture, chance: random.Random) -> Iterator[tuple[Picture, str]]:
    if kind == "mirrored":
        yield from ((ImageOps.mirror(picture), suffix) for suffix in ("PNG", "JPEG", "WEBP"))
    elif kind == "resized":
        yield from ((_resized(picture, share), "PNG") for share in (0.75, 0.5, 0.33, 0.25, 1.5))
    elif kind == "re-encoded":
        yield from ((_again(picture, quality), "PNG") for quality in (20, 40, 60, 80))
    elif kind.startswith("mirrored, cropped"):
        for _ in range(CROPS):
            copy = ImageOps.mirror(_cropped(picture, 0.8, chance))
            yield _again(_resized(copy, chance.choice((0.4, 0.5, 0.75))), chance.randint(40, 90)), "PNG"
    elif kind == "cropped to a square":
        side = min(picture.size)
        for _ in range(3):
            left = chance.randint(0, picture.width - side)
            top = chance.randint(0, picture.height - side)
            yield picture.crop((left, top, left + side, top + side)), "JPEG"
    else:
        share = int(kind.split()[2]) / 100
        yield from ((_cropped(picture, share, chance), "JPEG") for _ in range(CROPS if share == 0.8 else 10))


def _cropped(picture: Picture, share: float, chance: random.Random) -> Picture:
    width, height = round(share * picture.width), round(share * picture.height)
    left, top = chance.randint(0, picture.width - width), chance.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def _resized(picture: Picture, share: float) -> Picture:
    return picture.resize((round(share * picture.width), round(share * picture.height)), Image.Resampling.LANCZOS)


def _again(picture: Picture, quality: int) -> Picture:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def _bytes(picture: Picture, suffix: str) -> bytes:
    out = io.BytesIO()
    picture.save(out, suffix, **({"compress_level": 1} if suffix == "PNG" else {"quality": 85}))
    return out.getvalue()


def _opened(path: Path) -> Picture:
    return Image.open(path).convert("RGB")


def _groups(looks: dict[str, Look], pictures: dict[str, Picture]) -> list[Group]:
    with tempfile.TemporaryDirectory() as name:
        cache = LookCache(Path(name) / "looks.sqlite")
        keys = list(looks)
        cache.put(look._replace(sha256=key) for key, look in looks.items())
        shapes = [pictures[key].width / pictures[key].height for key in keys]
        looked = Columns(cache.each(keys)).looked(
            range(len(keys)), shapes, lambda chosen: cache.smalls([keys[place] for place in chosen.tolist()])
        )
        groups = find_copies(looked)
        cache.close()
    return groups


# --- looks by the hundred thousand


def _pool() -> list[Look]:
    """Real looks, of frames, photographs and portraits, and of parts of them."""
    chance, found = random.Random(0), []
    for path in (*_paths(), *sorted(folder("cmu_faces").rglob("*.p[gn][mg]"))[:200]):
        picture = _opened(path)
        parts = [picture, _cropped(picture, 0.6, chance), _cropped(picture, 0.4, chance)]
        found += [look_at(_bytes(part, "PNG"), "") for part in parts]
    return [one for one in found if len(one.points) > 10]


def _mixed() -> Iterator[tuple[Look, bool]]:
    draw, pool = np.random.default_rng(0), _pool()
    points, places = np.concatenate([one.points for one in pool]), np.concatenate([one.places for one in pool])
    last: list[Look] = []
    for number in range(MANY):
        if number % 20 == 19:
            yield _copy(last[int(draw.integers(len(last)))], number, draw), True
            continue
        chosen = draw.integers(len(points), size=len(pool[number % len(pool)].points))
        one, other = (pool[place] for place in draw.integers(len(pool), size=2))
        moved = np.roll(other.small, draw.integers(64, size=2).tolist(), (0, 1))
        share = draw.uniform(0.3, 0.7)
        made = Look(
            f"{number:064x}",
            number.to_bytes(8, "big"),
            (_flipped(one.hashes[0], draw, 0.3), _flipped(one.hashes[1], draw, 0.3)),
            1.0,
            30.0,
            (share * one.small + (1 - share) * moved).astype(np.uint8),
            (places[chosen] * draw.uniform(0.8, 1.2, (len(chosen), 1))).astype(np.float16),
            points[chosen] ^ _bits(len(chosen), draw, 0.15),
        )
        last = [*last[-500:], made]
        yield made, False


def _scenes() -> Iterator[tuple[Look, bool]]:
    """Of each scene a background stands still; what moves in it changes a part of the points and of the picture."""
    draw = np.random.default_rng(0)
    kept: list[Look] = []
    for look, _ in _mixed():
        kept.append(look)
        if len(kept) == MANY // SCENE:
            break
    for scene, first in enumerate(kept):
        small, points, hashes = first.small.copy(), first.points.copy(), first.hashes
        still = draw.random() < 0.3
        for frame in range(SCENE):
            if not (still and frame % 3):  # drawn once for three frames
                top, left = draw.integers(48, size=2)
                block = small[top : top + 14, left : left + 14]
                small[top : top + 14, left : left + 14] = np.roll(block, draw.integers(-3, 4, size=2).tolist(), (0, 1))
                change = draw.random(len(points)) < 0.03
                points = np.where(change, points ^ _bits(len(points), draw, 0.3), points)
                mask = int(_bits(1, draw, 0.01)[0])
                hashes = hashes[0] ^ mask, hashes[1] ^ mask
            noise = draw.integers(-1, 2, size=small.shape)
            number = scene * SCENE + frame
            yield first._replace(
                sha256=f"{number:064x}", pixels=number.to_bytes(8, "big"), hashes=hashes,
                small=np.clip(small.astype(np.int16) + noise, 0, 255).astype(np.uint8), points=points,
            ), bool(still and frame % 3)  # fmt: skip


def _copy(look: Look, number: int, draw: np.random.Generator) -> Look:
    """A near, a mirrored or a cropped copy."""
    sha256, pixels, places = f"{number:064x}", number.to_bytes(8, "big"), look.places.astype(np.float32)
    kind = int(draw.integers(3))
    if kind == 0:
        hashes = _flipped(look.hashes[0], draw, 0.02), _flipped(look.hashes[1], draw, 0.02)
        return look._replace(sha256=sha256, pixels=pixels, hashes=hashes)
    if kind == 1:
        turned = look.places.copy()
        turned[:, 0] = 1 - turned[:, 0]
        return look._replace(
            sha256=sha256, pixels=pixels, hashes=look.hashes[::-1], small=np.ascontiguousarray(look.small[:, ::-1]),
            places=turned, points=look.points ^ mirrored_signs(),
        )  # fmt: skip
    left, top = draw.uniform(0, 0.2, 2)
    inside = ((places[:, :2] > (left, top)) & (places[:, :2] < (left + 0.8, top + 0.8))).all(axis=1)
    part = Image.fromarray(look.small).resize(look.small.shape, Image.Resampling.BILINEAR,
                                              (64 * left, 64 * top, 64 * left + 51.2, 64 * top + 51.2))  # fmt: skip
    return look._replace(
        sha256=sha256, pixels=pixels, small=np.asarray(part), hashes=tuple(draw.integers(2**63, size=2).tolist()),
        places=((places[inside] - (left, top, 0)) / 0.8).astype(np.float16), points=look.points[inside],
    )  # fmt: skip


def _bits(count: int, draw: np.random.Generator, share: float) -> np.ndarray:
    """So many hashes of which each bit is set with this probability."""
    return np.packbits(draw.random((count, 64)) < share, axis=1).view(np.uint64).ravel()


def _flipped(value: int, draw: np.random.Generator, share: float) -> int:
    return value ^ int(_bits(1, draw, share)[0])


if __name__ == "__main__":
    many(sys.argv[2]) if sys.argv[1:2] == ["--many"] else main()
