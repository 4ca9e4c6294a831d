"""Prompts as A1111 reads them: weights in brackets, and texts longer than the encoder reads, in pieces.

The grammar is that of A1111's wiki, Features, "Attention/emphasis": (word) counts 1.1 times, [word] a 1.1th,
(word:1.3) 1.3 times, brackets inside brackets multiply, \\( is a bracket, and BREAK begins the next piece.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.families.family import Text, joined
from trainer.words import spelt

if TYPE_CHECKING:
    from trainer.parts import Parts

ROUND, SQUARE = 1.1, 1 / 1.1
SIGNS = re.compile(
    r"\\(?P<escaped>[()\[\]\\])"
    r"|:\s*(?P<weight>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)"
    r"|(?P<bracket>[()\[\]])"
    r"|(?P<text>[^\\()\[\]:]+|[\\:])"
)
BREAK = re.compile(r"\s*\bBREAK\b\s*")
LOOK_BACK = 20
"""A piece that is full ends behind a comma among its last so many tokens, if there is one, as A1111 has it."""

Token = tuple[int, float]
"""The number of a token in the tokenizer, and how much it counts."""


@dataclass(frozen=True, slots=True)
class Words:
    """A stretch of a prompt in which all counts the same."""

    text: str
    weight: float = 1.0


def parse(prompt: str) -> list[Words]:
    """The prompt without its brackets. One that is never closed holds to the end; one that is never opened is text."""
    found: list[tuple[str, float]] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def weigh(start: int, weight: float) -> None:
        found[start:] = [(text, before * weight) for text, before in found[start:]]

    for sign in SIGNS.finditer(prompt):
        bracket = sign["bracket"]
        if bracket in ("(", "["):
            opened[bracket].append(len(found))
        elif sign["weight"] and opened["("]:
            weigh(opened["("].pop(), float(sign["weight"]))
        elif bracket == ")" and opened["("]:
            weigh(opened["("].pop(), ROUND)
        elif bracket == "]" and opened["["]:
            weigh(opened["["].pop(), SQUARE)
        else:
            found.append((sign["escaped"] or sign[0], 1.0))
    for kind, weight in (("(", ROUND), ("[", SQUARE)):
        for start in opened[kind]:
            weigh(start, weight)
    return _joined(found)


def pieces(tokenizer: Any, words: Sequence[Words]) -> list[list[Token]]:
    """The tokens in pieces of at most what the text encoder reads without its two ends, 75 for CLIP; one at least."""
    room, found = tokenizer.model_max_length - 2, list[list[Token]]([[]])
    comma = tokenizer(",", add_special_tokens=False).input_ids[-1]
    for part in words:
        for number, text in enumerate(BREAK.split(part.text)):
            if number:
                found.append([])
            for token in tokenizer(spelt(tokenizer, text), add_special_tokens=False).input_ids:
                if len(found[-1]) == room:
                    found.append([] if token == comma else _taken_from(found[-1], comma))
                found[-1].append((token, part.weight))
    return found


def whole(tokenizer: Any, text: str) -> list[Token]:
    """The tokens of a text in which brackets are words, cut where the text encoder stops reading."""
    ids = tokenizer(spelt(tokenizer, text), add_special_tokens=False).input_ids
    return [(token, 1.0) for token in ids[: tokenizer.model_max_length - 2]]


def encode(parts: Parts, piece: Sequence[Token], clip_skip: int = 1) -> Text:
    """A piece as the text encoders read it, each token weighed."""
    import torch

    tokenizer = parts.tokenizer
    length = tokenizer.model_max_length
    ids = [tokenizer.bos_token_id, *(token for token, _ in piece), tokenizer.eos_token_id]
    ids += [tokenizer.pad_token_id] * (length - len(ids))
    weights = torch.ones(length)
    weights[1 : 1 + len(piece)] = torch.tensor([weight for _, weight in piece])
    return parts.encode_ids(torch.tensor([ids]), clip_skip, weights)


def encode_pairs(parts: Parts, prompts: Sequence[str], negative: str, clip_skip: int = 1) -> tuple[Text, Text]:
    """What the prompts say and what the negative prompt says, of pieces x tokens each; the prompts must have the same
    `count_pieces`. The shorter is filled up with empty pieces."""

    def encoded(text: str) -> Text:
        found = pieces(parts.tokenizer, parse(text))
        found += [[]] * (count - len(found))
        return joined((encode(parts, piece, clip_skip) for piece in found), dim=1)

    count = count_pieces(parts, prompts[0], negative)
    return joined(encoded(prompt) for prompt in prompts), encoded(negative).repeat(len(prompts))


def count_pieces(parts: Parts, prompt: str, negative: str) -> int:
    """How many pieces the longer of the two has."""
    return max(len(pieces(parts.tokenizer, parse(text))) for text in (prompt, negative))


def _joined(found: Sequence[tuple[str, float]]) -> list[Words]:
    """Neighbours of one weight as one stretch, so that a word that an escape parts is read as one."""
    words: list[Words] = []
    for text, weight in found:
        if words and words[-1].weight == weight:
            words[-1] = Words(words[-1].text + text, weight)
        else:
            words.append(Words(text, weight))
    return words or [Words("")]


def _taken_from(piece: list[Token], comma: int) -> list[Token]:
    """What stands behind the last comma near the end of a full piece; it is cut off there."""
    near = range(len(piece) - 1, max(len(piece) - 1 - LOOK_BACK, -1), -1)
    last = next((index for index in near if piece[index][0] == comma), len(piece) - 1)
    piece[last + 1 :], moved = [], piece[last + 1 :]
    return moved
