"""Textual inversion: a word of one's own, and nothing else (Gal et al. 2022, arXiv:2208.01618)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from sorter.errors import first_line
from sorter.files import read_file
from trainer.errors import CheckpointError, ConfigError
from trainer.formats import SUFFIX, find_file, save_tensors
from trainer.methods.method import METHODS, Batch, Method
from trainer.words import names_of

if TYPE_CHECKING:
    import torch

    from trainer.parts import Parts

TEMPLATES = {
    "subject": (
        "[name], [filewords]",
        "a picture of [name], [filewords]",
        "an image of [name], [filewords]",
        "a picture that shows [name], [filewords]",
        "this is [name], [filewords]",
    ),
    "style": (
        "[filewords], in the style of [name]",
        "a picture in the style of [name], [filewords]",
        "a drawing in the style of [name], [filewords]",
        "[filewords], as [name] draws it",
    ),
}


@METHODS.add("inversion")
class Inversion(Method):
    """Textual inversion: teaches a new word, whose file of some kB A1111 calls an embedding; rate 5e-3."""

    token: str  # the new word: small letters, digits, "-" and "_"; also the file's name, by which A1111 calls it
    vectors: Annotated[int, Field(gt=0)] = 4  # tokens that the word counts as in a prompt
    initial_text: str = ""  # words that it starts from, of at most so many tokens; none: from the average word
    templates: str | tuple[str, ...] = "subject"  # or "style", a text file, or lines; [filewords] is the caption

    def prepare(self, parts: Parts) -> dict[str, torch.nn.Parameter]:
        """Add the word's tokens behind the tokenizers', and rows for them beside each text encoder's table."""
        import torch

        from trainer.methods.learnt_rows import LearntRows

        self._check(parts)
        trained = {}
        for tokenizer, (part, encoder) in zip(parts.tokenizers, parts.text_encoders.items(), strict=True):
            table = encoder.get_input_embeddings()
            rows = torch.nn.Parameter(self._first_rows(tokenizer, table.weight.detach()))
            tokenizer.add_tokens(names_of(self.token, self.vectors))
            encoder.set_input_embeddings(LearntRows(table, rows, tokenizer.convert_tokens_to_ids(self.token)))
            trained[f"{part}.{self.token}"] = rows
        return trained

    def loss(self, parts: Parts, batch: Batch, generator: torch.Generator) -> torch.Tensor:
        """The denoising loss of the pictures under a line of the templates each."""
        import torch

        from trainer.methods.denoise import denoising_loss

        lines = self.lines()
        chosen = torch.randint(len(lines), (len(batch.captions),), generator=generator).tolist()
        texts = [
            filled(lines[number], self.token, caption) for number, caption in zip(chosen, batch.captions, strict=True)
        ]
        return denoising_loss(parts, batch, parts.encode_text(texts, train=True), generator)

    def trained(self, parts: Parts) -> dict[str, torch.Tensor]:
        """{"text_encoder.TOKEN": [vectors, width]}, and the same of a second text encoder."""
        from trainer.methods.learnt_rows import LearntRows

        ids = parts.tokenizer.convert_tokens_to_ids(names_of(self.token, self.vectors))
        tables = {part: encoder.get_input_embeddings() for part, encoder in parts.text_encoders.items()}
        return {
            f"{part}.{self.token}": table.rows.detach() if isinstance(table, LearntRows) else table.weight.detach()[ids]
            for part, table in tables.items()
        }

    def save(self, parts: Parts, folder: Path, name: str, about: Mapping[str, str]) -> None:
        """Write NAME.safetensors, which A1111, Forge, ComfyUI and diffusers read as an embedding."""
        keys = parts.base.family.embeddings
        rows = {keys[name.partition(".")[0]]: tensor for name, tensor in self.trained(parts).items()}
        held = {key: tensor.float().cpu().contiguous() for key, tensor in rows.items()}
        save_tensors(folder / f"{name}{SUFFIX}", held, about)

    def load(self, parts: Parts, folder: Path) -> None:
        """Load the file as its users will, with diffusers."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from trainer.load import loading
        from trainer.sample import pipeline

        path = find_file(folder)
        try:
            tensors, pipe = load_file(path), pipeline(parts)
            read = zip(parts.base.family.embeddings.items(), parts.tokenizers, strict=True)
            for (part, key), tokenizer in read:
                rows, places = tensors[key], {"text_encoder": parts.text_encoders[part], "tokenizer": tokenizer}
                with loading():
                    pipe.load_textual_inversion(rows, token=self.token, local_files_only=True, **places)
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot be loaded: {first_line(error)}") from None
        if len(rows) != self.vectors:
            raise CheckpointError(
                f"{path}: cannot be loaded: it holds {len(rows)} vectors, and {self.vectors} were trained"
            )

    def told(self, caption: str) -> str:
        """The longest template with the word and the caption in it."""
        return filled(max(self.lines(), key=len), self.token, caption)

    def stem(self, run: str) -> str:
        """The word, by which A1111, Forge and ComfyUI call the file."""
        return self.token

    def kept(self, folder: Path) -> dict[str, Any]:
        """The lines of the templates' file."""
        if isinstance(self.templates, str) and self.templates not in TEMPLATES:
            return {"templates": list(_lines_of(folder / self.templates))}
        return {}

    def notes(self, parts: Parts) -> list[str]:
        """How it is called."""
        return [f"write {self.token} in the prompts of A1111 and Forge, embedding:{self.token} in those of ComfyUI"]

    def lines(self) -> tuple[str, ...]:
        """The templates. Raises ConfigError where one does not name the word."""
        if isinstance(self.templates, str):
            found = TEMPLATES.get(self.templates) or _lines_of(Path(self.templates))
        else:
            found = self.templates
        if not found:
            raise ConfigError('[method] templates: there is no line in them; write some such as "a picture of [name]"')
        if lacking := next((line for line in found if "[name]" not in line), None):
            raise ConfigError(f'[method] templates: "{lacking}" has no [name] in it, where the word is to stand')
        return found

    def _check(self, parts: Parts) -> None:
        self.lines()
        token, tokenizer = self.token, parts.tokenizer
        if not re.fullmatch(r"[\w-]+", token) or token != token.lower():
            raise ConfigError(f'[method] token "{token}": is one word of small letters, digits, "-" and "_"')
        known = tokenizer.get_vocab()
        if token in known or f"{token}</w>" in known:
            raise ConfigError(
                f'[method] token "{token}": is a word that the base knows already, and would lose its meaning; take'
                f' one that is none, such as "{token}-tok"'
            )
        room = tokenizer.model_max_length - 2
        if self.vectors > room:
            raise ConfigError(f"[method] vectors {self.vectors}: the text encoder reads {room} tokens of a text")
        ids = self._initial(tokenizer)
        if len(ids) > self.vectors:
            raise ConfigError(
                f'[method] initial_text "{self.initial_text}": has {len(ids)} tokens, and vectors is'
                f" {self.vectors}: set vectors to {len(ids)} or more, or shorten the text"
            )

    def _initial(self, tokenizer: Any) -> list[int]:
        ids: list[int] = tokenizer(self.initial_text, add_special_tokens=False).input_ids if self.initial_text else []
        return ids

    def _first_rows(self, tokenizer: Any, table: torch.Tensor) -> torch.Tensor:
        """[vectors, width]: the rows of the initial text, the first ones repeated where it is shorter than the vectors;
        without a text, numbers of the mean and the spread of all rows, drawn from torch's global generator."""
        import torch

        if ids := self._initial(tokenizer):
            return table[[ids[number * len(ids) // self.vectors] for number in range(self.vectors)]].clone()
        drawn = torch.randn(self.vectors, table.shape[1]).to(table.device)
        return table.mean(dim=0) + table.std(dim=0) * drawn


def filled(template: str, name: str, caption: str) -> str:
    """The template with the word and the caption in it; an empty caption leaves no comma behind."""
    text = template.replace("[name]", name).replace("[filewords]", caption)
    return ", ".join(part for piece in text.split(",") if (part := piece.strip()))


def _lines_of(path: Path) -> tuple[str, ...]:
    try:
        text = read_file(path).decode("utf-8-sig")
    except OSError as error:
        known = " or ".join(f'"{name}"' for name in TEMPLATES)
        raise ConfigError(
            f"[method] templates: {path}: cannot be read: {error.strerror}; they are {known}, lines, or a text file"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"[method] templates: {path}: is not UTF-8") from None
    return tuple(line.strip() for line in text.splitlines() if line.strip())
