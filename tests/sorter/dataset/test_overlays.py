"""What was found -> what is cut and masked: pure arithmetic, and what a cropper is given of it."""

from __future__ import annotations

import json

from sorter.dataset.croppers import Cropper, croppers, framed
from sorter.dataset.overlays import Clear, Looked, Overlays, clear, find_subtitles, find_windows
from sorter.pictures.still_bars import Margins
from sorter.records import Box, Label, Picture, Render, Verdict

SIZE = 1280, 720
WHOLE = Box(0, 0, *SIZE)
WIDE = Box(0, 90, 1280, 630)


class Subject(Cropper):
    """What the locator of that name has found."""

    def __call__(self, picture: Picture, verdict: Verdict) -> Render:
        return Render(picture.sha256, verdict.box("subject"), size=(64, 64))


def at(x: int, y: int, wide: int, high: int) -> Box:
    """A box by its middle and size."""
    return Box(x - wide // 2, y - high // 2, x + wide // 2, y + high // 2)


def on(box: Box, mirror: bool = False) -> tuple[Picture, Verdict]:
    """A picture of which a locator has found `box`."""
    picture = Picture("ab", "x.png", *SIZE, "PNG")
    sides = dict(zip(("left", "top", "right", "bottom"), box.sides, strict=True))
    return picture, Verdict(picture, (), mirror=mirror, answers=(Label("subject", json.dumps(sides), 1.0, "x"),))


def test_which_lines_are_subtitles() -> None:
    for line, is_one in {
        at(640, 660, 700, 50): True,
        at(640, 600, 60, 45): True,  # "No."
        at(640, 40, 500, 50): True,  # at the top
        at(1150, 690, 150, 24): True,  # a watermark in a corner
        at(1150, 690, 30, 20): False,  # a flower there
        at(640, 360, 300, 60): False,  # a sign in the middle
        at(300, 600, 300, 60): False,  # a sign aside
        at(640, 600, 900, 200): False,  # a title
        at(640, 700, 300, 8): False,  # too small to be read
        at(640, 600, 30, 60): False,  # upright
        at(1150, 100, 150, 80): False,  # large, in a corner
    }.items():
        assert (find_subtitles([line], WHOLE) == (line,)) == is_one, line


def test_words_in_a_bar_go_with_it() -> None:
    assert find_subtitles([at(640, 680, 700, 50)], WIDE) == ()


def test_a_subtitle_is_cut_off_with_both_its_lines_or_masked() -> None:
    lines = at(640, 620, 500, 40), at(640, 670, 700, 40)
    low = Overlays(SIZE, None, lines)
    assert clear(low, "bars") == Clear()
    assert clear(low, "keep") == Clear()
    assert clear(low, "cut") == Clear(Box(0, 0, 1280, 592), (), ("with subtitles cut off",))
    masked = clear(low, "mask")
    assert masked == Clear(None, (Box(382, 592, 898, 648), Box(282, 642, 998, 698)), ("with subtitles masked",))
    high_up = Overlays(SIZE, None, (at(640, 520, 500, 40), *lines))
    assert clear(high_up, "cut").window is None
    assert len(clear(high_up, "cut").hidden) == 3
    assert clear(high_up, "cut", masked=False) == Clear(
        None, (), ("with subtitles left in, as this layout has no masks",)
    )


def test_a_logo_is_cut_off_where_it_costs_least() -> None:
    found = Overlays(SIZE, None, (), (Box(1180, 30, 1250, 100),))
    assert clear(found, "cut") == Clear(Box(0, 0, 1166, 720), (), ("with logos cut off",))


def test_boxes_are_said_in_the_pixels_of_what_is_left() -> None:
    found = Overlays(SIZE, WIDE, (at(640, 500, 600, 40),), (at(100, 660, 60, 40),))
    cleared = clear(found, "mask")
    assert cleared.window == WIDE
    assert cleared.hidden == (Box(332, 382, 948, 438),)  # the logo lies in the bar
    assert cleared.done == ("with black bars cut off", "with subtitles masked")


def test_dark_pictures_have_the_bars_of_their_source_and_others_keep_their_own() -> None:
    barred, tall = Margins(0, 90, 0, 90), Box(160, 0, 1120, 720)
    source = {str(number): Looked(SIZE, barred, WIDE) for number in range(4)}
    source |= {str(number): Looked(SIZE, Margins(160, 0, 160, 0), tall) for number in range(10, 13)}
    source |= {"dark": Looked(SIZE, Margins(0, 300, 0, 89)), "lit": Looked(SIZE, Margins(0, 40, 0, 0))}
    found = find_windows(source)
    assert found["dark"] == found["0"] == WIDE and found["10"] == tall
    assert "lit" not in found
    few = {"a": Looked(SIZE, barred, WIDE), "dark": Looked(SIZE, Margins(0, 300, 0, 89))}
    assert find_windows(few) == {"a": WIDE}  # one picture is no source


def test_a_cropper_sees_what_is_within_the_bars() -> None:
    rendered, mask, *_ = framed(*on(Box(100, 190, 300, 390)), Subject(), Clear(WIDE))
    assert rendered == Render("ab", Box(100, 100, 300, 300), size=(64, 64), window=WIDE)
    assert mask is None
    cleared = Clear(WIDE, (Box(0, 500, 900, 540),))
    rendered, mask, *_ = framed(*on(Box(0, 0, 1, 1)), croppers.build("pad", size=64), cleared)
    assert rendered.crop == Box(0, -370, 1280, 910)
    assert mask == rendered._replace(mask=True, hidden=(Box(0, 500, 900, 540),))


def test_a_picture_that_is_still_to_be_turned_is_cropped_at_its_own_side() -> None:
    """A box on the left of what was found is on the right of what will stand, and is cut out of what stands now."""
    window = Box(100, 0, 1240, 720)
    picture, verdict = on(Box(200, 100, 400, 300), mirror=True)
    rendered, *_ = framed(picture, verdict, Subject(), Clear(window), turn=True)
    assert rendered == Render("ab", Box(100, 100, 300, 300), mirror=True, size=(64, 64), window=window)


def test_only_what_a_crop_shows_is_masked() -> None:
    hidden = Box(0, 0, 100, 50), Box(600, 600, 700, 640)
    _, mask, *_ = framed(*on(Box(0, 0, 1, 1)), croppers.build("centre", size=64), Clear(None, hidden))
    assert mask and mask.hidden == hidden[1:]
    _, mask, *_ = framed(*on(Box(0, 0, 1, 1)), croppers.build("centre", size=64), Clear(None, hidden[:1]))
    assert mask is None
