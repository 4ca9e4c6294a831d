"""The page as a person uses it, in a real Chromium."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
FRAMES = 60
HOSTILE = '<img src=x onerror=document.title="pwned">.png'


def focused(page: Any) -> str:
    """The hash of the picture that keys act on."""
    return str(page.eval_on_selector("figure.focus img", "one => one.src.split('/').pop().slice(0, 64)"))


def press(page: Any, key: str) -> None:
    """Press a key that moves on, and wait until it has."""
    at = page.get_attribute("figure.focus", "data-at")
    page.keyboard.press(key)
    page.wait_for_function("at => document.querySelector('figure.focus')?.dataset.at !== at", arg=at)


def back_on(page: Any, sha256: str) -> None:
    """Wait until an undo has come back to a picture."""
    page.wait_for_function("hash => document.querySelector('figure.focus img').src.includes(hash)", arg=sha256)


def view(page: Any, name: str) -> None:
    """Choose what is shown on the left, and wait until its pictures are there."""
    show(page, page.get_by_role("button", name=name))


def show(page: Any, choice: Any) -> None:
    """Click on something that shows other pictures, and wait until these are there."""
    before = page.get_attribute(".sheet", "data-list") if page.locator(".sheet").count() else ""
    choice.click()
    page.wait_for_function(
        "before => (sheet => sheet && sheet.dataset.list !== before)(document.querySelector('.sheet'))", arg=before
    )
    page.wait_for_selector("figure.focus img")


def answers(library: Path) -> dict[tuple[str, str], str]:
    """(hash, axis) -> a person's answer, as the manifest has it."""
    with sqlite3.connect(f"file:{library / '.modelsheet' / 'manifest.sqlite'}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT sha256, axis, name FROM label WHERE source = 'human'").fetchall()
    return {(sha256, axis): name for sha256, axis, name in rows}


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Frames of the sample franchise, and who is on each, by their hashes."""
    import hashlib

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[3] / "samples"))  # which are scripts, not a package
        from franchise import encode
        from lantern_bay import heap
    folder = tmp_path_factory.mktemp("heap") / "frames"
    folder.mkdir()
    chosen, truth = heap(7)[:FRAMES], {}
    for number, frame in enumerate(chosen):
        data = encode(frame)
        (folder / f"ep01_{number:04d}{frame.suffix}").write_bytes(data)
        truth[hashlib.sha256(data).hexdigest()] = frame.labels["character"]
    return folder, truth


def test_from_a_folder_of_frames_to_an_exported_dataset(
    frames: tuple[Path, dict[str, str]], page: Any, serve: Any, tmp_path: Path
) -> None:
    shutil.copytree(frames[0], tmp_path / "frames")
    served = serve("frames")
    page.goto(served.address)
    assert "token" not in page.url
    page.get_by_label("Trigger").fill("lbay")
    for number, is_wanted in enumerate((True, False, False, False)):
        box = page.get_by_role("checkbox").nth(number)
        if (box.get_attribute("aria-checked") == "true") != is_wanted:
            box.click()
    page.get_by_label("classes").first.fill("mira, tobo")
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector("figure.focus img", timeout=150_000)
    page.get_by_placeholder("new class").fill("other")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_selector('.chip[data-class="other"]')
    page.wait_for_selector("figure.focus img")
    page.locator(".pane").focus()
    keys = {name: str(number) for number, name in enumerate(("mira", "tobo", "other"), 1)}
    for _ in range(24):
        press(page, keys[frames[1][focused(page)]])
    page.get_by_text("It is right on").wait_for(timeout=200_000)
    library = tmp_path / "library"
    given = {sha256: name for (sha256, _), name in answers(library).items()}
    assert len(given) >= 24
    assert all(frames[1][sha256] == name for sha256, name in given.items())
    assert not any((tmp_path / "library").glob("*/*.jpg"))  # nothing is placed before it is asked for

    page.get_by_role("button", name="Sort, export, train").click()
    page.get_by_role("button", name="Sort", exact=True).click()
    until(lambda: list(library.glob("mira/*.jpg")), 120)
    page.get_by_text("done", exact=False).last.wait_for()
    until(lambda: page.locator(".lines").inner_text().endswith("done"))
    page.get_by_role("button", name="Export", exact=True).click()
    until(lambda: (tmp_path / "dataset" / "metadata.jsonl").exists(), 120)
    rows = [json.loads(line) for line in (tmp_path / "dataset" / "metadata.jsonl").read_text().splitlines()]
    assert len(rows) >= 20
    said = {"mira": "lbay, mira", "tobo": "lbay, tobo", "other": "lbay"}  # other begins as a class that says nothing
    assert all(row["text"] == said[row["character"]] for row in rows)
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == sorted(
        path.name for path in frames[0].iterdir()
    )


@pytest.fixture
def sorted_library(exports: Path, draw: Any, grow: Any, run_cli: Any, tmp_path: Path) -> Path:
    """Thirty frames sorted by two exports; some in doubt on mood, one with a hostile name."""
    for name in ("direction", "mood"):
        shutil.copytree(exports / name, tmp_path / "models" / name)
    sides = ("left", "right", "front")
    pictures = {f"f{n:02d}.png": draw(sides[n % 3], ("happy", "sad", "?")[n // 3 % 3], n) for n in range(29)}
    grow(tmp_path / "frames", {**pictures, HOSTILE.replace("/", ""): draw("left", "happy", 99)})
    (tmp_path / "scheme.toml").write_text(SCHEME, encoding="utf-8")
    library = tmp_path / "library"
    scheme = ("--scheme", tmp_path / "scheme.toml")
    assert run_cli("sort", tmp_path / "frames", "--to", library, *scheme)[0] == 0
    return library


SCHEME = """\
name = "test"
trigger = "mira"
folders = "{mood}/{direction}"
[axes.direction]
canonical = "left"
[axes.direction.classes]
left = { mirror = "right", tag = "facing left" }
right = { mirror = "left", tag = "facing right" }
[axes.mood]
threshold = 0.8
"""


def opened(page: Any, serve: Any, library: Path) -> None:
    page.goto(serve("library", folder=library.parent).address)
    page.wait_for_selector("figure.focus img")
    page.wait_for_load_state("networkidle")


def test_every_key(sorted_library: Path, page: Any, serve: Any) -> None:
    library = sorted_library
    opened(page, serve, library)
    view(page, "Doubts")
    page.get_by_text("below 80%").first.wait_for()
    first = focused(page)
    press(page, "2")  # the second class of mood
    assert until(lambda: answers(library).get((first, "mood"))) in ("happy", "sad")
    page.keyboard.press("z")
    until(lambda: (first, "mood") not in answers(library))
    back_on(page, first)

    shown = page.get_attribute("figure.focus .answer b", "class")
    assert "unsure" in str(shown)
    name = page.inner_text("figure.focus .answer b")
    press(page, " ")
    assert until(lambda: answers(library).get((first, "mood"))) == name

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    chosen = page.eval_on_selector_all(
        "figure.chosen img", "all => all.map(one => one.src.split('/').pop().slice(0, 64))"
    )
    assert len(chosen) == 3
    page.keyboard.press("1")
    given = until(lambda: (found := answers(library)) and all((one, "mood") in found for one in chosen) and found)
    assert len({given[one, "mood"] for one in chosen}) == 1
    page.keyboard.press("z")
    until(lambda: not any((one, "mood") in answers(library) for one in chosen))
    back_on(page, chosen[0])

    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    dropped = focused(page)
    page.keyboard.press("x")
    until(lambda: answers(library).get((dropped, "library")) == "removed")
    page.keyboard.press("z")
    until(lambda: (dropped, "library") not in answers(library))
    back_on(page, dropped)

    target = focused(page)
    page.keyboard.press("f")
    until(lambda: answers(library).get((target, "direction")) in ("left", "right"))
    page.keyboard.press("z")
    until(lambda: (target, "direction") not in answers(library))

    page.keyboard.press("Enter")
    page.wait_for_selector(".large img")
    page.keyboard.press("Escape")
    page.wait_for_selector(".large", state="detached")
    page.keyboard.press("/")
    page.keyboard.type("f07")
    page.wait_for_function("() => document.querySelectorAll('figure').length === 1")


def test_a_picture_is_dragged_onto_a_class(sorted_library: Path, page: Any, serve: Any) -> None:
    opened(page, serve, sorted_library)
    view(page, "Doubts")
    page.get_by_text("below 80%").first.wait_for()
    dragged = focused(page)
    page.locator("figure.focus").drag_to(page.locator('.chip[data-class="sad"]'))
    assert until(lambda: answers(sorted_library).get((dragged, "mood"))) == "sad"


def test_sheets_show_pictures_as_they_stand_and_are_answered_so(sorted_library: Path, page: Any, serve: Any) -> None:
    opened(page, serve, sorted_library)
    view(page, "Sheets")
    page.get_by_role("button", name="left", exact=False).first.wait_for()
    page.wait_for_selector("img.mirrored")
    page.locator("figure:has(img.mirrored)").first.click()
    turned = focused(page)
    page.locator('.bar .chip[data-class="right"]').click()  # as it stands it faces right: as it was found, left
    assert until(lambda: answers(sorted_library).get((turned, "direction"))) == "left"


def test_captions_are_edited_in_place_and_kept(sorted_library: Path, page: Any, serve: Any, run_cli: Any) -> None:
    library, hostile = sorted_library, 'mira, "sly" <script>document.title="pwned"</script>'
    opened(page, serve, library)
    view(page, "Captions")
    box = page.locator("figure.focus textarea.caption")
    sha256 = focused(page)
    box.fill(hostile)
    box.press("Tab")
    until(lambda: answers(library).get((sha256, "caption")) == hostile)
    assert run_cli("apply", library, "--scheme", library.parent / "scheme.toml")[0] == 0
    texts = [path.read_text(encoding="utf-8").strip() for path in library.rglob(f"*{sha256[:10]}.txt")]
    assert texts == [hostile]
    page.reload()
    view(page, "Captions")
    page.wait_for_selector("textarea.own")
    assert page.title() == "Modelsheet"


def test_a_hostile_name_is_text(sorted_library: Path, page: Any, serve: Any) -> None:
    opened(page, serve, sorted_library)
    view(page, "Captions")
    page.get_by_text("onerror=document.title", exact=False).first.wait_for()
    page.wait_for_timeout(300)
    assert page.title() == "Modelsheet"


def test_numbers_and_what_is_left_out(sorted_library: Path, page: Any, serve: Any) -> None:
    (sorted_library / "happy" / "left" / "mine.png").write_bytes(
        (sorted_library.parent / "frames" / "f00.png").read_bytes()[:-1] + b"?"
    )
    opened(page, serve, sorted_library)
    view(page, "Doubts")
    page.keyboard.press("x")
    page.get_by_role("button", name="Left out").click()
    page.get_by_text("removed by hand").first.wait_for()
    page.get_by_role("button", name="Numbers").click()
    page.get_by_text("Gaps: how many pictures there are of each combination").wait_for()
    page.get_by_text("mine.png").wait_for()


def test_a_refit_is_compared_and_taken(sorted_library: Path, page: Any, serve: Any) -> None:
    library = sorted_library
    opened(page, serve, library)
    view(page, "Sheets")
    show(page, page.get_by_role("group", name="Question").get_by_text("mood"))
    for name in ("happy", "sad"):
        show(page, page.get_by_role("group", name="Class").get_by_text(name))
        page.locator(".pane").focus()
        for _ in range(5):
            page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press(" ")
        page.get_by_text(f"6: {name}").wait_for()
    page.get_by_role("button", name="Refit").click()
    page.get_by_role("combobox", name="question").click()
    page.get_by_role("option", name="mood").click()
    page.get_by_role("button", name="Fit", exact=True).click()
    page.get_by_role("button", name="Take the new one").wait_for(timeout=120_000)
    page.get_by_text("which neither was fitted on").wait_for()
    before = (library.parent / "models" / "mood" / "labels.txt").read_bytes()
    page.get_by_role("button", name="Take the new one").click()
    until(lambda: (library.parent / "models" / "mood" / "card.toml").exists())
    assert (library.parent / "models" / ".mood.old" / "labels.txt").read_bytes() == before
    until(
        lambda: page.get_by_text("$ sorter apply").count() and page.locator(".lines").inner_text().endswith("done"), 120
    )


def test_two_windows_on_one_library_both_stay_right(
    sorted_library: Path, page: Any, chromium: Any, serve: Any, run_cli: Any
) -> None:
    """Two servers, as two people would start them, and a command in between."""
    library = sorted_library
    opened(page, serve, library)
    other = chromium.new_context().new_page()
    other.goto(serve("library", folder=library.parent).address)
    other.wait_for_selector("figure.focus img")
    for one in (page, other):
        view(one, "Doubts")
    first = focused(page)
    press(page, "2")
    until(lambda: (first, "mood") in answers(library))
    other.wait_for_selector("figure.focus .person", timeout=10_000)
    press(other, "1")
    until(lambda: answers(library)[first, "mood"] != answers(library).get((focused(other), "mood"), ""))
    assert (
        run_cli("sort", library.parent / "frames", "--to", library, "--scheme", library.parent / "scheme.toml")[0] == 0
    )
    assert (first, "mood") in answers(library)
    other.context.close()


def test_undo_takes_back_what_the_page_did(sorted_library: Path, page: Any, serve: Any, run_cli: Any) -> None:
    library = sorted_library
    opened(page, serve, library)
    view(page, "Doubts")
    first = focused(page)
    press(page, "1")
    press(page, "2")
    until(lambda: len(answers(library)) == 2)
    code, out, _ = run_cli("undo", library)
    assert code == 0
    assert "(review)" in out
    assert answers(library) == {}
    assert first
    page.wait_for_selector("figure.focus .unsure, figure .unsure", timeout=10_000)
