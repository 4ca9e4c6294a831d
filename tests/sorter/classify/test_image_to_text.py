"""`use = "image-to-text"`: a captioner from a folder, through the commands; it is a BLIP that knows three pictures."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.sorter.tiny_networks import SENTENCES, save_captioner, save_chat_captioner

ASK = """
[ask.sentence]
use = "image-to-text"
model = "models/blip"
[caption]
use = "template"
text = "{trigger}, {sentence}, {mood}"
"""


@pytest.fixture(scope="module")
def pictures(draw: Callable[..., Image.Image]) -> list[Image.Image]:
    return [draw("left", "happy"), draw("right", "happy"), draw("front", "sad")]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory, pictures: list[Image.Image]) -> Path:
    return save_captioner(tmp_path_factory.mktemp("captioner") / "blip", pictures)


@pytest.fixture
def scheme(project: Path, blip: Path) -> Path:
    shutil.copytree(blip, project / "models" / "blip")
    path = project / "scheme.toml"
    path.write_text(path.read_text(encoding="utf-8") + ASK, encoding="utf-8")
    return path


def texts(folder: Path) -> dict[str, str]:
    return {path.stem.rpartition("-")[0]: path.read_text(encoding="utf-8").strip() for path in folder.rglob("*.txt")}


def test_a_sentence_reaches_the_captions_turned_with_its_picture(
    run_cli: Callable[..., Any], scheme: Path, frames: Path, library: Path, tmp_path: Path
) -> None:
    code, _, err = run_cli("sort", frames, "--to", library, "--scheme", scheme)
    assert code == 1 and "Loading weights" not in err, err  # some of the frames are no pictures
    found = texts(library)
    assert found["left_happy"] == "mira, a girl facing left, happy"
    assert found["right_happy"] == "mira, a girl facing left, happy"  # it saw the picture before it was turned
    assert found["front"] == "mira, a door, sad"
    out = run_cli("captions", library, "--scheme", scheme, "--json")[1]
    said = json.loads(out)
    assert said["by"] == {"template + sentence": 5} and said["unknown"] == []  # a sentence is no tag
    run_cli("export", library, "--to", tmp_path / "kohya", "--as", "kohya", "--scheme", scheme)
    assert texts(tmp_path / "kohya")["front"] == "mira, a door, sad"


def test_it_is_asked_once_a_picture(run_cli: Callable[..., Any], scheme: Path, frames: Path, library: Path) -> None:
    from sorter.commands.job import load_job
    from sorter.library.store.manifest import Manifest

    run_cli("sort", frames, "--to", library, "--scheme", scheme)
    with Manifest(library) as manifest:
        assert manifest.unanswered(load_job(scheme).questions.sources()) == []
        scheme.write_text(scheme.read_text().replace('blip"', 'blip"\nprompt = "a girl"'))
        waiting = manifest.unanswered(load_job(scheme).questions.sources())
        assert {tuple(names) for _, names in waiting} == {("sentence",)}
    run_cli("classify", library, "--scheme", scheme)
    run_cli("apply", library, "--scheme", scheme)
    assert texts(library)["left_happy"] == "mira, facing left, happy"  # without the prompt


def test_prompts_lengths_and_batches(blip: Path, pictures: list[Image.Image]) -> None:
    from sorter.networks.image_to_text import ImageToText, Wanted, read_captioner

    files = read_captioner(blip)
    plain = ImageToText(files, Wanted())
    assert tuple(map(plain, pictures)) == SENTENCES == tuple(plain._run(pictures))
    assert tuple(map(ImageToText(files, Wanted(num_beams=3)), pictures)) == SENTENCES
    with ThreadPoolExecutor(8) as pool:
        assert tuple(pool.map(plain, pictures * 20)) == SENTENCES * 20
        assert tuple(pool.map(plain._together, pictures * 20)) == SENTENCES * 20  # as on a graphics card
    assert ImageToText(files, Wanted("A girl  facing"))(pictures[0]) == "left."
    assert ImageToText(files, Wanted(max_new_tokens=3))(pictures[0]) == "a girl facing"


def test_a_model_that_is_asked_in_a_conversation(tmp_path: Path, pictures: list[Image.Image]) -> None:
    from sorter.networks.image_to_text import ImageToText, Wanted, read_captioner

    network = ImageToText(read_captioner(save_chat_captioner(tmp_path / "llava")), Wanted(max_new_tokens=6))
    said = [network(picture) for picture in pictures]
    assert any(said) and said == network._run(pictures)
    assert not any(word in text for text in said for word in ("USER:", "<image>", "ASSISTANT: "))


class Harm:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return (open, (self.path, "w"))


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(folder / "harm")))


def _with_code(folder: Path) -> None:
    edited(folder, model_type="mine", auto_map={"AutoConfig": "mine.Mine", "AutoModelForImageTextToText": "mine.Mine"})
    (folder / "mine.py").write_text(f"open({str(folder / 'harm')!r}, 'w')\n")


def _without_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "layernorm" in name.lower()))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def edited(folder: Path, **more: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | more))


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle": (_pickled, "pytorch_model.bin is a pickle, which can run a program, and is not read"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no weights in a .safetensors file"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json: is no JSON"),
    "no type": (lambda folder: (folder / "config.json").write_text("{}"), "names no model_type"),
    "code of its own": (_with_code, "cannot be loaded as a captioner"),
    "no captioner": (lambda folder: edited(folder, model_type="bert"), "cannot be loaded as a captioner"),
    "an adapter": (lambda folder: (folder / "adapter_config.json").write_text("{}"), "is an adapter"),
    "cut off": (_cut, "cannot be loaded as a captioner"),
    "a weight less": (_without_a_weight, "its weights do not fit its config.json: 1 lack"),
    "no words": (
        lambda folder: (folder / "tokenizer.json").unlink(),
        "has no tokenizer.json, in which a captioner's words are",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_captioner_that_cannot_be_used_is_one_sentence(
    name: str, run_cli: Callable[..., Any], scheme: Path, frames: Path, library: Path, tree_of: Callable[..., Any]
) -> None:
    break_it, sentence = BAD[name]
    break_it(scheme.parent / "models" / "blip")
    library.mkdir()
    for words in (("check",), ("sort", frames, "--to", library)):
        code, out, err = run_cli(*words, "--scheme", scheme)
        assert code == 2 and sentence in err and len(err.strip().splitlines()) == 1, out + err
    assert tree_of(library) == {} and not (scheme.parent / "models" / "blip" / "harm").exists()
