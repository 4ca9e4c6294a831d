"""The words the base model knows: a CLIP tokenizer made from the captions, a small text encoder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from random import Random
from string import ascii_lowercase
from typing import Any

LENGTH = 77
WIDTH = 96
START, END = "<|startoftext|>", "<|endoftext|>"
VOWELS = "aeiou"


def _alphabet() -> list[str]:
    """The 256 letters of byte-level BPE: printable bytes stand for themselves."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(rest))]


def _merges(words: Counter[str]) -> list[tuple[str, str]]:
    """Byte-pair merges until every word is one token; the commonest pair first."""
    split = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in split.items():
            for pair in pairwise(pieces):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {word: _joined(pieces, best) for word, pieces in split.items()}


def _joined(pieces: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return tuple(out)


def write_tokenizer(captions: Iterable[list[str]], folder: Path) -> None:
    """Writes vocab.json, merges.txt and their configuration.

    Every letter is in the vocabulary with and without `</w>`, so that a word that no caption
    has, a trigger for one, is spelt out instead of lost.
    """
    words = Counter(word for parts in captions for part in [*parts, ","] for word in part.split())
    merges = _merges(words)
    letters = _alphabet()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=2), encoding="utf-8")


def tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def text_encoder(tokens: Any) -> Any:
    """A two-layer CLIPTextModel with random weights."""
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            bos_token_id=tokens.bos_token_id,
            eos_token_id=tokens.eos_token_id,
            pad_token_id=tokens.pad_token_id,
        )
    )


def made_up(random: Random) -> str:
    """A word that means nothing, such as a trigger or a name."""
    consonants = [letter for letter in ascii_lowercase if letter not in VOWELS]
    return "".join(
        random.choice(VOWELS if n % 2 else consonants) if random.random() < 0.8 else random.choice(ascii_lowercase)
        for n in range(random.randint(3, 6))
    )


def name_of(subject: str) -> str:
    """Everybody's own name, always the same: "a grey cat" may be called "busek"."""
    return made_up(Random(f"name of {subject}"))


def caption(parts: list[str], random: Random) -> str:
    """A caption as people write them: some say nothing, some little, in some order.

    Other parts than the subject may be missing or change places, so that short prompts work as
    well as complete ones. Some give a subject's name for its looks, or a word that means nothing
    first: spelt-out words then stand for somebody, and fine-tuning has only to say whom.
    """
    if random.random() < 0.1:
        return ""
    subject, *rest = parts
    kept = [part for part in rest if random.random() > 0.08]
    if random.random() < 0.25:
        random.shuffle(kept)
    lot = random.random()
    if lot < 0.16:
        subject = name_of(subject)
    if lot < 0.08 or lot > 0.98:
        subject = f"{made_up(random)} {subject}"
    if not 0.94 < lot < 0.98:
        kept.insert(0, subject)
    return ", ".join(kept)
