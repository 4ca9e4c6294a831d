"""What captions cost in a library of 500,000 pictures: one text, three that vary, tags of an asker with a vocabulary.

Decided and laid out as a plan does it, without a manifest.

    python -m tests.bench.captions
"""

from __future__ import annotations

import json
import time
from typing import Any

from sorter.library.caption import captioner_of
from sorter.library.decide import decide
from sorter.library.layout import class_folders
from sorter.plugins import read_options
from sorter.records import Label, Picture
from sorter.scheme import Scheme

PICTURES, TAGGED = 500_000, 50_000
CLASSES = {"mood": ("happy", "sad", "angry", "calm"), "direction": ("left", "right", "front")}
TEXTS = ["{trigger}, {mood}, {direction}", "a {mood} frame of {trigger}, {direction}", "{trigger} is {mood}"]
TAGS = [f"tag {number}" for number in range(1000)]
VOCABULARY = {
    "groups": {"all": TAGS},
    "aliases": {f"alias {number}": tag for number, tag in enumerate(TAGS)},
    "implied": {TAGS[0]: TAGS[1:3]},
    "prune": TAGS[3:9],
}


def main() -> None:
    """Print seconds for each, and how many times one text's they are."""
    plain = min(_seconds({"text": TEXTS[0]}, {}, PICTURES) for _ in range(3))
    varying = min(_seconds({"text": TEXTS}, {}, PICTURES) for _ in range(3))
    print(f"{PICTURES:,} pictures, one text: {plain:.1f} s")
    print(f"{PICTURES:,} pictures, three texts: {varying:.1f} s, {varying / plain:.2f} times  (bar: 1.5 times)")
    tagged = _seconds({"text": "{trigger}, {mood}, {tags}"}, VOCABULARY, TAGGED)
    print(f"{TAGGED:,} pictures with 30 tags each and a vocabulary of 1,000: {tagged:.1f} s  (bar: 10 s)")


def _seconds(caption: dict[str, Any], vocabulary: dict[str, Any], pictures: int) -> float:
    values = {
        "trigger": "lbay", "folders": "{mood}/{direction}", "axes": {name: {} for name in CLASSES},
        "ask": {"tags": {"use": "any"}}, "caption": {"use": "template", **caption}, "vocabulary": vocabulary,
    }  # fmt: skip
    scheme = read_options(Scheme, values, "scheme.toml")
    layout = class_folders(scheme, CLASSES, captioner_of(scheme, labels=CLASSES))
    known = []
    for number in range(pictures):
        moods, sides = CLASSES.values()
        labels = [Label("mood", moods[number % 4], 0.9, "m"), Label("direction", sides[number % 3], 0.9, "m")]
        if vocabulary:
            some = [TAGS[(number + 37 * step) % 1000] for step in range(30)]
            labels.append(Label("tags", json.dumps(some), 1.0, "t"))
        known.append((Picture(f"{number:064x}", "frame.jpg", 1920, 1080, "JPEG"), tuple(labels)))
    started = time.process_time()
    for picture, given in known:
        layout(decide(picture, given, scheme))
    return time.process_time() - started


if __name__ == "__main__":
    main()
