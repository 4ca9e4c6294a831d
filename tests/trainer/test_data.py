from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sorter.errors import DatasetError
from trainer.config import Training
from trainer.data import batch_order, vary_caption
from trainer.dataset import open_picture, read_dataset

SIZES = st.sampled_from([(32, 32), (40, 32), (32, 48)])


@given(sizes=st.lists(SIZES, min_size=1, max_size=30), batch=st.integers(1, 7), seed=st.integers(0, 9))
def test_batches_are_full_of_one_size_and_fair(sizes: list[tuple[int, int]], batch: int, seed: int) -> None:
    passes = 6
    count = passes * len(sizes)
    drawn = list(islice(batch_order(sizes, batch, seed), count))
    assert all(len(each) == batch for each in drawn)
    assert all(len({sizes[index] for index in each}) == 1 for each in drawn)
    seen = Counter(index for each in drawn for index in each)
    expected = passes * batch  # views a picture; a bucket may be a batch or two ahead, a pass is once each
    for index, size in enumerate(sizes):
        slack = 1 + 2 * batch / sizes.count(size)
        assert abs(seen[index] - expected) <= slack, (seen, expected)


def test_the_order_is_that_of_the_seed() -> None:
    sizes = [(32, 32)] * 20
    one, again, other = (list(islice(batch_order(sizes, 4, seed), 10)) for seed in (1, 1, 2))
    assert one == again != other
    assert sorted(index for batch in one[:5] for index in batch) == list(range(20))
    assert one[:5] != one[5:]


def test_captions_are_dropped_and_shuffled_as_asked() -> None:
    seen = {
        vary_caption("mira, a, b, c", Training(caption_dropout=0.3, shuffle_tags=True, keep_tags=1), view)
        for view in range(200)
    }
    assert "" in seen
    full = seen - {""}
    assert len(full) == 6
    assert all(caption.startswith("mira, ") for caption in full)
    dropped = [vary_caption("mira", Training(caption_dropout=0.3), view) == "" for view in range(1000)]
    assert 240 < sum(dropped) < 360
    assert vary_caption("b,a", Training(caption_dropout=0), 1) == "b,a"


@pytest.mark.parametrize(
    "name", ["../x.png", "a/../../x.png", "/etc/x.png", "C:\\x.png", "..\\x.png", "\\\\host\\x.png", "a\0.png", ""]
)
def test_a_row_cannot_point_out_of_the_folder(dataset_folder: Path, name: str) -> None:
    Image.new("RGB", (32, 32)).save(dataset_folder.parent / "x.png")
    with (dataset_folder / "metadata.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps({"file_name": name, "text": "x"}))
    with pytest.raises(DatasetError, match=r"line 6.*(outside the dataset folder|is no name of a file)"):
        read_dataset(dataset_folder, 4)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "not JSON"),
        ("[1]", "not a table"),
        ('{"file_name": "0.png"}', '"text" is missing'),
        ('{"text": "x"}', '"file_name" is missing'),
        ('{"file_name": "0.png", "text": 3}', "3, not text"),
    ],
)
def test_a_broken_row_is_named(dataset_folder: Path, line: str, sentence: str) -> None:
    (dataset_folder / "metadata.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=f"line 2.*{sentence}"):
        read_dataset(dataset_folder, 4)


def test_pictures_that_cannot_be_read_are_counted(dataset_folder: Path) -> None:
    (dataset_folder / "0.png").write_bytes(b"no picture")
    (dataset_folder / "1.png").unlink()
    Image.new("RGB", (3, 90)).save(dataset_folder / "2.png")
    dataset = read_dataset(dataset_folder, 4)
    assert [example.path.name for example in dataset.examples] == ["wide0.png", "wide1.png"]
    reasons = {one.file_name: one.reason for one in dataset.unreadable}
    assert "cannot identify" in reasons["0.png"]
    assert reasons["1.png"] == "there is no such file"
    assert "3x90 is smaller than one latent, 4x4" in reasons["2.png"]


def test_an_empty_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such folder"):
        read_dataset(tmp_path / "no", 4)
    with pytest.raises(DatasetError, match=r"no metadata\.jsonl"):
        read_dataset(tmp_path, 4)
    (tmp_path / "metadata.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DatasetError, match="names no pictures"):
        read_dataset(tmp_path, 4)


def test_sizes_are_cut_to_whole_latents_from_the_middle(tmp_path: Path, write_dataset: Callable[..., Path]) -> None:
    write_dataset(tmp_path, [("a.png", "a\nb \N{GRINNING FACE} \u2028 c")], size=(43, 32))
    picture = Image.new("RGBA", (43, 32), (0, 0, 0, 0))
    picture.putpixel((1, 0), (255, 0, 0, 255))
    picture.save(tmp_path / "a.png")
    (example,) = read_dataset(tmp_path, 4).examples
    assert example.size == (40, 32)
    assert example.caption == "a\nb \N{GRINNING FACE} \u2028 c"
    opened = open_picture(example.path, example.size)
    assert opened.size == (40, 32)
    assert [opened.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (0, 0, 0)]


def test_a_picture_on_its_side_is_turned(tmp_path: Path, write_dataset: Callable[..., Path]) -> None:
    write_dataset(tmp_path, [("a.jpg", "a")], size=(48, 32))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (48, 32)).save(tmp_path / "a.jpg", exif=exif)
    (example,) = read_dataset(tmp_path, 4).examples
    assert example.size == (32, 48)
    assert open_picture(example.path, example.size).size == (32, 48)
