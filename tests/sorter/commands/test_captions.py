"""`sorter captions` and `sorter prune`, through the commands, on libraries and on any dataset folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sorter.classify import askers
from sorter.classify.askers import Asker
from sorter.scheme import load_scheme
from tests.sorter.by_hand import one

MORE = """
[ask.tags]
use = "test-tagger"
[caption]
use = "template"
text = "{trigger}, {mood}, {direction}, {tags}"   # mine
[vocabulary.groups]
clothes = ["white shirt", "red scarf"]   # what is worn
look = ["looking left", "looking right"]
[vocabulary.aliases]
shirt = "white shirt"
"""


class Tagger(Asker):
    """Says the same of every picture."""

    def ask(self, view: Any) -> Any:
        return ["solo", "shirt", "looking_left", "red scraf"]


@pytest.fixture(autouse=True)
def tagger() -> Iterator[None]:
    askers.askers.add("test-tagger")(Tagger)
    yield
    del askers.askers._known["test-tagger"]


@pytest.fixture
def scheme(project: Path) -> Path:
    path = project / "scheme.toml"
    path.write_text(path.read_text() + MORE)
    return path


@pytest.fixture
def run(run_cli: Callable[..., Any], scheme: Path) -> Callable[..., Any]:
    """The JSON of a command with the scheme."""

    def call(*words: object, code: int = 0) -> Any:
        given, out, err = run_cli(*words, *(["--scheme", scheme] if words[0] != "undo" else []), "--json")
        assert given == code, out + err
        return json.loads(out)

    return call


@pytest.fixture
def sorted_library(frames: Path, library: Path, run: Callable[..., Any]) -> Path:
    run("sort", frames, "--to", library, code=1)
    return library


def texts(library: Path) -> dict[str, str]:
    return {path.stem.rpartition("-")[0]: path.read_text().strip() for path in library.rglob("*.txt")}


def test_tags_of_an_asker_are_spelled_and_turned(sorted_library: Path) -> None:
    assert texts(sorted_library) == {
        "left_happy": "mira, happy, facing left, solo, white shirt, looking left, red scraf",
        "right_happy": "mira, happy, facing left, solo, white shirt, looking right, red scraf",
        "sad": "mira, sad, facing left, solo, white shirt, looking right, red scraf",
        "front": "mira, sad, facing the viewer, solo, white shirt, looking left, red scraf",
        "doubtful": "mira, facing left, solo, white shirt, looking left, red scraf",
    }


def test_captions_know_who_wrote_them_and_what_is_no_tag(
    sorted_library: Path, run: Callable[..., Any], run_cli: Callable[..., Any], scheme: Path, tmp_path: Path
) -> None:
    one(sorted_library, "sad-*.txt").write_text("mira, sadd, her shirt")
    found = run("captions", sorted_library, "--each")
    assert found["by"] == {"template + tags": 4, "human": 1}
    assert found["unknown"] == [
        {"word": "solo", "captions": 4, "nearest": ""},
        {"word": "red scraf", "captions": 4, "nearest": "red scarf"},
        {"word": "sadd", "captions": 1, "nearest": "sad"},
        {"word": "her shirt", "captions": 1, "nearest": "white shirt"},
    ]
    (own,) = [row for row in found["captions"] if row["by"] == "human"]
    assert own["text"] == "mira, sadd, her shirt" and own["file"].startswith("sad/left/sad-")
    code, out, _ = run_cli("captions", sorted_library, "--scheme", scheme)
    assert code == 0 and '4 x "red scraf"; did you mean "red scarf"?' in out
    assert "5 captions: 4 by template + tags, 1 by a person" in out

    run("export", sorted_library, "--to", tmp_path / "dataset")
    rows = [json.loads(line) for line in (tmp_path / "dataset" / "metadata.jsonl").read_text().splitlines()]
    assert sorted(row["caption_by"] for row in rows) == ["human"] + ["template + tags"] * 3
    found = run("captions", tmp_path / "dataset")
    assert found["by"] == {"template + tags": 3, "human": 1}
    assert found["unknown"][0] == {"word": "solo", "captions": 3, "nearest": ""}


def test_a_rule_is_shown_then_written_then_taken_back(
    sorted_library: Path, run: Callable[..., Any], scheme: Path
) -> None:
    one(sorted_library, "sad-*.txt").write_text("mira, white shirt")
    before, captions = scheme.read_bytes(), texts(sorted_library)
    shown = run("prune", sorted_library, "clothes", "solo", "--dry-run")
    assert scheme.read_bytes() == before and not shown["written"]
    clothes, solo = shown["rules"]
    assert (clothes["captions"], clothes["kept"], clothes["tags"]) == (4, 1, {"white shirt": 4})
    assert (solo["captions"], solo["kept"]) == (4, 0)
    assert solo["examples"][0]["after"].endswith(("looking left, red scraf", "looking right, red scraf"))
    assert run("prune", sorted_library, "clothes", "solo")["rules"] == shown["rules"]
    text = scheme.read_text()
    assert 'prune = ["clothes", "solo"]' in text and "# what is worn" in text and "# mine" in text
    assert load_scheme(scheme).vocabulary.prune == ("clothes", "solo")
    assert texts(sorted_library) == captions

    run("apply", sorted_library)
    assert texts(sorted_library)["left_happy"] == "mira, happy, facing left, looking left, red scraf"
    assert texts(sorted_library)["sad"] == "mira, white shirt"
    assert run("captions", sorted_library)["pruned"] == {"solo": 4, "white shirt": 4}
    assert run("undo", sorted_library)["counts"]["captions placed"] == 4
    assert texts(sorted_library) == captions
    back = run("prune", sorted_library, "clothes", "solo", "--undo")
    assert [rule["captions"] for rule in back["rules"]] == [4, 4]
    assert load_scheme(scheme).vocabulary.prune == ()
    assert "# what is worn" in scheme.read_text()


def test_a_rule_of_one_class(sorted_library: Path, run: Callable[..., Any], scheme: Path) -> None:
    for value, words in (("mood=happy", "solo"), ("direction=left", "red scraf"), ("mood=happy", "white shirt")):
        run("prune", sorted_library, words, "--of", value)
    axes = load_scheme(scheme).axes
    assert axes["mood"].meaning("happy").prune == ("solo", "white shirt")
    assert axes["direction"].meaning("left").prune == ("red scraf",)
    assert axes["direction"].meaning("left").mirror == "right"
    run("apply", sorted_library)
    assert texts(sorted_library)["right_happy"] == "mira, happy, facing left, looking right"
    assert texts(sorted_library)["front"].endswith("solo, white shirt, looking left, red scraf")
    run("prune", sorted_library, "solo", "white shirt", "--of", "mood=happy", "--undo")
    assert load_scheme(scheme).axes["mood"].meaning("happy").prune == ()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("mira",), '"mira" is the trigger'),
        (("a, b",), "'a, b' is not a tag"),
        (("solo", "--undo"), '[vocabulary] does not prune "solo"'),
        (("solo", "--of", "happy"), '"happy" is not a class of an axis; write character=mira'),
        (("solo", "--of", "mood=hapy"), '"hapy" is not a class of mood; did you mean "happy"?'),
        (("solo", "--of", "moods=happy"), '"moods" is not an axis; did you mean "mood"?'),
    ],
)
def test_a_rule_that_cannot_be_is_one_sentence(
    sorted_library: Path, run: Callable[..., Any], scheme: Path, words: tuple[str, ...], sentence: str
) -> None:
    before = scheme.read_bytes()
    assert sentence in run("prune", sorted_library, *words, code=2)["error"]
    assert scheme.read_bytes() == before


def test_check_names_what_does_not_fit(run: Callable[..., Any], scheme: Path) -> None:
    scheme.write_text(scheme.read_text().replace('"facing right"', '"happy"'))
    assert "mood: happy" in run("check")["notes"][0]
    scheme.write_text(scheme.read_text() + 'a = "b"\nb = "a"\n')
    assert "a -> b -> a: these aliases go round in a circle" in run("check", code=2)["error"]
    scheme.write_text(scheme.read_text() + "oops")
    assert "is not TOML" in run("check", code=2)["error"]


def test_captions_of_any_folder(grow: Any, draw: Any, tmp_path: Path, run: Callable[..., Any]) -> None:
    """Each bad caption is counted or in the census; none stops the rest."""
    picture = draw()
    folder = grow(
        tmp_path / "10_mira",
        {
            "good.png": picture, "good.txt": "mira, Happy, red_scarf",
            "kohya.png": picture, "kohya.caption": "mira, sad",
            "whole.png": picture, "whole.png.txt": "\ufeffmira, sad",
            "empty.png": picture, "empty.txt": " \n",
            "none.png": picture,
            "lines.png": picture, "lines.txt": "mira\nsad\n",
            "long.png": picture, "long.txt": "mira, " + "x" * 10_000,
            "binary.png": picture, "binary.txt": b"\xff\xfe\x00\xd8\x00",
            "strange \u202e.png": picture, "strange \u202e.txt": "mira, \u202ehid\x1b[31m",
            "metadata.jsonl": '{"file_name": "sub/c.png", "prompt": "mira, sad, happy"}',
            "sub": {"a.png": picture, "c.png": picture, "b.png": picture, "metadata.jsonl":
                    '{"file_name": "a.png", "text": "mira, tall"}\nno json\n[1]\n{"file_name": 7}\n'},
        },
    )  # fmt: skip
    found = run("captions", folder, "--each", code=1)
    assert {row["text"] for row in found["captions"]} >= {
        "mira, Happy, red_scarf", "mira, sad", "mira, tall", "mira, sad, happy",
    }  # fmt: skip
    assert found["notes"] == [
        "3 captions are empty or missing",
        "1 caption is of several lines, of which most trainers read the first",
        "1 caption is longer than 1,000 characters; trainers cut at 75 tokens, some 350 characters",
    ]
    no_text = "its caption is no text that can be read as UTF-8, UTF-16 or ANSI; save it again as UTF-8"
    assert {(Path(one["path"]).name, one["reason"]) for one in found["failures"]} == {
        ("binary.png", no_text),
        ("strange \u202e.png", no_text),
        ("metadata.jsonl", "line 2 is not a JSON object"),
        ("metadata.jsonl", "line 3 is not a JSON object"),
    }  # fmt: skip
    assert {row["word"] for row in found["unknown"]} == {"x" * 10_000, "tall"}


def test_dominance_is_told_in_a_library(
    draw: Any, grow: Any, library: Path, tmp_path: Path, run: Callable[..., Any]
) -> None:
    some = {f"h{n}.png": draw("left", "happy", n) for n in range(12)}
    more = {f"s{n}.png": draw("front", "sad", n) for n in range(9)} | {"s9.png": draw("left", "sad", 9)}
    run("sort", grow(tmp_path / "heap", some | more), "--to", library)
    found = run("captions", library)
    assert {(row["axis"], row["name"], row["word"], row["pictures"], row["of"]) for row in found["together"]} == {
        ("mood", "happy", "left", 12, 12), ("direction", "left", "happy", 12, 13), ("mood", "sad", "front", 9, 10),
    }  # fmt: skip
    assert [row["word"] for row in found["everywhere"]] == ["solo", "white shirt", "looking left", "red scraf"]


def test_there_must_be_something(run: Callable[..., Any], tmp_path: Path) -> None:
    assert "does not exist" in run("captions", tmp_path / "gone", code=2)["error"]
    assert "is not a library" in run("prune", tmp_path, "solo", code=2)["error"]
