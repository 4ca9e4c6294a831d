"""What nearly always comes with a class."""

from __future__ import annotations

import random

from sorter.library.together import Counts


def test_a_tag_and_a_class_that_come_with_a_class_are_told() -> None:
    counts = Counts()
    counts.add({"mood": "happy", "place": "town"}, ["white shirt", "solo"], 25)
    counts.add({"mood": "happy", "place": "harbour"}, ["solo"], 5)
    counts.add({"mood": "sad", "place": "night"}, ["solo"], 9)
    counts.add({"mood": "sad", "place": "town"}, ["solo", "white shirt"], 1)
    counts.add({"mood": "calm", "place": "town"}, ["solo"], 60)
    found = {(row.name, row.word): row for row in counts.together()}
    assert set(found) == {("happy", "white shirt"), ("sad", "night")}  # of night there are too few
    assert found["happy", "white shirt"].sentence() == (
        '"white shirt" in 83% of mood happy (25 of 30 pictures), and in 1% of the others'
    )
    assert found["sad", "night"].sentence().startswith("place night in 90% of mood sad (9 of 10 pictures)")
    assert [(row.word, row.pictures) for row in counts.everywhere()] == [("solo", 100)]


def test_what_is_common_everywhere_or_seen_too_seldom_is_not() -> None:
    counts = Counts()
    counts.add({"mood": "happy"}, ["hat"], 90)
    counts.add({"mood": "sad"}, ["hat"], 70)
    counts.add({"mood": "sad"}, [], 30)
    counts.add({"mood": "angry"}, ["rain"], 9)
    assert counts.together() == []


def test_chance_is_not_taken_for_a_rule() -> None:
    draw = random.Random(7)
    told = 0
    for _ in range(20):
        counts = Counts()
        for _ in range(300):
            sure = {"mood": draw.choice("abcde"), "pose": draw.choice("fghi")}
            counts.add(sure, [tag for tag in map(str, range(40)) if draw.random() < int(tag) / 40])
        told += len(counts.together())
    assert told == 0
