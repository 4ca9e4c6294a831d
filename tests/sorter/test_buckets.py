from __future__ import annotations

import os
from pathlib import Path

import pytest

from sorter.buckets import Buckets, Fit
from sorter.records import Box


def test_the_buckets_of_512_are_those_that_sd_scripts_prints() -> None:
    sizes = Buckets((512, 512)).sizes
    assert len(sizes) == 17
    assert sizes[0] == (256, 832) and sizes[-1] == (1024, 256)
    assert (512, 512) in sizes and (576, 448) in sizes and (704, 320) in sizes
    assert all(width * height <= 512 * 512 and width % 64 == height % 64 == 0 for width, height in sizes)


@pytest.mark.parametrize(
    ("picture", "scaled", "bucket", "crop"),
    [
        ((1920, 1080), (683, 384), (640, 384), Box(21, 0, 661, 384)),
        ((512, 512), (512, 512), (512, 512), Box(0, 0, 512, 512)),
        ((100, 100), (512, 512), (512, 512), Box(0, 0, 512, 512)),
        ((3000, 300), (2560, 256), (1024, 256), Box(768, 0, 1792, 256)),
        ((300, 3000), (256, 2560), (256, 1024), Box(0, 768, 256, 1792)),
    ],
)
def test_a_picture_is_scaled_to_cover_its_bucket_and_cut_in_the_middle(
    picture: tuple[int, int], scaled: tuple[int, int], bucket: tuple[int, int], crop: Box
) -> None:
    fit = Buckets((512, 512)).fit(*picture)
    assert (fit.scaled, fit.bucket, fit.crop) == (scaled, bucket, crop)


def test_without_upscaling_small_pictures_keep_their_pixels() -> None:
    buckets = Buckets((512, 512), no_upscale=True)
    small = buckets.fit(300, 200)
    assert (small.scaled, small.bucket, small.enlarged) == ((300, 200), (256, 192), 1)
    assert buckets.fit(1920, 1080).bucket == (640, 384)
    for width, height in ((63, 500), (500, 63), (6000, 60)):
        with pytest.raises(ValueError, match="pixels are too"):
            buckets.fit(width, height)


def test_sd_scripts_itself_says_the_same() -> None:
    sd_scripts = os.environ.get("SD_SCRIPTS")
    if not sd_scripts:
        pytest.skip("SD_SCRIPTS names no checkout of kohya-ss/sd-scripts")
    from tests.bench.doctor import differences

    assert differences(Path(sd_scripts), 1000) == 0


def test_what_is_lost_and_seen() -> None:
    fit = Fit((1000, 500), (500, 250), (250, 250))
    assert fit.lost == 0.5
    assert fit.seen == Box(250, 0, 750, 500)
    assert fit.enlarged == 0.5
