from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import trainer
from trainer import read_config
from trainer.preview import MOST_ROWS, suggest, write_grid

WriteConfig = Callable[..., Path]


def test_prompts_are_made_of_the_captions_where_none_are_given(write_config: WriteConfig) -> None:
    path = write_config(preview={"every": 4, "prompts": []})
    session = trainer.start(read_config(path), path)
    list(session.run())
    prompts = json.loads((session.config.output / "run.json").read_text())["preview"]["prompts"]
    assert len(prompts) == 4
    assert set(prompts) <= {"mira, smiling", "mira, sad", "mira, facing left", "mira, sitting", "mira"}
    assert "mira" not in prompts  # it adds no tag to the others
    with Image.open(session.config.output / "previews" / "step-000004" / "03.png") as picture:
        assert json.loads(picture.text["modelsheet"])["prompt"] == prompts[3]
    again = trainer.resume(session.config.output, 6)
    assert list(again.config.preview.prompts) == prompts


def test_suggestions_show_the_frequent_tags_first_and_escape_brackets() -> None:
    captions = ["mira, sad"] * 5 + ["mira, happy"] * 9 + ["mira, happy, hat"] + ["tobo (robot), sad"] * 3 + ["", "mira"]
    assert suggest(captions, False) == ("mira, happy, hat", "tobo (robot), sad", "mira, sad", "mira, happy")
    assert suggest(captions, True, 3)[1] == "tobo \\(robot\\), sad"
    assert suggest(["a \\(b\\)"], True) == ("a \\(b\\)",)
    assert suggest([""], True) == ()


def test_the_grid_grows_with_the_run_and_shows_each_preview(write_config: WriteConfig) -> None:
    config = read_config(write_config(preview={"every": 2, "prompts": ["mira, sad", "tobo"]}))
    steps = trainer.start(config).run()
    heights = []
    for progress in steps:
        if progress.step in (1, 3):
            with Image.open(config.output / "previews.jpg") as grid:
                heights.append(grid.height)
    with Image.open(config.output / "previews.jpg") as opened:
        grid = np.asarray(opened.convert("RGB")).astype(int)
    heights.append(grid.shape[0])
    assert np.diff(heights).tolist() == [32 + 6, 32 + 6]
    for row, column in itertools.product(range(3), range(2)):
        with Image.open(config.output / "previews" / f"step-{2 * row:06d}" / f"{column:02d}.png") as preview:
            own = np.asarray(preview.convert("RGB")).astype(int)
        top, left = grid.shape[0] - (3 - row) * 38, grid.shape[1] - (2 - column) * 38
        assert np.abs(grid[top : top + 32, left : left + 32] - own).mean() < 12  # JPEG


def test_a_long_run_has_a_grid_that_can_be_opened(tmp_path: Path) -> None:
    for step in range(0, 20_000, 100):
        folder = tmp_path / "previews" / f"step-{step:06d}"
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 1024), (step % 256, 0, 0)).save(folder / "00.png")
    (tmp_path / "previews" / "step-000100" / "00.png").write_bytes(b"damaged")
    with Image.open(write_grid(tmp_path, ["word " * 200])) as grid:
        assert grid.height < MOST_ROWS * 265
        grid.load()
