"""Captioning networks as transformers knows them: BLIP, Florence-2 and whatever else it calls image-text-to-text.

Weights are read from safetensors alone: a .bin is a pickle, which can run a program. Code that a model brings is never
run (trust_remote_code is off).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.errors import MissingExtra, ModelError, first_line
from sorter.files import read_file
from sorter.networks.export_files import LARGEST_TEXT, not_the_file
from sorter.networks.kept_hash import hash_of
from sorter.threads import Batches, OnceEach

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("*.json", "*.txt", "*.jinja", "*.model", "*.safetensors")
"""The files of a captioner: settings, words and weights."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
CONFIG = "config.json"
WORDS = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
"""Where a tokenizer's words are. Without them transformers makes one that knows none, and says nothing of it."""
ADAPTER = "adapter_config.json"
MOST_AT_ONCE = 8
"""Pictures that a graphics card is given at a time."""
QUESTION = "Describe this picture in one sentence."
"""What a chat model is asked, where no prompt is given."""


@dataclass(frozen=True)
class CaptionerFiles:
    """A captioner's folder. Equal ones have the same files."""

    folder: Path
    sha256: str
    """Of all its files together."""


@dataclass(frozen=True)
class Wanted:
    """How a captioner is to write."""

    prompt: str = ""
    max_new_tokens: int = 50
    num_beams: int = 1


def is_captioner(folder: Path) -> bool:
    """Whether a folder holds settings, words and weights."""
    return (folder / CONFIG).is_file() and _has_words(folder) and any(folder.glob("*.safetensors"))


def _has_words(folder: Path) -> bool:
    return any(path.is_file() for kind in WORDS for path in folder.glob(kind))


def read_captioner(folder: Path) -> CaptionerFiles:
    """The files of a captioner. Raises ModelError where one is missing or makes no sense."""
    if not (folder / CONFIG).is_file():
        held = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        raise ModelError(f"{folder}: has no {CONFIG}, which a captioner of transformers has; it holds {held}")
    if (folder / ADAPTER).exists():
        raise ModelError(f"{folder}: is an adapter ({ADAPTER}); merge it into its model and save that")
    if not any(folder.glob("*.safetensors")):
        pickles = [path.name for kind in PICKLES for path in sorted(folder.glob(kind))]
        why = f"; {pickles[0]} is a pickle, which can run a program, and is not read" if pickles else ""
        raise ModelError(f"{folder}: has no weights in a .safetensors file{why}")
    if not _has_words(folder):
        raise ModelError(f"{folder}: has no {WORDS[0]}, in which a captioner's words are")
    try:
        data = read_file(folder / CONFIG, LARGEST_TEXT)
        config = json.loads(data)
        files = sorted({path for kind in KINDS for path in folder.glob(kind) if path.is_file()})
        hashes = [f"{path.name} {hash_of(path)}" for path in files]
    except OSError as found:
        raise ModelError(f"{folder}: cannot be read: {found.strerror}") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{folder / CONFIG}: {not_the_file(data) or 'is no JSON; download it again'}") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(f"{folder / CONFIG}: names no model_type, so transformers cannot tell what it is")
    return CaptionerFiles(folder, hashlib.sha256("\n".join(hashes).encode()).hexdigest())


class ImageToText:
    """A captioner, loaded: from a picture to what it says of it. Any thread may call it."""

    def __init__(self, files: CaptionerFiles, wanted: Wanted) -> None:
        """Raises ModelError where it cannot be loaded, and MissingExtra without transformers."""
        self._where, self._wanted = files.folder, wanted
        self._processor, self._model = _loaded(files)
        self.device = str(self._model.device.type)
        self._words = threading.Lock()  # tokenizers are for one thread at a time: "Already borrowed"
        self._together: Batches[Image, str] = Batches(self._run, MOST_AT_ONCE)

    def __call__(self, image: Image) -> str:
        """What it says of a picture in RGB: one line, always the same. Raises ModelError.

        On a processor each thread has its own picture and stays on its core: torch's own threads would wait for each
        other, spinning, and answers do not depend on which pictures come together.
        """
        if self.device != "cpu":
            return self._together(image)
        import torch

        torch.set_num_threads(1)  # of this thread
        return self._run([image])[0]

    def _run(self, images: Sequence[Image]) -> list[str]:
        import torch

        with _quiet, torch.inference_mode():
            try:
                with self._words:
                    given = self._processor(**self._given(images), return_tensors="pt")
                given = given.to(self._model.device, self._model.dtype)
                length = {"max_new_tokens": self._wanted.max_new_tokens, "num_beams": self._wanted.num_beams}
                written = self._model.generate(**given, **length, do_sample=False)
                new = _without(written, given.get("input_ids"))
                with self._words:
                    words = self._processor.batch_decode(new, skip_special_tokens=True)
            except _faults() as found:
                raise ModelError(f"{self._where}: cannot be run: {first_line(found)}") from None
        return [self._said(text) for text in words]

    def _given(self, images: Sequence[Image]) -> dict[str, Any]:
        if getattr(self._processor, "chat_template", None):
            words = {"type": "text", "text": self._wanted.prompt or QUESTION}
            asked = [{"role": "user", "content": [{"type": "image"}, words]}]
            text = self._processor.apply_chat_template(asked, add_generation_prompt=True)
            return {"images": [[image] for image in images], "text": [text] * len(images), "padding": True}
        if self._wanted.prompt:
            return {"images": list(images), "text": [self._wanted.prompt] * len(images), "padding": True}
        return {"images": list(images)}

    def _said(self, text: str) -> str:
        """One line, without the prompt, which some models repeat."""
        line, prompt = " ".join(text.split()), " ".join(self._wanted.prompt.split())
        return line[len(prompt) :].strip() if line.casefold().startswith(prompt.casefold()) else line


def _without(written: Any, given: Any) -> Any:
    """The tokens that were written, without those given, with which a chat model begins its answer."""
    if given is None or written.shape[1] < given.shape[1]:
        return written
    length = given.shape[1]
    return written[:, length:] if bool((written[:, :length] == given).all()) else written


def _load(files: CaptionerFiles) -> tuple[Any, Any]:
    """Processor and model."""
    try:
        import torch
    except ImportError:
        raise MissingExtra("captioners", "a captioner") from None
    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        with _quiet:
            processor, model, missing = _from_disk(files.folder, torch.float32 if device == "cpu" else "auto")
    except _faults() as found:
        raise ModelError(f"{files.folder}: cannot be loaded as a captioner: {first_line(found)}") from None
    if missing:
        raise ModelError(f"{files.folder}: its weights do not fit its {CONFIG}: {len(missing)} lack, as {missing[0]}")
    if not hasattr(processor, "image_processor") or not model.can_generate():
        raise ModelError(f"{files.folder}: is no captioner: it does not read pictures and write words")
    return processor, model.to(device).eval()


def _from_disk(folder: Path, dtype: Any) -> tuple[Any, Any, list[str]]:
    """Processor, model, and the weights that it lacks. Nothing is fetched, unpickled or run."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    safely: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    processor: Any = AutoProcessor.from_pretrained(folder, **safely)  # type: ignore[no-untyped-call]
    loaded: Any = AutoModelForImageTextToText.from_pretrained(
        folder, **safely, use_safetensors=True, output_loading_info=True, dtype=dtype
    )
    model, report = loaded
    return processor, model, sorted({*report["missing_keys"], *(str(one[0]) for one in report["mismatched_keys"])})


class _Quiet:
    """Without advice to programmers, and without bars: progress is shown by the picture. For several threads."""

    def __init__(self) -> None:
        self._lock, self._inside, self._level = threading.Lock(), 0, 0

    def __enter__(self) -> None:
        try:
            from transformers.utils import logging
        except ImportError:
            raise MissingExtra("captioners", "a captioner") from None
        with self._lock:
            if not self._inside:
                self._level = logging.get_verbosity()
                logging.disable_progress_bar()  # type: ignore[no-untyped-call]
                logging.set_verbosity_error()  # type: ignore[no-untyped-call]
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        with self._lock:
            self._inside -= 1
            if not self._inside:
                logging.set_verbosity(self._level)


def _faults() -> tuple[type[Exception], ...]:
    """What transformers raises on files that make no sense."""
    from safetensors import SafetensorError

    kinds = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, ImportError, ArithmeticError)
    return (*kinds, SafetensorError)


_quiet = _Quiet()
_loaded = OnceEach(_load)
