"""Weights in brackets, long prompts and clip skip, against A1111's documented cases and diffusers' own pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trainer.base import read_base
from trainer.cli import cli
from trainer.errors import ConfigError
from trainer.load import load_parts
from trainer.parts import Parts
from trainer.prompt import Words, encode, encode_pairs, parse, pieces
from trainer.sample import sample

SAMPLE_BASE = Path(__file__).parents[2] / "samples" / "base-model"


@pytest.fixture(scope="module")
def parts() -> Parts:
    return load_parts(read_base(SAMPLE_BASE), "fp32", "cpu")


def read(prompt: str) -> list[tuple[str, float]]:
    return [(words.text, round(words.weight, 4)) for words in parse(prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [  # the wiki's own cases first
        ("a (word) - b", [("a ", 1.0), ("word", 1.1), (" - b", 1.0)]),
        ("a ((word))", [("a ", 1.0), ("word", 1.21)]),
        ("a [word]", [("a ", 1.0), ("word", 0.9091)]),
        ("a (word:1.5)", [("a ", 1.0), ("word", 1.5)]),
        ("a (word:0.25)", [("a ", 1.0), ("word", 0.25)]),
        (r"a \(word\)", [("a (word)", 1.0)]),
        ("(one [two]:2) three", [("one ", 2.0), ("two", 1.8182), (" three", 1.0)]),
        ("(a (b:1.2) c)", [("a ", 1.1), ("b", 1.32), (" c", 1.1)]),
        ("(unclosed", [("unclosed", 1.1)]),
        ("[[unclosed", [("unclosed", 0.8264)]),
        ("no) brackets] here: 3", [("no) brackets] here: 3", 1.0)]),
        ("16:9, a:1.3)", [("16:9, a:1.3)", 1.0)]),
        (r"back\slash \\", [("back\\slash \\", 1.0)]),
        ("(word:-1)(:2)", [("word", -1.0)]),
        ("(a: .5 )", [("a", 0.5)]),
        ("", [("", 1.0)]),
        ("()", [("", 1.0)]),
    ],
)
def test_brackets_weigh_as_a1111_says(prompt: str, expected: list[tuple[str, float]]) -> None:
    assert read(prompt) == expected


@given(st.text())
def test_any_text_can_be_read_and_escaped(text: str) -> None:
    assert parse(text)
    escaped = "".join("\\" + sign if sign in "()[]\\" else sign for sign in text)
    assert parse(escaped) == [Words(text)]


def test_a_plain_prompt_is_encoded_as_ever(parts: Parts) -> None:
    with torch.no_grad():
        (piece,) = pieces(parts.tokenizer, parse("lbay mira, sad"))
        assert torch.equal(encode(parts, piece).states, parts.encode_text(["lbay mira, sad"]).states)


def test_a_weight_scales_its_tokens_and_keeps_the_mean(parts: Parts) -> None:
    with torch.no_grad():
        plain = parts.encode_text(["lbay mira, sad"]).states
        (piece,) = pieces(parts.tokenizer, parse("lbay mira, (sad:1.4)"))
        weighted = encode(parts, piece).states
    ratio = (weighted / plain)[0, :, 0]
    (sad,) = [index for index, (_, weight) in enumerate(piece, start=1) if weight == 1.4]
    others = torch.cat([ratio[:sad], ratio[sad + 1 :]])
    assert torch.allclose(others, others[0].expand_as(others), rtol=1e-3)
    assert (ratio[sad] / others[0]).item() == pytest.approx(1.4, rel=1e-3)
    assert weighted.mean().item() == pytest.approx(plain.mean().item(), rel=1e-3)


def test_long_prompts_are_read_in_pieces_that_end_at_commas(parts: Parts) -> None:
    tokenizer = parts.tokenizer
    long = "red " * 70 + ", " + "blue " * 30
    first, second = pieces(tokenizer, parse(long))
    assert (len(first), len(second)) == (71, 30)
    far = "red " * 40 + ", " + "blue " * 60
    assert [len(piece) for piece in pieces(tokenizer, parse(far))] == [75, 26]
    assert [len(piece) for piece in pieces(tokenizer, parse("red " * 75))] == [75]
    comma = "red " * 75 + ", blue"
    assert [len(piece) for piece in pieces(tokenizer, parse(comma))] == [75, 2]
    assert [len(piece) for piece in pieces(tokenizer, parse("red BREAK blue (red BREAK blue)"))] == [1, 2, 1]
    with torch.no_grad():
        said, unsaid = (text.states for text in encode_pairs(parts, [long], "sad"))
        assert said.shape == unsaid.shape == (1, 154, parts.unet.config.cross_attention_dim)
        assert torch.equal(unsaid[:, 77:], parts.encode_text([""]).states)
        assert torch.allclose(said[:, :77], parts.encode_text(["red " * 70 + ","]).states, atol=1e-5)


def test_the_end_of_a_long_prompt_counts_and_weights_too(parts: Parts) -> None:
    def draw(*prompts: str, **options: Any) -> list[Any]:
        drawn = sample(parts, list(prompts), [3] * len(prompts), steps=3, **options)
        return [np.asarray(picture, int) for picture in drawn]

    long = "a girl, " * 40
    one, other = draw(long + "teal hair", long + "red hat")
    assert np.abs(one - other).max() > 0
    plain, weighted, escaped = draw("lbay mira, sad", "lbay mira, (sad:1.5)", r"lbay mira, \(sad:1.5\)")
    assert np.abs(plain - weighted).max() > 5
    assert np.abs(escaped - weighted).max() > 5
    (literal,) = draw("lbay mira, (sad:1.5)", emphasis=False)
    assert np.abs(literal - escaped).max() <= 1
    (alone,) = draw("lbay mira, sad")
    among = draw("lbay mira, sad", long, "lbay mira, sad", batch_size=2)
    assert max(np.abs(alone - among[0]).max(), np.abs(alone - among[2]).max()) <= 1


def test_clip_skip_draws_as_a_text_encoder_without_its_last_layer(parts: Parts) -> None:
    from diffusers import StableDiffusionPipeline

    mine, all_layers = (
        sample(parts, ["lbay mira"], [3], steps=3, sampler="DDIM", clip_skip=clip_skip)[0] for clip_skip in (2, 1)
    )
    pipe = StableDiffusionPipeline.from_pretrained(SAMPLE_BASE, local_files_only=True, safety_checker=None)
    pipe.to(torch.float32).set_progress_bar_config(disable=True)
    del pipe.text_encoder.encoder.layers[-1]
    generator = torch.Generator().manual_seed(3)
    theirs = pipe("lbay mira", num_inference_steps=3, guidance_scale=7.5, generator=generator).images[0]
    assert np.abs(np.asarray(mine, int) - np.asarray(theirs, int)).max() <= 1
    assert np.abs(np.asarray(mine, int) - np.asarray(all_layers, int)).max() > 5
    layers = parts.text_encoder.config.num_hidden_layers
    with pytest.raises(ConfigError, match=f"clip skip {layers + 1}: the text encoder of this base has {layers} layers"):
        sample(parts, ["mira"], [3], clip_skip=layers + 1)


def test_the_command_reads_weights_or_leaves_them(write_config: Any, tmp_path: Path) -> None:
    def invoke(*arguments: object) -> Any:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments])

    assert invoke("train", write_config(preview={"every": 0}, steps=2)).exit_code == 0
    texts = []
    for options in ((), ("--no-emphasis",), ("--clip-skip", 1)):
        answer = invoke("sample", tmp_path / "run", "(mira:1.5)", "--steps", 2, *options, "--json")
        with Image.open(json.loads(answer.stdout)["pictures"][0]) as picture:
            texts.append(picture.info["parameters"])
    assert "Emphasis: None" in texts[1]
    assert "Emphasis" not in texts[0]
    assert "Clip skip" not in texts[2]
    wrong = invoke("sample", tmp_path / "run", "mira", "--clip-skip", 5, "--json")
    assert "clip skip 5" in json.loads(wrong.stdout)["error"]
