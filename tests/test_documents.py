"""What the documents say is what the software does."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from sorter.classify.askers import askers
from sorter.classify.locate import Locator
from sorter.classify.taggers import Worded
from sorter.cli import sorter
from sorter.dataset.croppers import croppers
from sorter.library.caption import captioner_of
from sorter.scheme import load_scheme
from tests import docs
from trainer.cli import cli as trainer
from trainer.config import AUTO, read_config

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("sorter ", "trainer "))]


def test_every_command_in_the_readme_is_one() -> None:
    assert len(commands()) >= 10
    for name, *line in commands():
        group = {"sorter": sorter, "trainer": trainer}[name]
        command = group.commands[line[0]]
        command.make_context(line[0], line[1:], parent=click.Context(group, **group.context_settings))


def test_every_make_target_in_the_readme_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^make (\w+)$", "\n".join(blocks("sh")), re.MULTILINE)
    assert named == ["demo", "test"]
    assert all(re.search(rf"^\.PHONY:.*\b{name}\b", makefile, re.MULTILINE) for name in named)


def test_the_scheme_in_the_readme_is_accepted(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("toml") if "canonical" in block]
    (tmp_path / "scheme.toml").write_text(text + "\n[axes.pose]\n", encoding="utf-8")
    assert load_scheme(tmp_path / "scheme.toml").axes["direction"].canonical == "left"


def test_the_vocabularies_in_the_documents_are_accepted(tmp_path: Path) -> None:
    (scheme,) = [block for block in blocks("toml") if "canonical" in block]
    text = (ROOT / "docs" / "scheme.md").read_text(encoding="utf-8")
    found = [
        block for block in [*blocks("toml"), *re.findall(r"```toml\n(.*?)```", text, re.DOTALL)] if "aliases" in block
    ]
    assert len(found) == 2
    for block in found:
        (tmp_path / "scheme.toml").write_text(f"{scheme}\n[axes.pose]\n{block}", encoding="utf-8")
        assert captioner_of(load_scheme(tmp_path / "scheme.toml")).tags.standard("Dress shirt") == "white shirt"


def test_the_askers_in_the_documents_are_accepted(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "scheme.md").read_text(encoding="utf-8")
    found = [
        block for block in [*blocks("toml"), *re.findall(r"```toml\n(.*?)```", text, re.DOTALL)] if "[ask." in block
    ]
    assert len(found) == 4
    for block in found:
        axes = 'folders = "{character}"\n[axes.character]\n[axes.direction]\n'
        (tmp_path / "scheme.toml").write_text(axes + block, encoding="utf-8")
        scheme = load_scheme(tmp_path / "scheme.toml")
        assert captioner_of(scheme)
        for table in scheme.ask.values():
            assert isinstance(askers.build(table.use, **table.options()), Worded | Locator)


def test_the_croppers_in_the_documents_are_accepted() -> None:
    text = (ROOT / "docs" / "scheme.md").read_text(encoding="utf-8")
    found = [
        block for block in [*blocks("toml"), *re.findall(r"```toml\n(.*?)```", text, re.DOTALL)] if "[crop]" in block
    ]
    assert len(found) == 2
    for block in found:
        table = tomllib.loads(block)["crop"]
        croppers.build(**table).check(["head"], "the documents")


def test_the_train_config_in_the_readme_is_accepted(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("toml") if "[training]" in block]
    (tmp_path / "train.toml").write_text(text, encoding="utf-8")
    assert read_config(tmp_path / "train.toml").training.steps == AUTO


def test_the_sample_configs_are_accepted() -> None:
    schemes, configs = sorted(ROOT.glob("samples/scheme*.toml")), sorted(ROOT.glob("samples/train*.toml"))
    assert (len(schemes), len(configs)) == (1, 1)
    assert list(load_scheme(schemes[0]).axes) == ["character", "pose", "expression", "direction", "blur"]
    assert (read_config(configs[0]).base / "model_index.json").is_file()


def test_the_command_reference_is_fresh() -> None:
    assert docs.FILE.read_text(encoding="utf-8") == docs.text()


def test_links_in_the_readme_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert len(links) >= 4
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("extra", ["captioners", "cluster", "fit", "taggers", "train", "video"])
def test_every_extra_that_an_error_names_exists(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert extra in project["project"]["optional-dependencies"]
