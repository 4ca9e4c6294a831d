"""The page in a real Chromium: how fast keys, a large library and the first useful sort are.

    python -m tests.bench.page

The large library has 100,000 pictures of 1280x720 on the disk (7 GB, for the time of the run), each with its answers in
the manifest. A key is timed from its press to the next picture's focus, seen from outside; a blank, from a scroll to
the moment when every picture on the screen is drawn, for thumbnails that are made then and for those that are there.
The first sort starts from 484 frames of the sample, enlarged to 1280x720, with no answer and no sorter; the time that
the "person" takes to answer is not counted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
from PIL import Image

from tests.bench.scale import AXES, SCHEME
from tests.browser import Served, find_chromium

PICTURES, FRAMES = 100_000, 484
KEYS, SCROLLS = 200, 60
SIZE = (1280, 720)
ANSWERS = 45
BLANK = """() => new Promise(done => {
  const pane = document.querySelector('.pane'), start = performance.now();
  pane.scrollTop += STEP * pane.clientHeight;
  const look = () => {
    const box = pane.getBoundingClientRect();
    const seen = [...pane.querySelectorAll('figure')].filter(one => {
      const it = one.getBoundingClientRect();
      return it.bottom > box.top && it.top < box.bottom;
    });
    const there = one => { const img = one.querySelector('img'); return img && img.complete && img.naturalWidth; };
    seen.length && seen.every(there) ? done(performance.now() - start) : requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def main() -> None:
    """Print a line for each."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, tempfile.TemporaryDirectory() as name:
        browser = driver.chromium.launch(executable_path=find_chromium() or None, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 850})
        page.set_default_timeout(300_000)
        large(Path(name) / "large", page)
        first_sort(Path(name) / "first", page)
        browser.close()


def large(folder: Path, page: Any) -> None:
    """Keys, opening, scrolling and memory on the large library."""
    make_large(folder)
    if hasattr(os, "sync"):
        os.sync()  # or the disk is still busy with these seven gigabytes
    for what in ("for the first time", "again", "once more"):
        started = time.perf_counter()
        served = Served(folder, "library")
        ready = time.perf_counter()
        page.goto(served.address)
        page.wait_for_function("() => document.querySelector('figure.focus img')?.naturalWidth")
        print(f"opens {PICTURES:,} {what}: {time.perf_counter() - ready:.2f} s in the browser (bar: 2), "
              f"{ready - started:.1f} s before for the command to start")  # fmt: skip
        if what != "once more":
            served.stop()
    page.wait_for_function("() => document.querySelector('figure.focus .answer b.unsure')")
    page.wait_for_timeout(2000)
    times = sorted(key(page, str(1 + number % 3)) for number in range(KEYS))
    median, late = times[KEYS // 2], quantiles(times, n=20)[-1]
    print(f"{KEYS} answers by keys: median {1000 * median:.0f} ms, p95 {1000 * late:.0f} ms (bar: 100)")
    page.get_by_role("button", name="Captions").click()
    page.wait_for_selector("figure.focus textarea.caption")
    for title, step in (("thumbnails made then", 1), ("thumbnails that are there", -1)):
        blanks = sorted(page.evaluate(BLANK.replace("STEP", str(step))) for _ in range(SCROLLS))
        print(
            f"scrolling by screens, {title}: median {blanks[SCROLLS // 2]:.0f} ms, most {blanks[-1]:.0f} ms (bar: 300)"
        )
    status = Path(f"/proc/{served.process.pid}/status").read_text(encoding="utf-8")
    most = next(int(line.split()[1]) >> 10 for line in status.splitlines() if line.startswith("VmHWM:"))
    print(f"memory: {most} MB at most (bar: 700)")
    served.stop()
    shutil.rmtree(folder)


def key(page: Any, name: str) -> float:
    """Seconds from a key to the next picture."""
    at = page.get_attribute("figure.focus", "data-at")
    started = time.perf_counter()
    page.keyboard.press(name)
    page.wait_for_function("at => document.querySelector('figure.focus')?.dataset.at !== at", arg=at)
    return time.perf_counter() - started


def make_large(folder: Path) -> None:
    """Files that differ in their last bytes, two sorters, and what the manifest says that these have answered."""
    from sorter.commands.job import load_job
    from sorter.files import found_at
    from sorter.library.store.manifest import Manifest
    from sorter.records import HUMAN, Label, Picture

    draw = np.random.default_rng(0)
    bases = [_jpeg(frame) for frame in _frames(48)]
    (folder / "library").mkdir(parents=True)
    for axis, names in AXES.items():
        for number, data in enumerate(bases):
            example = folder / "examples" / axis / names[number % len(names)] / f"{number}.jpg"
            example.parent.mkdir(parents=True, exist_ok=True)
            example.write_bytes(data)
        command = [sys.executable, "-m", "sorter", "fit", str(folder / "examples" / axis), "--to", f"models/{axis}"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    scheme = folder / "scheme.toml"
    scheme.write_text('name = "large"\ntrigger = "lbay"\nfolders = "{mood}/{direction}"\n' + SCHEME, encoding="utf-8")
    sources = load_job(scheme).questions.sources()
    with Manifest(folder / "library", create=True) as manifest, manifest.change():
        for number in range(PICTURES):
            path = folder / "frames" / f"{number // 1000:03}" / f"frame_{number:06}.jpg"
            if number % 1000 == 0:
                path.parent.mkdir(parents=True)
            data = bases[number % len(bases)] + number.to_bytes(4, "big")
            path.write_bytes(data)
            labels = [
                Label(axis, str(draw.choice(names)), float(draw.uniform(0.4, 1)),
                      HUMAN if draw.random() < 0.1 else sources[axis])
                for axis, names in AXES.items()
            ]  # fmt: skip
            picture = Picture(hashlib.sha256(data).hexdigest(), str(path), *SIZE, "JPEG")
            manifest.add_all([(found_at(path), picture, labels)])


def first_sort(folder: Path, page: Any) -> None:
    """From frames to a sorted library, the truth answering on two axes."""
    (folder / "frames").mkdir(parents=True)
    truth = {}
    for number, frame in enumerate(_frames(FRAMES)):
        data = _jpeg(frame)
        (folder / "frames" / f"ep01_{number:06}.jpg").write_bytes(data)
        truth[hashlib.sha256(data).hexdigest()] = frame.labels
    served = Served(folder, "frames")
    page.goto(served.address)
    page.get_by_label("classes").first.fill("mira, tobo, other")
    waited = [_until(page, "begun", lambda: page.get_by_role("button", name="Begin").click(), "figure.focus img")]
    for axis in ("character", "direction"):
        if axis != "character":
            waited.append(_until(page, f"{axis} chosen", lambda: page.get_by_role("button", name="direction").click(),
                                 '.chip[data-class="front"]', "figure.focus img"))  # fmt: skip
        classes = page.eval_on_selector_all(".chip[data-class]", "all => all.map(one => one.dataset.class)")
        started = time.perf_counter()
        _answer(page, axis, classes, truth)
        answering = time.perf_counter() - started
        waited.append(_until(page, f"{axis} fitted", lambda: None, "text=It is right on"))
        print(f"  {axis}: {ANSWERS} answers in {answering:.0f} s; {page.inner_text('.view > .said')[:110]}")
    page.wait_for_function("() => !document.querySelector('.top')?.innerText.includes('looking')")
    page.get_by_role("button", name="Sort, export, train").click()
    waited.append(_until(page, "sorted", lambda: page.get_by_role("button", name="Sort", exact=True).click(),
                         "text=pictures placed"))  # fmt: skip
    print(f"first useful sort of {FRAMES} frames: {sum(waited):.0f} s besides the answers (bar: 180)")
    served.stop()


def _answer(page: Any, axis: str, classes: list[str], truth: dict[str, dict[str, str]]) -> None:
    for _ in range(ANSWERS):
        if not page.query_selector("figure.focus:not(.done) img"):
            break
        sha256 = page.eval_on_selector("figure.focus img", "one => one.src.split('/').pop().slice(0, 64)")
        at = page.get_attribute("figure.focus", "data-at")
        page.keyboard.press(str(classes.index(truth[sha256][axis]) + 1))
        try:
            page.wait_for_function(
                "at => document.querySelector('figure.focus')?.dataset.at !== at", arg=at, timeout=1500
            )
        except Exception:  # the last of a list
            page.wait_for_timeout(500)


def _until(page: Any, what: str, act: Any, *selectors: str) -> float:
    started = time.perf_counter()
    act()
    for selector in selectors:
        page.wait_for_selector(selector)
    seconds = time.perf_counter() - started
    print(f"  {what}: {seconds:.1f} s")
    return seconds


def _frames(count: int) -> Iterator[Any]:
    sys.path.insert(0, str(Path(__file__).parents[2] / "samples"))
    from lantern_bay import heap

    found = [*heap(7), *heap(8)]
    return iter(found[:count])


def _jpeg(frame: Any) -> bytes:
    from franchise import draw

    out = BytesIO()
    draw(frame).convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).save(out, "JPEG", quality=85)
    return out.getvalue()


if __name__ == "__main__":
    main()
