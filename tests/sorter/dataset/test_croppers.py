"""Croppers by a box of the head: what is on the square, what is said of it, and what happens without one. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sorter.buckets import Buckets
from sorter.dataset.croppers import croppers, framed
from sorter.dataset.overlays import Clear
from sorter.errors import OptionsError
from sorter.pictures.transform import is_inside, transform
from sorter.records import Box, Label, Picture, Render, Verdict


def seen(
    size: tuple[int, int], head: tuple[int, int, int, int] | None = None, score: float = 0.9, mirror: bool = False
) -> tuple[Picture, Verdict]:
    picture = Picture("ab", "a.jpg", *size, "JPEG")
    sides = dict(zip(("left", "top", "right", "bottom"), head or (), strict=False))
    answers = (Label("head", json.dumps(sides), score, "x"),) if head else ()
    return picture, Verdict(picture, (), mirror=mirror, answers=answers)


heads = st.tuples(st.integers(0, 1200), st.integers(0, 640), st.integers(20, 400), st.integers(20, 400))


@given(heads, st.sampled_from(["close", "mid", "full"]), st.booleans())
def test_the_head_is_whole_wherever_it_is(head: Any, shot: str, enlarge: bool) -> None:
    left, top, wide, high = head
    box = (left, top, min(1280, left + wide), min(720, top + high))
    picture, verdict = seen((1280, 720), box)
    crop = croppers.build("subject", shot=shot, enlarge=enlarge)(picture, verdict).crop
    assert crop is not None and is_inside(crop, (1280, 720))
    assert crop.size[0] == crop.size[1]
    fits = max(box[2] - box[0], box[3] - box[1]) * 1.15 <= 720
    assert not fits or (crop.left <= box[0] and crop.top <= box[1] and crop.right >= box[2] and crop.bottom >= box[3])


def test_each_shot_is_as_near_as_it_says_and_says_so() -> None:
    picture, verdict = seen((4000, 3000), (1800, 900, 2100, 1200))
    how = {"close": (540, "close-up"), "mid": (1050, "medium shot"), "full": (3000, "wide shot")}
    for shot, (side, words) in how.items():
        cropper = croppers.build("subject", shot=shot)
        crop = cropper(picture, verdict).crop
        assert crop is not None and abs(crop.size[0] - side) <= 1
        assert cropper.wording(picture, verdict) == words
        assert cropper(picture, verdict).size == (512, 512)
    above = croppers.build("subject", shot="mid")(picture, verdict).crop
    assert above is not None and 900 - above.top < above.bottom - 1200  # the body is below


def test_a_picture_with_few_pixels_becomes_a_farther_shot_unless_it_may_be_enlarged() -> None:
    picture, verdict = seen((1280, 720), (600, 200, 680, 280))
    close = croppers.build("subject", shot="close")
    assert close(picture, verdict).size == (512, 512)
    assert close.wording(picture, verdict) == "wide shot"  # 512 pixels are 6.4 heads
    larger = croppers.build("subject", shot="close", enlarge=True)
    assert larger(picture, verdict).crop == Box(568, 171, 712, 315)
    assert larger(picture, verdict).size == (512, 512)
    assert larger.wording(picture, verdict) == "close-up"


def test_without_a_sure_head_the_whole_picture_is_padded_and_nothing_is_said() -> None:
    cropper = croppers.build("subject", fill="edge")
    for verdict in (seen((800, 600))[1], seen((800, 600), (10, 10, 60, 60), score=0.69)[1]):
        made = framed(verdict.picture, verdict, cropper, Clear())
        assert made.rendered.crop == Box(0, -100, 800, 700)
        assert made.rendered.fill == "edge"
        assert made.mask is not None and made.mask.mask
        assert made.shot == ""
        assert made.remarks == ("padded, since nobody is sure where the head is",)
    half = seen((800, 600), (10, 10, 60, 60), score=0.36)
    assert croppers.build("subject", shot="full")(*half).crop == Box(0, 0, 600, 600)


def test_a_turned_picture_is_cropped_where_its_head_went() -> None:
    """The answer is about the picture as it was found; the file in the library is its mirror image."""
    picture, verdict = seen((2000, 1000), (100, 300, 300, 500), mirror=True)
    crop = croppers.build("subject")(picture, verdict).crop
    assert crop is not None and crop.left <= 1700 and crop.right >= 1900
    picture, verdict = seen((2000, 1000), (100, 300, 300, 500), mirror=True)
    again = framed(
        picture, verdict, croppers.build("subject"), Clear(), turn=True
    ).rendered  # the file is not turned yet
    assert again.mirror and again.crop == crop.mirrored(2000)


def test_a_window_within_bars_is_taken_for_the_picture() -> None:
    picture, verdict = seen((1000, 1000), (100, 300, 300, 500))
    made = framed(picture, verdict, croppers.build("subject", shot="full"), Clear(window=Box(0, 200, 1000, 800)))
    assert made.rendered.window == Box(0, 200, 1000, 800)
    assert made.rendered.crop == Box(0, 0, 600, 600)


@given(st.integers(64, 3000), st.integers(64, 3000), heads)
def test_a_bucket_loses_least_and_kohya_loses_nothing_more(wide: int, high: int, head: Any) -> None:
    left, top = min(head[0], wide - 2), min(head[1], high - 2)
    box = (left, top, min(wide, left + head[2]), min(high, top + head[3]))
    picture, verdict = seen((wide, high), box)
    made = croppers.build("bucket", enlarge=True)(picture, verdict)
    assert made.crop is not None and is_inside(made.crop, (wide, high)) and made.size
    fit = Buckets((512, 512)).fit(*made.size)
    assert fit.bucket == made.size and fit.lost == 0
    across, down = made.crop.size[0] / wide, made.crop.size[1] / high
    others = (min(wide, high * w / h) * min(high, wide * h / w) for w, h in Buckets((512, 512)).sizes)
    assert across * down >= max(others) / (wide * high) - 2 / min(wide, high)


def test_a_bucket_keeps_the_head_and_leaves_small_pictures_small() -> None:
    strip = seen((5120, 512), (4000, 100, 4200, 300))
    crop = croppers.build("bucket")(*strip).crop
    assert crop is not None and crop.left <= 4000 and crop.right >= 4200
    small = seen((200, 150))
    cropper = croppers.build("bucket")
    made = cropper(*small)
    assert made.crop is not None and made.size == made.crop.size
    assert cropper.remarks(*small) == ("left small, having fewer pixels than asked for",)
    with pytest.raises(OptionsError, match="size = 32 is less than one step of 64"):
        croppers.build("bucket", size=32)


def test_croppers_are_mixed_by_share_and_stay() -> None:
    of = [{"use": "centre", "share": 3}, {"use": "pad", "share": 1}, {"use": "none", "share": 1}]
    mixed, more = croppers.build("mixed", of=of[:2], size=64), croppers.build("mixed", of=of, size=64)
    tiny = Picture("c" * 64, "a", 30, 20, "JPEG")
    large = croppers.build("mixed", of=of[:2], size=64, enlarge=True)
    assert large(tiny, Verdict(tiny, ())).size == (64, 64) != mixed(tiny, Verdict(tiny, ())).size
    verdicts = [
        Verdict(Picture(f"{number:064x}", "a", 300, 200, "JPEG"), ()) for number in range(3000)
    ]  # fmt: skip
    first = [mixed(one.picture, one) for one in verdicts]
    second = [more(one.picture, one) for one in verdicts]
    count = Counter(one.fill if one.crop and one.crop.top < 0 else "centre" for one in first)
    assert 0.72 < count["centre"] / 3000 < 0.78
    assert all(one.size == (64, 64) for one in first)
    moved = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
    assert {one.crop for _, one in moved} == {None}  # the third took its share, and nothing else moved
    assert 0.17 < len(moved) / 3000 < 0.23


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ([], "of"),
        ([{"use": "mixed", "of": []}], "of, number 1: is mixed itself"),
        ([{"use": "pad"}, {"use": "sentre"}], 'of, number 2: "sentre" is not a cropper'),
        ([{"use": "pad", "share": 0}], "share"),
        ([{"use": "pad", "sice": 3}], 'of, number 1: "sice" is not a key'),
    ],
)
def test_what_cannot_be_mixed_is_said(of: Any, said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        croppers.build("mixed", of=of)


def test_a_cropper_that_reads_an_asker_wants_it_in_the_scheme() -> None:
    cropper = croppers.build("mixed", of=[{"use": "subject"}])
    cropper.check(["head"], "x")
    with pytest.raises(OptionsError, match=r'x: head = "head" is no asker of this scheme; add \[ask.head\]'):
        cropper.check([], "x")
    with pytest.raises(OptionsError, match='did you mean "heads"'):
        cropper.check(["heads"], "x")


def test_an_answer_that_is_no_box_is_said() -> None:
    picture = Picture("ab", "a.jpg", 100, 100, "JPEG")
    verdict = Verdict(picture, (), answers=(Label("head", '["a", "b"]', 1.0, "x"),))
    with pytest.raises(OptionsError, match='"head" answers with no box'):
        croppers.build("subject")(picture, verdict)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_borders_of_the_pictures_own(mode: str) -> None:
    image = Image.new(mode, (40, 20), "white" if mode == "L" else (200, 30, 30))
    image.paste("black" if mode == "L" else (30, 30, 200), (0, 10, 40, 20))
    wanted = Render("x", Box(0, -10, 40, 30))
    edge = transform(image, wanted._replace(fill="edge"))
    assert [edge.getpixel((5, y)) for y in (0, 9, 10)] == [image.getpixel((5, 0))] * 3
    assert [edge.getpixel((5, y)) for y in (29, 30, 39)] == [image.getpixel((5, 19))] * 3
    blur = transform(image, wanted._replace(fill="blur"))
    assert blur.size == (40, 40) and blur.mode == mode
    assert blur.crop((0, 10, 40, 30)).tobytes() == image.tobytes()
    both = transform(image, Render("x", Box(-5, -5, 45, 25), fill="edge"))
    assert both.getpixel((0, 0)) == image.getpixel((0, 0)) and both.getpixel((49, 29)) == image.getpixel((39, 19))
