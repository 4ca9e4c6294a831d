"""A word of one's own: what it starts from, what it is read as, and its file as others read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import trainer
from trainer.base import read_base
from trainer.errors import CheckpointError, ConfigError, LoaderWarning
from trainer.load import load_parts
from trainer.methods import Inversion
from trainer.methods.inversion import TEMPLATES, filled
from trainer.parts import Parts
from trainer.prompt import parse, pieces
from trainer.words import spelt

WriteConfig = Callable[..., Path]
METHOD = {"use": "inversion", "token": "miratok", "vectors": 3}


@pytest.fixture
def parts(base_folder: Path) -> Parts:
    return load_parts(read_base(base_folder), "fp32", "cpu")


def test_the_rows_start_from_the_words_that_are_given(parts: Parts) -> None:
    table = parts.text_encoder.get_input_embeddings().weight.clone()
    ids = parts.tokenizer("ox", add_special_tokens=False).input_ids
    (rows,) = Inversion(token="miratok", vectors=3, initial_text="ox").prepare(parts).values()
    assert len(ids) == 2
    assert torch.equal(rows, table[[ids[0], ids[0], ids[1]]])


def test_a_new_word_without_a_text_is_like_the_others(parts: Parts) -> None:
    table = parts.text_encoder.get_input_embeddings().weight
    torch.manual_seed(0)
    (rows,) = Inversion(token="miratok", vectors=12).prepare(parts).values()
    assert rows.std().item() == pytest.approx(table.std().item(), rel=0.2)
    assert len({tuple(row) for row in rows.tolist()}) == 12


def test_prompts_read_the_word_as_all_of_its_tokens(parts: Parts) -> None:
    Inversion(token="miratok", vectors=3).prepare(parts)
    tokenizer = parts.tokenizer
    ids = tokenizer.convert_tokens_to_ids(["miratok", "miratok_1", "miratok_2"])
    assert ids == [len(tokenizer) - 3, len(tokenizer) - 2, len(tokenizer) - 1]
    assert spelt(tokenizer, "MiraTok, miratoken") == "miratok miratok_1 miratok_2, miratoken"
    (piece,) = pieces(tokenizer, parse("a (miratok:1.5) b"))
    assert [token for token in piece if token[0] in ids] == [(one, 1.5) for one in ids]
    assert parts.too_long(["miratok " * 5, "miratok " * 4]) == 1  # 15 and 2 ends, of 16


def test_the_answer_depends_on_the_rows_and_on_no_other_word_of_the_text(parts: Parts) -> None:
    plain = parts.encode_text(["a b"], train=True).states
    (rows,) = Inversion(token="miratok", vectors=2).prepare(parts).values()
    assert torch.equal(parts.encode_text(["a b"], train=True).states, plain)
    before = parts.encode_text(["a miratok b"], train=True).states
    with torch.no_grad():
        rows.add_(1)
    assert torch.equal(parts.encode_text(["a b"], train=True).states, plain)
    assert not torch.equal(parts.encode_text(["a miratok b"], train=True).states, before)


@pytest.mark.filterwarnings("ignore")
def test_diffusers_reads_the_file_and_its_text_is_the_same(write_config: WriteConfig, base_folder: Path) -> None:
    from diffusers import StableDiffusionPipeline

    config = trainer.read_config(write_config("runs", method=METHOD))
    session = trainer.start(config)
    table = session.parts.text_encoder.get_input_embeddings().table.weight.clone()
    list(session.run())
    (file,) = (config.output / "trained").iterdir()
    assert file.name == "miratok.safetensors"
    with safe_open(file, "pt") as opened:
        assert list(opened.keys()) == ["emb_params"]
        assert opened.metadata()["ss_steps"] == "4"
    (step,) = (config.output / "checkpoints" / "step-000002" / "trained").iterdir()
    assert step.name == "miratok-step00000002.safetensors"

    pipe = StableDiffusionPipeline.from_pretrained(base_folder, safety_checker=None, local_files_only=True)
    pipe.load_textual_inversion(str(file), token="miratok")
    weights = pipe.text_encoder.get_input_embeddings().weight
    assert torch.equal(weights[-3:], load_file(file)["emb_params"])
    assert torch.equal(weights[: len(table)], table)
    prompt = pipe.maybe_convert_prompt("a miratok, sad", pipe.tokenizer)
    ids = pipe.tokenizer(prompt, padding="max_length", return_tensors="pt").input_ids
    ours = session.parts.encode_text(["a miratok, sad"], train=True).states
    assert torch.equal(pipe.text_encoder(ids)[0], ours)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"token": "x"}, 'token "x": is a word that the base knows already'),
        ({"token": "two words"}, "is one word of small letters"),
        ({"token": "Mira"}, "is one word of small letters"),
        ({"token": "../x"}, "is one word of small letters"),
        ({"initial_text": "a fox"}, 'initial_text "a fox": has 4 tokens, and vectors is 3: set vectors to 4 or more'),
        ({"vectors": 15}, "vectors 15: the text encoder reads 14 tokens"),
        ({"templates": ["a [name]", "a picture"]}, '"a picture" has no \\[name\\]'),
        ({"templates": []}, "there is no line in them"),
        ({"templates": "none.txt"}, 'none.txt: cannot be read.*"subject" or "style", lines, or a text file'),
    ],
)
def test_what_does_not_fit_is_a_sentence(write_config: WriteConfig, options: dict[str, Any], sentence: str) -> None:
    path = write_config(method={**METHOD, **options})
    with pytest.raises(ConfigError, match=sentence) as found:
        trainer.start(trainer.read_config(path))
    assert "\n" not in str(found.value)
    assert not (path.parent / "run").exists()


def test_templates(write_config: WriteConfig, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    assert filled("a [name], [filewords]", "fox", "sad, red") == "a fox, sad, red"
    assert filled("a [name], [filewords]", "fox", "") == "a fox"
    assert filled("[filewords], by [name]", "fox", "[name]") == "[name], by fox"
    assert all("[name]" in line and "[filewords]" in line for lines in TEMPLATES.values() for line in lines)
    (tmp_path / "mine.txt").write_text("\ufeffa [name]\r\n\r\n[name], [filewords]\n", encoding="utf-8")
    config = trainer.read_config(write_config(method={**METHOD, "templates": "mine.txt"}))
    list(trainer.start(config, tmp_path / "train.toml").run())
    kept = json.loads((config.output / "run.json").read_text())["method"]["templates"]
    assert kept == ["a [name]", "[name], [filewords]"]
    (tmp_path / "mine.txt").unlink()  # a run goes on without it, and says nothing
    assert [progress.step for progress in trainer.resume(config.output, 5).run()] == [5]
    assert [str(one.message) for one in recwarn if isinstance(one.message, LoaderWarning)] == []


def test_a_file_of_other_vectors_is_refused(parts: Parts, base_folder: Path, tmp_path: Path) -> None:
    method = Inversion(token="miratok", vectors=3)
    method.prepare(parts)
    method.save(parts, tmp_path, "miratok", {})
    with pytest.raises(CheckpointError, match="holds 3 vectors, and 4 were trained"):
        Inversion(token="miratok", vectors=4).load(load_parts(read_base(base_folder), "fp32", "cpu"), tmp_path)
