"""The vocabulary: what becomes of each part of a caption, what is refused, and captions that vary."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorter.errors import SchemeError
from sorter.library.caption import captioner_of
from sorter.library.decide import decide
from sorter.library.layout import class_folders
from sorter.library.vocabulary import key_of, parts_of, tags_of
from sorter.plugins import read_options
from sorter.records import CAPTION, HUMAN, Label, Picture, Text
from sorter.scheme import Scheme

TABLES: dict[str, Any] = {
    "trigger": "lbay",
    "folders": "{who}/{mood}",
    "axes": {
        "who": {"classes": {"mira": {"tag": "mira, a girl"}, "nobody": {"tag": ""}}},
        "mood": {"classes": {"happy": {"prune": ["smile"]}, "sad": {}}},
        "side": {"canonical": "left", "classes": {"left": {"mirror": "right", "tag": "facing left"},
                                                  "right": {"mirror": "left", "tag": "facing right"}}},
    },
    "ask": {"tags": {"use": "any"}},
    "caption": {"use": "template", "text": "{trigger} {who}, {mood}, {side}, {tags}"},
    "vocabulary": {
        "groups": {"clothes": ["white shirt", "scarf", "red scarf"], "hair": ["teal hair", "ponytail"],
                   "place": ["harbour (night)", "town"], "look": ["smile", "looking left", "looking right"]},
        "aliases": {"shirt": "white shirt", "white tee": "shirt"},
        "implied": {"red scarf": ["scarf"], "harbour (night)": ["town"]},
        "prune": ["hair", "solo"],
    },
}  # fmt: skip
CLASSES = {"who": ("mira", "nobody"), "mood": ("happy", "sad"), "side": ("left", "right")}
PICTURE = Picture("ab" * 32, "frames/one.png", 640, 360, "PNG")


def scheme_of(**changes: Any) -> Scheme:
    return read_options(Scheme, TABLES | changes, "scheme.toml", SchemeError)


def vocabulary(**changes: Any) -> Scheme:
    return scheme_of(vocabulary=TABLES["vocabulary"] | changes)


def labels(tags: list[str], **classes: str) -> tuple[Label, ...]:
    import json

    sure = {"who": "mira", "mood": "happy", "side": "left"} | classes
    return (*(Label(*one, 1.0, "m") for one in sure.items()), Label("tags", json.dumps(tags), 1.0, "t"))


def caption(scheme: Scheme, tags: list[str], **classes: str) -> str:
    return captioner_of(scheme, labels=CLASSES)(decide(PICTURE, labels(tags, **classes), scheme))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["White_Shirt"], "white shirt"),
        (["shirt"], "white shirt"),
        (["white tee", "white shirt"], "white shirt"),
        (["red scarf"], "red scarf, scarf"),
        (["scarf", "red_scarf"], "scarf, red scarf"),
        (["teal hair", "PONYTAIL", "solo"], ""),
        ([r"harbour \(night\)"], "harbour (night), town"),
        (["something else", "something_else"], "something else, something_else"),
        (["smile"], ""),
        (["Happy", "Facing_Left"], "Happy, Facing_Left"),
    ],
)
def test_parts_are_spelled_as_the_vocabulary_says(tags: list[str], said: str) -> None:
    assert caption(scheme_of(), tags) == ", ".join(filter(None, ["lbay mira, a girl, happy, facing left", said]))


def test_a_class_prunes_from_its_own_pictures_only() -> None:
    assert caption(scheme_of(), ["smile"], mood="sad") == "lbay mira, a girl, sad, facing left, smile"


def test_what_is_pruned_does_not_come_back_by_implication() -> None:
    assert caption(vocabulary(prune=["scarf"]), ["red scarf"]).endswith("facing left, red scarf")
    assert caption(vocabulary(prune=["red scarf"]), ["red scarf"]).endswith("facing left")


def test_sides_in_tags_turn_with_the_picture() -> None:
    said = caption(scheme_of(), ["looking_left", "right hand raised", "copyright"], side="right")
    assert said == "lbay mira, a girl, happy, facing left, looking right, left hand raised, copyright"
    assert caption(scheme_of(), ["looking_left"]).endswith("facing left, looking left")


def test_silent_and_doubtful_classes_say_nothing() -> None:
    assert caption(scheme_of(), [], who="nobody") == "lbay, happy, facing left"
    scheme = scheme_of()
    doubted = (Label("who", "mira", 0.1, "m"), Label("mood", "sad", 1.0, "m"), Label("side", "left", 1.0, "m"))
    assert captioner_of(scheme)(decide(PICTURE, doubted, scheme)) == "lbay, sad, facing left"


def test_separator_and_escapes() -> None:
    table = TABLES["caption"] | {"separator": "; ", "escape": "(){}"}
    said = caption(scheme_of(caption=table), ["harbour (night)", r"a \(b\)", "{x|y}"])
    assert said == r"lbay mira; a girl; happy; facing left; harbour \(night\); town; a \(b\); {{x|y}}"
    assert parts_of(said, "; ")[-1] == "{{x|y}}" and key_of("{{x|y}}") == "{x|y}"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"aliases": {"a": "b", "b": "c", "c": "a"}}, "a -> b -> c -> a: these aliases go round in a circle; one of"),
        ({"aliases": {"a": "a"}}, "a -> a: these aliases go round"),
        ({"aliases": {"Red_Scarf": "scarf"}}, '"Red_Scarf" = "scarf": "red scarf" is a tag itself; remove one'),
        ({"aliases": {"facing left": "scarf"}}, '"facing left" is a tag itself'),
        ({"aliases": {"a": "scraf"}}, '"a" = "scraf", which is not a tag; did you mean "scarf"?'),
        ({"aliases": {"A_b": "scarf", "a b": "smile"}}, 'stands for two tags, "scarf" and "smile"; keep one'),
        ({"implied": {"red scarf": ["scraf"]}}, 'names "scraf", which is not a tag; did you mean "scarf"?'),
        ({"implied": {"blue scarf": ["scarf"]}}, 'names "blue scarf", which is not a tag'),
        ({"groups": {"a": ["Red scarf", "red_scarf"]}}, '"red_scarf" and "Red scarf" are one tag; spell it one way'),
        ({"groups": {"sad": ["x"]}}, '"sad": there is a tag of that name; call the group otherwise'),
        ({"groups": {"a": ["b, c"]}}, "'b, c' is not a tag; a tag is what can stand between two commas"),
        ({"groups": {"a": ["  "]}}, "is not a tag"),
        ({"aliases": {"x\u202ey": "smile"}}, "is not a tag"),
        ({"prune": ["LBAY"]}, '"LBAY" is the trigger, which stands for what is pruned and must stay'),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_one_sentence(change: dict[str, Any], sentence: str) -> None:
    tables = {"groups": TABLES["vocabulary"]["groups"]} | change
    with pytest.raises(SchemeError) as found:
        tags_of(scheme_of(vocabulary=tables), CLASSES)
    assert sentence in str(found.value) and "\n" not in str(found.value)
    assert str(found.value).startswith("scheme.toml: [vocabulary")


def test_a_class_has_one_tag() -> None:
    axes = TABLES["axes"] | {"mood": {"classes": {"happy": {"tag": ["happy", "glad"]}}}}
    with pytest.raises(SchemeError, match=r'"tag" in \[axes.mood.classes.happy\]: a class has one tag; keep one and'):
        scheme_of(axes=axes)


def test_two_classes_with_one_tag_are_told() -> None:
    axes = TABLES["axes"] | {"mood": {"classes": {"happy": {"tag": "Facing_left"}, "sad": {"drop": True}}}}
    scheme = scheme_of(axes=axes)
    (said,) = tags_of(scheme, CLASSES).twice(scheme, CLASSES)
    assert said.startswith('"facing left" is the tag of several classes (mood: happy, side: left)')
    assert tags_of(scheme_of(), CLASSES).twice(scheme_of(), CLASSES) == []


def test_what_the_template_says_is_known_and_what_it_cannot_say_is_not() -> None:
    text = [
        "{trigger} {who}, drawn by hand, sketch",
        "{trigger} {who} is {mood}",
        "a {mood} picture of {who} with {tags}",
    ]
    captions = captioner_of(scheme_of(caption={"use": "template", "text": text}), labels=CLASSES)
    known = ["lbay mira", "lbay", "a girl", "drawn by hand", "Drawn_by_hand", "sketch",
             "a sad picture of mira with red scarf", "a picture of a girl with", "teal hair", "facing right",
             "lbay mira is happy", "a girl is sad", "a girl is", "lbay is sad"]  # fmt: skip
    assert [part for part in known if not captions.tags.knows(part)] == []
    unknown = [
        "lbay tobo",
        "a girl is sleepy",
        "a glad picture of mira with scarf",
        "a picture of a girl with a dog",
        "shirt",
        "x",
    ]
    assert [part for part in unknown if captions.tags.knows(part)] == []
    assert not captions.tags.is_of_classes("red scarf")
    assert not tags_of(scheme_of(), CLASSES, ["{trigger}, {tags}"]).is_of_classes("red scarf")
    assert [captions.tags.nearest(part) for part in ("scraf", "shirt", "zzz")] == ["scarf", "white shirt", ""]


def test_a_persons_words_pass_through_nothing() -> None:
    scheme = scheme_of()
    layout = class_folders(scheme, CLASSES, captioner_of(scheme, labels=CLASSES))
    verdict = decide(PICTURE, (*labels(["solo"]), Label(CAPTION, "Shirt, teal hair,looking left", 1.0, HUMAN)), scheme)
    assert layout.caption(verdict) == "Shirt, teal hair,looking left"
    assert layout.captioner.author(verdict) == "human"
    assert layout.captioner.author(decide(PICTURE, labels(["solo"]), scheme)) == "template + tags"
    assert layout.captioner.author(decide(PICTURE, labels([]), scheme)) == "template"


# --- captions that vary

TEXTS = ["{trigger}, {mood}", "{mood}, a frame of {trigger}", "{trigger} is {mood}"]


def varying(texts: list[str], seed: int = 0) -> Any:
    scheme = scheme_of(caption={"use": "template", "text": texts, "seed": seed}, vocabulary={})
    return scheme, class_folders(scheme, CLASSES, captioner_of(scheme, labels=CLASSES))


def captions(texts: list[str], seed: int = 0, count: int = 600) -> list[str]:
    scheme, layout = varying(texts, seed)
    pictures = (Picture(f"{number:064x}", "a.png", 8, 8, "PNG") for number in range(count))
    contents = [layout(decide(one, labels([]), scheme))[1].content for one in pictures]
    return [content.text for content in contents if isinstance(content, Text)]


def test_each_picture_has_its_own_text_and_always_the_same() -> None:
    found = captions(TEXTS)
    assert found == captions(TEXTS)
    assert found != captions(TEXTS, seed=1)
    assert set(Counter(found)) == {"lbay, happy\n", "happy, a frame of lbay\n", "lbay is happy\n"}
    assert min(Counter(found).values()) > 150


def test_a_text_that_is_added_takes_its_share_and_the_others_keep_theirs() -> None:
    before, after = captions(TEXTS[:2]), captions(TEXTS)
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert set(changed) == {"lbay is happy\n"} and len(changed) < 300


def test_varying_texts_are_made_once_for_pictures_alike() -> None:
    scheme, layout = varying(TEXTS)
    pictures = [Picture(f"{number:064x}", "a.png", 8, 8, "PNG") for number in range(2000)]
    outputs = [layout(decide(one, labels([]), scheme)) for one in pictures]
    assert len({id(one[1].content) for one in outputs}) == 3


def test_a_huge_vocabulary_and_a_huge_caption_are_quick() -> None:
    many = [f"tag number {number}" for number in range(10_000)]
    chain = {f"alias {number}": f"alias {number + 1}" for number in range(2000)} | {"alias 2000": "tag number 7"}
    started = time.perf_counter()
    tags = tags_of(vocabulary(groups={"all": many}, aliases=chain, implied={}, prune=[]), CLASSES)
    assert tags.standard("alias 0") == "tag number 7"
    kept, _ = tags.sort_out(", ".join(["x" * 10_000, *many]), {})
    assert len(kept) == 10_001
    assert time.perf_counter() - started < 10


@given(st.lists(st.text(), max_size=5))
def test_any_tags_give_one_line_that_settles(tags: list[str]) -> None:
    captions = captioner_of(scheme_of(), labels=CLASSES)
    kept, pruned = captions.tags.sort_out(",".join(tags), {})
    assert captions.tags.sort_out(", ".join(kept), {})[0] == kept
    assert all(part and len(part.splitlines()) == 1 for part in kept + pruned)
    assert not {key_of(part) for part in kept} & captions.tags.pruned
