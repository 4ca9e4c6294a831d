"""`trainer evaluate`: prompts as A1111, ComfyUI and others write them, judged by sorters whose answers are known."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image, PngImagePlugin

from sorter.commands.job import load_job
from sorter.commands.sort import sort
from trainer.cli import cli
from trainer.evaluate.asked import Reader, plain, words_of
from trainer.evaluate.autoencoder import autoencoder
from trainer.evaluate.comfy import positive
from trainer.evaluate.known import at_size, of_library
from trainer.evaluate.likeness import Likeness
from trainer.evaluate.scores import Share, mean
from trainer.recipe import Drawn, write_png

SAMPLE_BASE = Path(__file__).resolve().parents[2] / "samples" / "base-model"
A1111 = """\
masterpiece, (mira:1.2), <lora:mira_v2:0.8>, ((facing left)), [happy:happy:0.5]
BREAK a harbour \\(evening\\)
Negative prompt: facing right, sad, lowres
Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 40x32, Model: anything, Version: v1.9.4"""


def graph(text: str, negative: str = "sad, facing right") -> dict[str, Any]:
    """ComfyUI's graph of one sampler, as its SaveImage writes it."""
    return {
        "3": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 5, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
                "model": ["4", 0], "positive": ["10", 0], "negative": ["7", 0], "latent_image": ["5", 0],
            },
        },
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sad.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 40, "height": 32, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["11", 0], "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": negative, "clip": ["4", 1]}},
        "10": {"class_type": "ControlNetApply", "inputs": {"conditioning": ["6", 0], "image": ["12", 0]}},
        "11": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": text}},
        "12": {"class_type": "LoadImage", "inputs": {"image": "sad.png"}},
    }  # fmt: skip


WORKFLOW = {
    "nodes": [
        {"id": 3, "type": "KSampler", "widgets_values": [5, "fixed", 20, 7, "euler", "normal", 1], "inputs": [
            {"name": "positive", "link": 4}, {"name": "negative", "link": 6}, {"name": "latent_image", "link": 2}]},
        {"id": 5, "type": "EmptyLatentImage", "widgets_values": [40, 32, 1], "inputs": []},
        {"id": 6, "type": "CLIPTextEncode", "widgets_values": ["mira, happy, facing left"], "inputs": []},
        {"id": 7, "type": "CLIPTextEncode", "widgets_values": ["sad"], "inputs": []},
        {"id": 8, "type": "CLIPTextEncode", "widgets_values": ["sad"], "inputs": [], "mode": 4},
    ],
    "links": [[2, 5, 0, 3, 3, "LATENT"], [4, 6, 0, 3, 1, "CONDITIONING"], [6, 7, 0, 3, 2, "CONDITIONING"]],
}  # fmt: skip


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, ["evaluate", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def evaluate(project: Path, tmp_path: Path) -> Callable[..., Any]:
    def call(*more: object, code: int = 0) -> Any:
        found = invoke("--pictures", tmp_path / "drawn", "--scheme", project / "scheme.toml", "--json", *more)
        assert found.exit_code == code, found.output
        return json.loads(found.stdout)

    return call


def save(image: Image.Image, path: Path, **texts: str) -> Path:
    """As PNG, with text chunks as A1111 and ComfyUI write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        chunks.add_text(key, text)
    image.save(path, pnginfo=chunks)
    return path


def save_exif(image: Image.Image, path: Path, text: str, order: str = "utf-16-be") -> Path:
    """As A1111 writes a JPEG or WebP: UserComment, eight bytes that name the encoding, and UTF-16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + text.encode(order)
    image.save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("how", ["a1111", "exif.jpg", "exif.webp", "exif-le.jpg", "comfy", "workflow", "ours", "before",
                                 "txt", "folders", "kohya", "fooocus", "swarm"])  # fmt: skip
def test_prompts_are_read_wherever_they_are_written(
    how: str,
    tmp_path: Path,
    draw: Any,
    evaluate: Callable[..., Any],
) -> None:
    picture, folder = draw("left", "happy"), tmp_path / "drawn"
    if how == "a1111":
        save(picture, folder / "1.png", parameters=A1111)
    elif how.startswith("exif"):
        order = "utf-16-le" if "le" in how else "utf-16-be"
        save_exif(picture, folder / f"1.{how.rpartition('.')[2]}", A1111, order)
    elif how == "comfy":
        save(picture, folder / "1.png", prompt=json.dumps(graph("mira, (happy:1.3), facing left")), workflow="{}")
    elif how == "workflow":
        save(picture, folder / "1.png", workflow=json.dumps(WORKFLOW))
    elif how == "before":
        save(picture, folder / "1.png", prompt="mira, happy, facing left", seed="3", guidance="4.0")
    elif how == "ours":
        write_png(picture, folder / "1.png", Drawn("mira, happy, facing left", 3, negative="sad"))
    elif how == "txt":
        save(picture, folder / "1.png")
        (folder / "1.txt").write_text("mira happy facing left\nNegative prompt: sad\nSteps: 20", encoding="utf-8-sig")
    elif how in ("fooocus", "swarm"):
        said = {"prompt": "happy, facing left", "negative_prompt": "sad, facing right"}
        save(picture, folder / "1.png", parameters=json.dumps(said if how == "fooocus" else {"sui_image_params": said}))
    else:
        save(picture, folder / ("10_happy/left/1.png" if how == "kohya" else "happy/left/1.png"))
    answer = evaluate()
    seen = {axis: (one["confusion"], one["share"]) for axis, one in answer["axes"].items()}
    assert seen == {"direction": ({"left": {"left": 1}}, 1.0), "mood": ({"happy": {"happy": 1}}, 1.0)}
    names = {"comfy": "ComfyUI", "workflow": "ComfyUI", "ours": "Modelsheet", "before": "Modelsheet", "txt": "txt"}
    names |= {"folders": "folders", "kohya": "folders"}
    assert answer["prompts"] == {names.get(how, "A1111"): 1}


def test_what_is_asked_is_counted_against_what_is_seen(
    tmp_path: Path,
    draw: Any,
    evaluate: Callable[..., Any],
) -> None:
    folder = tmp_path / "drawn"
    for number in range(8):
        save(draw("left", "happy", number), folder / f"right{number}.png", parameters="mira, happy, facing left")
    for number in range(2):
        save(draw("right", "happy", number), folder / f"wrong{number}.png", parameters="happy, facing left, <b>x")
    save(draw("front", "?"), folder / "doubtful.png", parameters="sad, facing the viewer")
    save(draw("left", "happy"), folder / "several.png", parameters="facing left, or facing right, happy")
    save(draw("left", "happy"), folder / "none.png", parameters="a cat, <b>")
    save(draw("left", "happy"), folder / "silent.png")
    answer = evaluate(code=0)
    assert (answer["pictures"], answer["judged"]) == (14, 12)
    assert (answer["without_prompt"], answer["without_class"]) == (1, 1)
    direction, mood = answer["axes"]["direction"], answer["axes"]["mood"]
    assert direction["confusion"] == {"left": {"left": 8, "right": 2}, "front": {"front": 1}}
    assert (direction["several"], direction["of"]) == (1, 11)
    assert direction["classes"]["left"]["share"] == 0.8
    # Wilson 1927 at 8 of 10, by hand: (0.8 + 0.19207) / 1.38415 -+ 1.95996 / 1.38415 * sqrt(0.016 + 0.009604)
    assert (direction["classes"]["left"]["low"], direction["classes"]["left"]["high"]) == pytest.approx(
        (0.4902, 0.9433), abs=2e-4
    )
    assert mood["of"] == 12
    assert mood["sure"] == pytest.approx(11 / 12, abs=1e-4)
    assert answer["all_right"]["share"] in (round(9 / 12, 4), round(10 / 12, 4))  # nobody knows the mood of "?"
    page = (folder / "evaluation.html").read_text(encoding="utf-8")
    assert page.count("<img") == 12 + 12 - 1  # each picture once for each of its axes
    assert "seen: right" in page
    assert "<b>x" not in page
    assert "facing left, &lt;b&gt;x" in page
    assert evaluate("--at-least", 0.3)["falls_short"] is False
    assert evaluate("--at-least", 0.9, code=1)["falls_short"] is True


def test_the_library_says_how_good_the_judge_is_and_what_was_copied(
    tmp_path: Path,
    draw: Any,
    grow: Any,
    project: Path,
    base_folder: Path,
    evaluate: Callable[..., Any],
) -> None:
    frames = {f"{mood}{side}{n}.png": draw(side, mood, n) for n in range(3) for side in ("left", "right", "front")
              for mood in ("happy", "sad")}  # fmt: skip
    grow(tmp_path / "frames", frames)
    sort(tmp_path / "frames", tmp_path / "library", load_job(project / "scheme.toml"))
    before = {path: path.read_bytes() for path in (tmp_path / "library").rglob("*") if path.is_file()}
    for name, size in (("1.png", (20, 16)), ("2.png", (20, 16)), ("copy.png", (40, 32))):
        save(draw("left", "happy", 1, size), tmp_path / "drawn" / name, parameters="happy, facing left")
    save(Image.effect_noise((20, 16), 90), tmp_path / "drawn" / "other.png")
    answer = evaluate("--library", tmp_path / "library")
    like = answer["likeness"]
    assert (like["size"], like["compared"]) == ([20, 16], 18)
    assert {axis: one["ceiling"]["share"] for axis, one in answer["axes"].items()} == {"direction": 1.0, "mood": 1.0}
    assert answer["axes"]["mood"]["ceiling"]["of"] == 18
    copies = {Path(one["path"]).name: one for one in like["copies"]}
    assert "other.png" not in copies
    assert copies["copy.png"]["bits"] == 0
    assert Path(copies["copy.png"]["training"]).is_relative_to(tmp_path / "library" / "happy" / "left")
    assert like["contrast"]["pictures"] == pytest.approx(like["contrast"]["library"], rel=0.5)
    assert {path: path.read_bytes() for path in before} == before
    found = invoke("--pictures", tmp_path / "drawn", "--scheme", project / "scheme.toml", "--library", tmp_path / "no")
    assert found.exit_code == 2
    spoilt = evaluate("--library", tmp_path / "library", "--base", base_folder)  # an autoencoder that knows nothing
    assert spoilt["likeness"]["through_autoencoder"] is True
    assert spoilt["axes"]["direction"]["ceiling"]["of"] == 18
    assert spoilt["axes"]["direction"]["ceiling"]["share"] < 0.9
    found = invoke("--pictures", tmp_path / "drawn", "--scheme", project / "scheme.toml", "--base", base_folder)
    assert found.exit_code == 2
    assert "give --library, too" in found.stderr


def spotted(image: Image.Image, number: int) -> Image.Image:
    """With grey spots, alike on both sides, so that it is no copy of others of its class."""
    chance, image = random.Random(number), image.copy()
    for _ in range(5):
        left, top = chance.randrange(image.width // 2 - 6), chance.randrange(image.height - 6)
        for place in (left, image.width - left - 6):
            image.paste((128, 128, 128), (place, top, place + 6, top + 6))
    return image


def test_a_judge_that_is_weak_on_such_pictures_is_refitted_once(
    tmp_path: Path,
    draw: Any,
    grow: Any,
    project: Path,
    cache: Path,
    evaluate: Callable[..., Any],
) -> None:
    sides, moods = ("left", "right", "front"), ("happy", "sad")
    frames = {
        f"{mood}{side}{n}.png": spotted(draw(side, mood), n) for n in range(6) for side in sides for mood in moods
    }
    grow(tmp_path / "frames", frames)
    sort(tmp_path / "frames", tmp_path / "library", load_job(project / "scheme.toml"))
    through = autoencoder(SAMPLE_BASE)  # its colours are a little off, and these sorters see none but the purest
    for mood in moods:
        for number, side in enumerate(sides):
            picture = Image.fromarray(through(np.asarray(spotted(draw(side, mood), 20 + number))))
            words = {"left": "facing left", "right": "facing right", "front": "facing the viewer"}[side]
            save(picture, tmp_path / "drawn" / f"{mood}{side}.png", parameters=f"mira, {mood}, {words}")
    answer = evaluate("--library", tmp_path / "library", "--base", SAMPLE_BASE)
    weak = [axis for axis, one in answer["axes"].items() if one["refitted"]]
    assert "direction" in weak
    for axis in weak:
        assert answer["axes"][axis]["ceiling"]["share"] >= 0.95
        assert answer["axes"][axis]["ceiling"]["of"] > 24  # each picture, while it was held out
    assert answer["axes"]["direction"]["share"] == 1.0  # also of "right", which the library has turned away
    assert any("refitted on real pictures at 40x32 through the autoencoder" in note for note in answer["notes"])
    judge = answer["judge"]["direction"]
    assert judge["before"]["of"] == judge["now"]["of"]  # the same pictures
    assert judge["before"]["share"] < judge["now"]["share"] == answer["axes"]["direction"]["ceiling"]["share"]
    assert (judge["card"], judge["against_card"], judge["within"]) == (None, None, None)  # a stranger's export has none
    made = {path: path.stat().st_mtime_ns for path in (cache / "judges").rglob("card.toml")}
    assert evaluate("--library", tmp_path / "library", "--base", SAMPLE_BASE) == answer
    assert {path: path.stat().st_mtime_ns for path in (cache / "judges").rglob("card.toml")} == made
    assert not list((cache / "judges").rglob("*.png"))


def test_the_judge_is_laid_beside_its_card(
    tmp_path: Path, draw: Any, grow: Any, project: Path, base_folder: Path, evaluate: Callable[..., Any]
) -> None:
    frames = {f"{side}{n}.png": draw(side, "happy", n) for n in range(4) for side in ("left", "right", "front")}
    grow(tmp_path / "frames", frames)
    scores = "[scores]\naccuracy = {}\naccuracy_both_views = {}\npictures = {}\n"
    (project / "models" / "mood" / "card.toml").write_text(scores.format(0.9, 0.5, 200))
    (project / "models" / "direction" / "card.toml").write_text(scores.format(0.5, 0.96, 200))
    sort(tmp_path / "frames", tmp_path / "library", load_job(project / "scheme.toml"))
    save(draw("left", "happy"), tmp_path / "drawn" / "1.png", parameters="happy, facing left")
    library = ("--library", tmp_path / "library")
    judge = evaluate(*library)["judge"]
    assert {axis: one["card"]["share"] for axis, one in judge.items()} == {"direction": 0.96, "mood": 0.9}
    # Pictures are turned by the direction, so its sorter is asked twice, and its card's share of both views counts.
    assert judge["direction"]["card"]["of"] == 200
    assert judge["direction"]["now"] == {"share": 1.0, "low": pytest.approx(0.7575, abs=1e-4), "high": 1.0, "of": 12}
    # Newcombe 1998, method 10, by hand from the two intervals, 12 of 12 and 192 of 200 (0.9231 to 0.9797):
    # 0.04 - sqrt(0.2425**2 + 0.0197**2), 0.04 + sqrt(0 + 0.0369**2)
    assert judge["direction"]["against_card"] == pytest.approx(
        {"value": 0.04, "low": -0.2033, "high": 0.0769}, abs=2e-4
    )
    assert judge["direction"]["within"] is True
    found = invoke("--pictures", tmp_path / "drawn", "--scheme", project / "scheme.toml", *library)
    (row,) = (line.split("  ") for line in found.stdout.splitlines() if line.startswith("direction  96% of 200"))
    assert [cell.strip() for cell in row if cell] == [
        "direction", "96% of 200", "100% of 12", "-", "+4 (-20 to +8)", "within 5, as far as 12 pictures tell",
    ]  # fmt: skip
    assert "The judge itself</h2>" in (tmp_path / "drawn" / "evaluation.html").read_text(encoding="utf-8")
    spoilt = evaluate(*library, "--base", base_folder)  # an autoencoder that knows nothing, and too few to refit on
    assert spoilt["judge"]["direction"]["within"] is False
    assert any(note.startswith("direction: the judge is weak, right on ") for note in spoilt["notes"])
    assert "what helps a weak judge is more pictures" in spoilt["notes"][-2] + spoilt["notes"][-1]
    for card in ('accuracy = true\npictures = 3', "accuracy = 1.5\npictures = 3", "accuracy = nan\npictures = 3",
                 "accuracy = 1\npictures = 0", "accuracy = 1\npictures = inf", "accuracy = 1"):  # fmt: skip
        (project / "models" / "mood" / "card.toml").write_text(f"[scores]\n{card}\n")
        assert evaluate(*library)["judge"]["mood"]["card"] is None


def test_a_librarys_pictures_are_framed_as_in_a_dataset(tmp_path: Path, draw: Any, grow: Any, project: Path) -> None:
    scheme = project / "scheme.toml"
    with scheme.open("a", encoding="utf-8") as file:
        file.write('[crop]\nuse = "pad"\nsize = 64\nfill = "#808080"\n')
    job = load_job(scheme)
    grow(tmp_path / "frames", {"a.png": draw("right", "happy"), "b.png": draw("left", "sad")})
    sort(tmp_path / "frames", tmp_path / "library", job)
    known = {one.classes["mood"]: one for one in of_library(tmp_path / "library", job)}
    assert {mood: one.classes["direction"] for mood, one in known.items()} == {"happy": "left", "sad": "left"}
    for one in known.values():
        path, picture = at_size(one, (40, 40))
        assert path.is_relative_to(tmp_path / "library")
        assert picture.getpixel((20, 1)) == picture.getpixel((20, 38)) == (128, 128, 128)
        assert picture.getpixel((12, 12)) == (255, 0, 0)


def test_text_on_a_terminal(tmp_path: Path, draw: Any, project: Path) -> None:
    save(draw("left", "happy"), tmp_path / "drawn" / "1.png", parameters="happy, facing left")
    (tmp_path / "drawn" / "broken.png").write_text("no picture")
    found = invoke("--pictures", tmp_path / "drawn", "--scheme", project / "scheme.toml", "--at-least", "0.5")
    assert found.exit_code == 1
    assert "1 of 2 pictures judged (prompts: 1 A1111)" in found.stdout
    assert "direction  100% (21 to 100)  1   100%" in found.stdout
    assert "falls short: the mean may be as low as 0.207, below --at-least 0.5" in found.stdout
    assert "the pictures are 40x32" not in found.stdout


def test_bad_input_is_one_sentence(tmp_path: Path, draw: Any, project: Path) -> None:
    folder, scheme = tmp_path / "drawn", project / "scheme.toml"

    def said(*arguments: object) -> str:
        found = invoke(*arguments)
        assert found.exit_code == 2
        assert found.stderr.count("\n") == 1
        assert found.stderr.startswith("trainer: ")
        return found.stderr

    assert "does not exist" in said("--pictures", folder, "--scheme", scheme)
    folder.mkdir()
    assert "holds no pictures" in said("--pictures", folder, "--scheme", scheme)
    save(draw(), folder / "1.png")
    assert "none of its 1 pictures has a prompt" in said("--pictures", folder, "--scheme", scheme)
    assert "no such file" in said("--pictures", folder, "--scheme", tmp_path / "none.toml")
    save(draw(), folder / "1.png", parameters="a cat \x1b[31m")
    lacking = said("--pictures", folder, "--scheme", scheme)
    assert "no prompt names one class" in lacking
    assert '"facing left"' in lacking
    assert "\x1b" not in lacking
    save(draw(), folder / "1.png")
    (folder / "1.txt").write_bytes(b"\xff\xfe\xff")
    assert "its prompt, 1.txt, is not UTF-8" in said("--pictures", folder, "--scheme", scheme)
    (folder / "1.txt").write_text("happy", encoding="utf-8")
    to = tmp_path / "page" / "x.html"
    to.parent.write_text("a file where the folder should be")
    assert "x.html" in said("--pictures", folder, "--scheme", scheme, "--to", to)


def test_a_strangers_graph_ends() -> None:
    loop = graph("happy")
    loop["6"]["inputs"]["conditioning"] = ["10", 0]
    assert positive(json.dumps(loop)) == "happy"
    for hostile in ("[" * 100_000, "{}", "[]", "null", '{"1": 3}', '{"nodes": 3}', '{"nodes": [{"inputs": 3}, 4]}',
                    '{"3": {"inputs": {"positive": [["a"], 0], "latent_image": [{}, 0]}}}', "no json"):  # fmt: skip
        assert positive(hostile) == ""
    many = {str(n): {"inputs": {"conditioning": [str(n + 1), 0]}} for n in range(50_000)}
    many["s"] = {"inputs": {"positive": ["0", 0], "latent_image": ["1", 0]}}
    assert positive(json.dumps(many)) == ""


def test_a_guider_and_several_texts_are_followed() -> None:
    flux = {
        "1": {"inputs": {"guider": ["2", 0], "latent_image": ["9", 0], "noise": ["8", 0], "sampler": ["7", 0]}},
        "2": {"inputs": {"conditioning": ["3", 0], "model": ["6", 0]}},
        "3": {"inputs": {"guidance": 3.5, "conditioning": ["4", 0]}},
        "4": {"inputs": {"clip_l": "mira", "t5xxl": "mira is happy", "guidance": 3.5, "clip": ["5", 0]}},
        "5": {"inputs": {"clip_name1": "sad.safetensors"}},
    }
    assert positive(json.dumps(flux)) == "mira, mira is happy"


def test_of_tags_that_overlap_the_longest_counts(project: Path) -> None:
    scheme = project / "scheme.toml"
    text = scheme.read_text(encoding="utf-8").replace("threshold = 0.8", "threshold = 0.8\n[axes.mood.classes]\n"
        'happy = { tag = "happy, a girl" }\nsad = { tag = "very happy (ironic), a girl" }\n'
        '[vocabulary.groups]\nclothes = ["happy meal shirt"]\n[vocabulary.aliases]\ncheerful = "happy"')  # fmt: skip
    scheme.write_text(text, encoding="utf-8")
    job = load_job(scheme)
    reader = Reader(job.scheme, job.questions.labels())

    def asked(prompt: str) -> dict[str, str]:
        return dict(reader.asked(prompt).classes)

    assert asked("a girl, Happy") == {"mood": "happy"}
    assert asked("very happy \\(ironic\\)") == asked("(very happy (ironic):1.1)") == {"mood": "sad"}
    assert asked("a happy_girl facing left") == {"mood": "happy", "direction": "left"}
    assert asked("happy meal shirt") == asked("a girl") == asked("") == asked("unhappy") == {}
    assert asked("cheerful") == {"mood": "happy"}
    assert reader.asked("facing left, facing right").several == ("direction",)


def test_the_syntax_of_prompts_is_taken_out() -> None:
    found = [" ".join(words_of(part)) for part in plain("(a_b:1.3), [c|d], <lora:x:1> e AND f :1.2, {g|h}").split(",")]
    assert [part for part in found if part] == ["a b", "c", "d", "e", "f", "g", "h"]
    assert len(plain("<" * 20_000 + "[" * 20_000 + ":1" * 10_000)) > 0


def test_the_mean_is_never_surer_than_its_axes() -> None:
    made = mean([Share(80, 100), Share(50, 100), Share(0, 0)])
    assert (made.value, made.of) == (pytest.approx(0.65), pytest.approx(100))
    assert mean([Share(10, 10), Share(1000, 1000)]).of < 20
    assert Share(0, 0).interval == (0.0, 1.0)


def test_strong_contrast_and_colour_are_said() -> None:
    made = Likeness(None, [], 9, contrast=(0.2, 0.19), saturation=(0.6, 0.4), spread=20)
    assert made.strong() == ["the pictures have 1.5 times the saturation of real ones"]
