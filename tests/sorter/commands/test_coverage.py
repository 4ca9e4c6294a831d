"""`sorter coverage`: counts of what an export would hold, what is missing in the order of surprise, and the page."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from sorter.commands.coverage import coverage
from sorter.commands.coverage_text import MOST_GAPS, lines_of
from sorter.commands.export import export
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.dataset.gaps import Gap, gaps, log_of_at_most
from sorter.library.store.manifest import Manifest


@pytest.fixture
def heap(tmp_path: Path, draw: Any, grow: Any) -> Path:
    """Left and front, happy and sad, but never front and sad; some in doubt, one of nobody."""
    how_many = {("left", "happy"): 6, ("right", "sad"): 4, ("front", "happy"): 5, ("left", "?"): 2}
    how_many |= {("nobody", "sad"): 1}
    numbers = iter(range(100))
    pictures = {
        f"{direction}_{mood.replace('?', 'doubtful')}_{number}.png": draw(direction, mood, next(numbers))
        for (direction, mood), count in how_many.items()
        for number in range(count)
    }
    return Path(grow(tmp_path / "heap", pictures))


@pytest.fixture
def library(tmp_path: Path, heap: Path, job: Job) -> Path:
    sort(heap, tmp_path / "library", job)
    return tmp_path / "library"


@pytest.fixture
def run(run_cli: Any, library: Path, project: Path) -> Callable[..., dict[str, Any]]:
    def call(*more: object) -> dict[str, Any]:
        code, out, err = run_cli("coverage", library, "--scheme", project / "scheme.toml", "--json", *more)
        assert (code, err) == (0, "")
        return dict(json.loads(out))

    return call


def test_what_is_counted_is_what_an_export_holds(
    run: Callable[..., dict[str, Any]], library: Path, tmp_path: Path, job: Job
) -> None:
    for more, how in (((), {}), (("--doubtful",), {"doubtful": True})):
        said = run(*more)
        export(library, tmp_path / "dataset", job, **how)
        lines = (tmp_path / "dataset" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        assert said["pictures"] == len(rows)
        for axis, classes in said["axes"].items():
            found = Counter(row[axis] for row in rows if row[axis])
            assert {name: count for name, count in classes.items() if count} == dict(found)
        (pair,) = said["pairs"]
        for one, counts in pair["counts"].items():
            for other, count in counts.items():
                assert count == sum((row[pair["axes"][0]], row[pair["axes"][1]]) == (one, other) for row in rows)


def test_what_is_missing_is_said_in_a_sentence(run_cli: Any, library: Path, project: Path) -> None:
    code, out, _ = run_cli("coverage", library, "--scheme", project / "scheme.toml")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].endswith("15 pictures that an export would hold")
    assert lines[1] == "  not counted: 2 in doubt (mood 2), 1 direction: nobody"
    assert "no pictures of direction front with mood sad; about 1 would be expected" in out
    assert "  3 of 4 combinations of direction, mood have pictures" in lines
    table = lines[lines.index("direction and mood:") + 1 :]
    assert [line.split() for line in table[:3]] == [["happy", "sad"], ["left", "6", "4"], ["front", "5", "-"]]


def test_what_a_person_did_since_the_last_sort_counts(run: Callable[..., dict[str, Any]], library: Path) -> None:
    first = next((library / "happy" / "front").glob("*.png"))
    (library / "sad" / "front").mkdir(parents=True)
    for path in (first, first.with_suffix(".txt")):
        shutil.move(path, library / "sad" / "front" / path.name)
    said = run()
    assert said["missing"] == [] and said["axes"]["mood"] == {"happy": 10, "sad": 5}


def test_a_class_that_says_nothing_is_counted_and_not_missed(run: Callable[..., dict[str, Any]], project: Path) -> None:
    path = project / "scheme.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('front = { tag = "facing the viewer" }', 'front = { tag = "" }'), encoding="utf-8")
    said = run()
    assert said["silent"] == {"direction": ["front"]}
    assert said["axes"]["direction"]["front"] == 5 and said["missing"] == []
    assert said["combinations"] == {"possible": 2, "with_pictures": 2}


def test_a_colour_and_a_tag_that_come_with_a_class_are_said(
    run_cli: Any, tmp_path: Path, project: Path, draw: Any, grow: Any
) -> None:
    """Front views are green above, and happy pictures white below; one caption in a person's words says a scarf."""
    path = project / "scheme.toml"
    path.write_text(path.read_text(encoding="utf-8") + '[ask.colours]\nuse = "colours"\n', encoding="utf-8")
    kinds = [("front", "happy"), ("front", "sad"), ("left", "happy"), ("left", "sad")]
    pictures = {
        f"{direction}_{mood}_{number}.png": draw(direction, mood, 100 * place + number)
        for place, (direction, mood) in enumerate(kinds)
        for number in range(6)
    }
    scheme, library = ("--scheme", path), tmp_path / "coloured"
    assert run_cli("sort", grow(tmp_path / "coloured frames", pictures), "--to", library, *scheme)[0] == 0
    for caption in (library / "happy").rglob("*.txt"):
        caption.write_text("mira, happy, red scarf", encoding="utf-8")
    code, out, err = run_cli("coverage", library, *scheme)
    assert (code, err) == (0, "")
    said = {line.strip() for line in out.splitlines() if " of the others" in line}
    assert {
        '"green (colours)" in 100% of direction front (12 of 12 pictures), and in 0% of the others',
        '"white (colours)" in 100% of mood happy (12 of 12 pictures), and in 0% of the others',
        '"red scarf" in 100% of mood happy (12 of 12 pictures), and in 0% of the others',
    } <= said


def test_one_axis_is_counts_alone(run: Callable[..., dict[str, Any]]) -> None:
    said = run("--axes", "mood")
    assert said["axes"] == {"mood": {"happy": 11, "sad": 4}} and said["pairs"] == said["missing"] == []
    assert said["repeats"] == {"mood": {"happy": 1, "sad": 3}}


def test_the_page_shows_a_picture_in_each_cell_and_marks_the_empty_one(
    run: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    to = tmp_path / "coverage.html"
    assert run("--to", to)["to"] == str(to)
    text = to.read_text(encoding="utf-8")
    cells = re.findall(r"<td( class=\"none\")? title=\"([^\"]+)\"(.*?)</td>", text, re.DOTALL)
    assert {title: ("none" in empty, rest.count("<img")) for empty, title, rest in cells} == {
        "left, happy: 6": (False, 1), "left, sad: 4": (False, 1),
        "front, happy: 5": (False, 1), "front, sad: 0": (True, 0),
    }  # fmt: skip
    assert "no pictures of direction front with mood sad" in text
    assert not re.findall(r"(?:src|href)=\"(?!data:|#|library/)", text)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--axes", "moood"), '--axes: "moood" is not an axis; did you mean "mood"?'),
        (("--axes", ""), '--axes: "" is not an axis; there is direction, mood'),
        (("--axes", "mood,,direction"), '--axes: "" is not an axis; there is direction, mood'),
    ],
)
def test_an_axis_that_is_not_there_is_a_sentence(
    more: tuple[str, ...], said: str, run_cli: Any, library: Path, project: Path
) -> None:
    code, out, err = run_cli("coverage", library, "--scheme", project / "scheme.toml", *more)
    assert (code, out, err) == (2, "", f"sorter: {said}\n")


def test_a_library_without_pictures_is_a_sentence(
    tmp_path: Path, job: Job, run_cli: Any, project: Path, grow: Any
) -> None:
    sort(grow(tmp_path / "none", {"notes.txt": "no picture"}), tmp_path / "empty", job)
    code, _, err = run_cli("coverage", tmp_path / "empty", "--scheme", project / "scheme.toml")
    assert code == 2 and err.endswith("holds no picture to export; sort some first, or add --doubtful\n")
    code, _, err = run_cli("coverage", tmp_path / "none", "--scheme", project / "scheme.toml")
    assert code == 2 and "is not a library" in err
    code, _, err = run_cli("export", tmp_path / "empty", "--to", tmp_path / "set", "--scheme", project / "scheme.toml")
    assert code == 2 and err.endswith("holds no picture to export; sort some first, or add --doubtful\n")


def test_a_page_that_cannot_be_written_is_a_sentence(run_cli: Any, library: Path, project: Path, heap: Path) -> None:
    code, _, err = run_cli("coverage", library, "--scheme", project / "scheme.toml", "--to", heap)
    assert code == 2 and err.startswith(f"sorter: {heap}: cannot be written: ")


def test_the_most_surprising_gap_comes_first() -> None:
    kinds = {
        (("view", "back"), ("mood", "sad")): 100,
        (("view", "front"), ("mood", "sad")): 100,
        (("view", "front"), ("mood", "happy")): 200,
        (("view", "top"), ("mood", "sad")): 1,
        (("view", "front"), ("mood", "shy")): 2,
        (("view", "side"), ("mood", "happy")): 300,
        (("view", "side"), ("mood", "sad")): 1,
    }
    found = gaps(kinds, {"view": ("back", "front", "side", "top", "none"), "mood": ("happy", "sad", "shy")})
    assert [dict(gap.classes) for gap in found[:2]] == [
        {"view": "side", "mood": "sad"}, {"view": "back", "mood": "happy"},
    ]  # fmt: skip
    assert found[0].sentence() == "only 1 picture of view side with mood sad; about 86 would be expected"
    assert {tuple(dict(gap.classes).values()) for gap in found[2:]} == {
        ("back", "shy"), ("side", "shy"), ("top", "happy"), ("top", "shy"),
    }  # fmt: skip
    assert all(first.surprise >= second.surprise for first, second in pairwise(found))


def test_three_classes_of_which_each_pair_is_there_are_missed() -> None:
    kinds = {
        tuple(zip("abc", classes, strict=True)): 20
        for classes in product("xy", repeat=3) if classes != ("x", "x", "y")
    }  # fmt: skip
    (gap,) = gaps(kinds, dict.fromkeys("abc", ("x", "y")))
    assert gap.classes == (("a", "x"), ("b", "x"), ("c", "y")) and gap.pictures == 0
    assert gap.sentence() == "no pictures of a x with b x and c y; about 5 would be expected"


@pytest.mark.parametrize(
    ("count", "expected", "chance"), [(0, 3.0, 0.049787), (2, 3.0, 0.423190), (1, 0.5, 0.909796), (40, 900.0, 0.0)]
)
def test_the_chance_is_that_of_poisson(count: int, expected: float, chance: float) -> None:
    import math

    assert math.exp(log_of_at_most(count, expected)) == pytest.approx(chance, abs=1e-6)
    assert log_of_at_most(count, expected) < 0


def test_axes_of_a_hundred_classes_stay_readable(library: Path, job: Job) -> None:
    """100 x 100 classes of which 100 pairs have pictures: 9,900 are missing, and 20 are named."""
    kinds = {(("direction", f"d{number}"), ("mood", f"m{number}")): 1 + number for number in range(100)}
    names = {axis: tuple(f"{axis[0]}{number}" for number in range(100)) for axis in ("direction", "mood")}
    found = gaps(kinds, names)
    assert len(found) == 9900
    assert found[0] == Gap((("direction", "d98"), ("mood", "m99")), 0, found[0].expected)
    with Manifest(library, dry_run=True) as manifest:
        said = coverage(manifest, job)
    said.__dict__["gaps"] = found
    lines = lines_of(said, library, True)
    assert sum(line.startswith("  no pictures of direction d") for line in lines) == MOST_GAPS
    assert f"  and {9900 - MOST_GAPS:,} more combinations" in "\n".join(lines) and len(lines) < 60
