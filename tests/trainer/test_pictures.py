"""What of a dataset reaches the loss: kohya's folders, repeats, captions, buckets and masks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import trainer
from sorter.errors import DatasetError
from tests.trainer.test_cli import invoke
from trainer import read_base, read_config, read_dataset
from trainer.config import Training
from trainer.data import batch_order, steps, vary_caption
from trainer.dataset import Reading, open_mask, open_picture
from trainer.errors import CheckpointError
from trainer.load import load_parts
from trainer.methods import Batch
from trainer.methods.denoise import denoising_loss

WriteConfig = Callable[..., Path]


def rows(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def write_rows(folder: Path, table: list[dict[str, object]]) -> None:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")


@pytest.fixture
def kohya_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kohya"
    for name, pictures in {"3_mira": ("a", "b"), "1_tobo the robot": ("c",), "0_left out": ("d",)}.items():
        for stem in pictures:
            (folder / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), "red").save(folder / name / f"{stem}.png")
    (folder / "3_mira" / "a.txt").write_text("mira, smiling\nnot read\n", encoding="utf-8-sig")
    (folder / "3_mira" / "b.caption").write_text("mira, sad", encoding="utf-8")
    (folder / "masks" / "3_mira").mkdir(parents=True)
    Image.new("L", (32, 32), 255).save(folder / "masks" / "3_mira" / "a.png")
    (folder / "validation" / "mira").mkdir(parents=True)
    Image.new("RGB", (32, 32), "blue").save(folder / "validation" / "mira" / "v.png")
    return folder


def test_kohyas_folders_are_read_as_kohya_reads_them(kohya_folder: Path, write_config: WriteConfig) -> None:
    dataset = read_dataset(kohya_folder, 4)
    assert {one.path.name: (one.captions, one.repeats) for one in dataset.examples} == {
        "a.png": (("mira, smiling",), 3),
        "b.png": (("mira, sad",), 3),
        "c.png": (("tobo the robot",), 1),
    }
    assert (dataset.views, dataset.masked) == (7, 1)
    held_out = read_dataset(kohya_folder, 4, part="validation")
    assert [(one.path.name, one.caption) for one in held_out.examples] == [("v.png", "mira")]
    path = write_config(steps=2, preview={"every": 0})
    path.write_text(path.read_text().replace('dataset = "dataset"', 'dataset = "kohya"'), encoding="utf-8")
    assert len(list(trainer.start(read_config(path)).run())) == 2


def test_a_folder_that_is_nearly_kohyas_is_refused_with_what_would_be_right(kohya_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r'kohya\'s folders; dataset is the folder that it lies in: "kohya"'):
        read_dataset(kohya_folder / "3_mira", 4)
    with pytest.raises(DatasetError, match=r'such as "mira/1_mira"'):
        read_dataset(kohya_folder / "validation" / "mira", 4)
    with pytest.raises(DatasetError, match="no folder such as 10_mira"):
        read_dataset(kohya_folder / "validation", 4)
    (kohya_folder / "3_mira" / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DatasetError, match=r"a\.txt: not UTF-8"):
        read_dataset(kohya_folder, 4)
    (tmp_path / "empty" / "5_x").mkdir(parents=True)
    with pytest.raises(DatasetError, match="hold no pictures"):
        read_dataset(tmp_path / "empty", 4)


def test_repeats_arrive_in_the_order_of_batches(dataset_folder: Path, write_config: WriteConfig) -> None:
    table = rows(dataset_folder)
    table[0]["repeats"] = 4
    write_rows(dataset_folder, table)
    session = trainer.start(read_config(write_config(steps=2, batch_size=1, caption_dropout=0, preview={"every": 0})))
    passed = islice(steps(session.encoded, session.config.training), session.encoded.dataset.views)
    seen = Counter(batch.captions[0] for of_step in passed for batch in of_step)
    assert seen.pop("mira, smiling") == 4
    assert set(seen.values()) == {1} and len(seen) == 4
    list(session.run())
    table[0]["repeats"] = 3
    write_rows(dataset_folder, table)
    with pytest.raises(CheckpointError, match="was trained with other repeats, masks or further captions"):
        trainer.resume(session.config.output, 4)
    table[0]["repeats"] = 0
    write_rows(dataset_folder, table)
    with pytest.raises(DatasetError, match='line 1: "repeats" is 0, not a whole number from 1'):
        read_dataset(dataset_folder, 4)
    assert list(islice(batch_order([(8, 8)] * 3, 2, 0), 9)) == list(islice(batch_order([(8, 8)] * 3, 2, 0, [1] * 3), 9))


def test_one_of_several_captions_and_some_of_the_tags_at_each_view(dataset_folder: Path) -> None:
    table = rows(dataset_folder)
    table[0]["text"] = ["mira, smiling", "a girl who smiles"]
    write_rows(dataset_folder, table)
    example = read_dataset(dataset_folder, 4).examples[0]
    assert example.captions == ("mira, smiling", "a girl who smiles")
    plain = Training(caption_dropout=0)
    seen = Counter(vary_caption(example.caption, plain, view, example.other_captions) for view in range(400))
    assert set(seen) == set(example.captions)
    assert 150 < seen["mira, smiling"] < 250
    dropping = Training(caption_dropout=0, tag_dropout=0.25, keep_tags=2)
    tags = Counter(tag for view in range(400) for tag in vary_caption("mira, girl, a, b", dropping, view).split(", "))
    assert (tags["mira"], tags["girl"]) == (400, 400)
    assert 270 < tags["a"] < 330
    assert 270 < tags["b"] < 330
    assert vary_caption("a,b", dropping, 1) == "a, b"
    for text in ([], [1], None):
        table[0]["text"] = text
        write_rows(dataset_folder, table)
        with pytest.raises(DatasetError, match="line 1"):
            read_dataset(dataset_folder, 4)


def test_buckets_bring_sizes_together_and_enlarge_only_if_asked(
    tmp_path: Path, write_dataset: Callable[..., Path]
) -> None:
    from sorter.buckets import Buckets

    sizes = [(1280, 720), (1270, 716), (1300, 740), (960, 540), (512, 512), (515, 509), (200, 150)]
    for number, size in enumerate(sizes):
        write_dataset(tmp_path, [(f"{number}.png", "mira")], size)
    plain = read_dataset(tmp_path, 8, 512)
    assert len(plain.sizes) == 6
    free, filled = (read_dataset(tmp_path, 8, 512, how=Reading(True, enlarge)) for enlarge in (False, True))
    for dataset, buckets in ((free, Buckets((512, 512), no_upscale=True)), (filled, Buckets((512, 512)))):
        for example, size in zip(dataset.examples, sizes, strict=True):
            fit = buckets.fit(*size)
            assert (example.scaled or size, example.size) == (fit.scaled, fit.bucket)
    assert free.sizes[(640, 384)] == 4 or free.sizes[(640, 320)] == 4, free.sizes
    assert free.examples[-1].size == (192, 128)
    assert free.examples[-1].scaled is None
    assert filled.examples[-1].scaled is not None
    assert (plain.lonely(2), free.lonely(2), filled.lonely(2)) == (5, 3, 1)


def test_pictures_of_mixed_sizes_train_in_batches(write_config: WriteConfig, dataset_folder: Path) -> None:
    for number, size in enumerate([(64, 36), (80, 45), (160, 90)]):
        Image.new("RGB", size, "red").save(dataset_folder / f"{number}.png")
    session = trainer.start(read_config(write_config(steps=2, buckets=True, preview={"every": 0})))
    assert session.encoded.dataset.sizes == {(40, 24): 3, (36, 28): 2}
    batches = [batch for of_step in islice(steps(session.encoded, session.config.training), 4) for batch in of_step]
    assert all(len(batch.moments) == 2 for batch in batches)
    assert len(list(session.run())) == 2


def test_what_a_mask_leaves_black_adds_nothing_to_the_loss(base_folder: Path) -> None:
    parts = load_parts(read_base(base_folder))
    moments = torch.cat([torch.zeros(4, 4, 8, 8), torch.full((4, 4, 8, 8), -30.0)], dim=1)
    text = parts.encode_text(["mira"] * 4)
    masks = torch.ones(4, 1, 8, 8)

    def loss(chosen: torch.Tensor | None) -> torch.Tensor:
        return denoising_loss(
            parts, Batch(moments, ("mira",) * 4, masks=chosen), text, torch.Generator().manual_seed(0)
        )

    assert loss(masks) == loss(None)
    assert loss(masks * 0) == 0
    left, right = masks.clone(), masks.clone()
    left[..., 4:], right[..., :4] = 0, 0
    assert loss(left) + loss(right) == pytest.approx(loss(None).item(), rel=1e-5)
    parts.unet.conv_out.weight.requires_grad_(True)
    answered = []
    honest = parts.unet.forward

    def listen(*given: object, **named: object) -> object:
        answered.append(honest(*given, **named)[0])
        answered[0].retain_grad()
        return (answered[0],)

    parts.unet.forward = listen
    loss(left).backward()
    assert answered[0].grad[..., :4].abs().sum() > 0
    assert answered[0].grad[..., 4:].abs().sum() == 0


def test_masks_of_the_dataset_and_alpha_are_cut_as_the_picture_is(
    dataset_folder: Path, write_config: WriteConfig
) -> None:
    picture = Image.new("RGBA", (48, 32), (200, 30, 30, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 24, 32))
    picture.save(dataset_folder / "0.png")
    (dataset_folder / "masks").mkdir()
    mask = Image.new("L", (48, 32), 255)
    mask.paste(0, (0, 0, 48, 16))
    mask.save(dataset_folder / "masks" / "0.png")
    table = rows(dataset_folder)
    table[0]["mask_file_name"] = "masks/0.png"
    write_rows(dataset_folder, table)
    for how, want in (
        (Reading(), [255, 255]), (Reading(alpha=True), [0, 255]), (Reading(masks=False, alpha=True), [0, 255]),
        (Reading(masks=False), None),
    ):  # fmt: skip
        example = read_dataset(dataset_folder, 4, how=how).examples[0]
        found = open_mask(example)
        if want is None:
            assert found is None
            continue
        assert found is not None and found.size == open_picture(example.path, example.size).size == (48, 32)
        bottom, top = np.asarray(found)[20], np.asarray(found)[4]
        assert [bottom[4], bottom[40]] == want
        assert (top == 0).all() == how.masks
    session = trainer.start(read_config(write_config(steps=5, batch_size=1, preview={"every": 0})))
    assert session.encoded.masks[0] is not None
    assert session.encoded.masks[0].tolist() == [[0] * 12] * 4 + [[255] * 12] * 4
    assert session.encoded.masks[1:] == (None,) * 4
    masked = [progress.loss for progress in session.run()]
    plain = trainer.start(
        read_config(write_config("plain", steps=5, batch_size=1, masked_loss=False, preview={"every": 0}))
    )
    assert masked != [progress.loss for progress in plain.run()]
    Image.new("L", (40, 32)).save(dataset_folder / "masks" / "0.png")
    session = trainer.start(read_config(write_config("other", steps=2, preview={"every": 0})))
    assert [(one.file_name, one.reason) for one in session.unreadable] == [
        ("0.png", "its mask is 40x32, and the picture 48x32")
    ]


def test_where_no_picture_can_be_read_the_first_reason_is_said(write_config: WriteConfig, dataset_folder: Path) -> None:
    table = rows(dataset_folder)
    write_rows(dataset_folder, [{**row, "mask_file_name": "masks/none.png"} for row in table])
    said = "none of its 5 pictures can be read; the first, 0.png: its mask, none.png, is not there"
    with pytest.raises(DatasetError, match=f"there is nothing to train on: {said}"):
        trainer.start(read_config(write_config()))
    assert said in invoke("check", write_config()).stderr
    write_rows(dataset_folder, table)
    for path in dataset_folder.glob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match="none of its 5 pictures can be read; the first, 0.png: image file is trunc"):
        trainer.start(read_config(write_config()))
