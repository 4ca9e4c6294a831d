"""What goes wrong in the first minutes, tried as a person would: each a sentence, or no trouble at all."""

from __future__ import annotations

import bz2
import io
import resource
import shutil
import subprocess
import sys
import tomllib
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFilter

from sorter.networks.labels import parse_labels
from tests.sorter.tiny_networks import save_tagger


@pytest.fixture
def blurs(tmp_path: Path, draw: Any, grow: Any) -> Any:
    """Writes class folders of these names: the first with sharp pictures, the second with blurred ones."""

    def make(sharp: str = "sharp", blurry: str = "blurry") -> Path:
        pictures = [draw("left", "sad", number, (96, 96)) for number in range(12)]
        return grow(tmp_path / "ex", {
            sharp: {f"{n}.png": one for n, one in enumerate(pictures)},
            blurry: {f"{n}.png": one.filter(ImageFilter.GaussianBlur(3)) for n, one in enumerate(pictures)},
        })  # fmt: skip

    return make


def starter(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "scheme.toml").read_text(encoding="utf-8"))


def test_init_writes_the_thresholds_that_a_fit_found_safe(blurs: Any, tmp_path: Path, run_cli: Any) -> None:
    assert run_cli("fit", blurs(), "--to", tmp_path / "models" / "blur", "--measure", "sharpness")[0] == 0
    assert run_cli("init", tmp_path)[0] == 0
    assert starter(tmp_path)["axes"]["blur"]["threshold"] == "auto"
    assert run_cli("check", "--scheme", tmp_path / "scheme.toml")[0] == 0


def test_init_writes_a_number_for_a_strangers_export(exports: Path, tmp_path: Path, run_cli: Any) -> None:
    shutil.copytree(exports / "mood", tmp_path / "models" / "mood")
    assert run_cli("init", tmp_path)[0] == 0
    assert starter(tmp_path)["axes"]["mood"]["threshold"] == 0.5


def test_init_asks_a_tagger_that_lies_beside_the_sorters(exports: Path, tmp_path: Path, run_cli: Any) -> None:
    shutil.copytree(exports / "mood", tmp_path / "models" / "mood")
    save_tagger(tmp_path / "models" / "wd-vit-tagger-v3")
    save_tagger(tmp_path / "models" / "another")
    code, _, err = run_cli("init", tmp_path)
    assert code == 0 and "passed over" not in err, err
    scheme = starter(tmp_path)
    assert scheme["ask"]["tags"] == {"use": "tagger", "model": "models/another"}
    assert scheme["ask"]["wd_vit_tagger_v3"] == {"use": "tagger", "model": "models/wd-vit-tagger-v3"}
    assert scheme["caption"]["text"] == "{trigger}, {mood}, {tags}, {wd_vit_tagger_v3}"
    assert run_cli("check", "--scheme", tmp_path / "scheme.toml")[0] == 0


def test_init_says_why_nothing_can_be_used(exports: Path, tmp_path: Path, run_cli: Any) -> None:
    for name in ("mood", "direction"):
        shutil.copytree(exports / name, tmp_path / "models" / name)
    (tmp_path / "models" / "mood" / "labels.txt").unlink()
    (tmp_path / "models" / "direction" / "keras_model.h5").write_bytes(b"")
    code, _, err = run_cli("init", tmp_path)
    assert code == 2 and "mood: has no labels.txt" in err and "keras_model.h5: is empty" in err


def test_init_takes_one_of_a_folder_and_a_zip_of_one_name_and_says_so(
    exports: Path, tmp_path: Path, run_cli: Any
) -> None:
    shutil.copytree(exports / "mood", tmp_path / "models" / "mood")
    shutil.make_archive(str(tmp_path / "models" / "mood"), "zip", exports / "mood")
    code, _, err = run_cli("init", tmp_path)
    assert code == 0 and "mood.zip" in err and "is taken for mood already" in err


def test_kohyas_repeats_are_no_words(blurs: Any, tmp_path: Path, run_cli: Any) -> None:
    folder = blurs("10_sharp", "5_blurry")
    assert run_cli("fit", folder, "--to", tmp_path / "models" / "blur", "--measure", "sharpness")[0] == 0
    run_cli("init", tmp_path)
    assert set(starter(tmp_path)["axes"]["blur"]["classes"]) == {"sharp", "blurry"}


def test_a_systems_folders_are_no_classes(blurs: Any, tmp_path: Path, run_cli: Any) -> None:
    folder = blurs()
    for name in ("@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX/sharp", "System Volume Information", "sharp/@eaDir"):
        (folder / name).mkdir(parents=True)
        shutil.copy(folder / "sharp" / "0.png", folder / name / "thumb.png")
    code, out, _ = run_cli("fit", folder, "--to", tmp_path / "blur", "--measure", "sharpness", "--json")
    assert code == 0 and '"pictures": {"blurry": 12, "sharp": 12}' in out


def test_all_pictures_in_two_classes_are_named_at_once(blurs: Any, tmp_path: Path, run_cli: Any) -> None:
    folder = blurs()
    for number in range(4):
        shutil.copy(folder / "sharp" / f"{number}.png", folder / "blurry" / f"double{number}.png")
    code, _, err = run_cli("fit", folder, "--to", tmp_path / "blur", "--measure", "sharpness")
    assert code == 2 and all(f"double{number}.png" in err for number in range(4)) and err.count("\n") == 1


NUMBERED = (
    "0: red\n1: green\n2: blue\n",
    "0,red\n1,green\n2,blue\n",
    "0. red\r\n1. green\r\n2. blue\r\n",
    "0) red\n1) green\n2) blue",
    "1 red\n2 green\n3 blue\n",
    '"0 red"\n"1 green"\n"2 blue"\n',
    '"red"\n"green"\n"blue"\n',
    "2 blue\n0 red\n1 green\n",
    "\ufeffred\n\ngreen\nblue",
)
WORDS = (("1 girl", "2 girls", "nobody"), ("10 o'clock", "11 o'clock"), ("2.5 cm", "3.5 cm"), ("16:9", "4:3"))


@pytest.mark.parametrize("text", NUMBERED)
def test_every_kind_of_numbering_gives_the_names(text: str) -> None:
    assert parse_labels(text, "labels.txt") == ("red", "green", "blue")


@pytest.mark.parametrize("names", WORDS)
def test_names_that_begin_with_a_number_stay(names: tuple[str, ...]) -> None:
    assert parse_labels("\n".join(names), "labels.txt") == names


def test_a_name_that_a_mac_wrote_is_the_one_that_a_person_types(
    exports: Path, tmp_path: Path, run_cli: Any, frames: Path
) -> None:
    shutil.copytree(exports / "mood", tmp_path / "models" / "mood")
    decomposed = unicodedata.normalize("NFD", "café")
    (tmp_path / "models" / "mood" / "labels.txt").write_text(f"0 {decomposed}\n1 sad\n", encoding="utf-8")
    scheme = tmp_path / "scheme.toml"
    scheme.write_text('folders = "{mood}"\n[axes.mood.classes]\n"café" = { tag = "café" }\n', encoding="utf-8")
    assert run_cli("check", "--scheme", scheme)[0] == 0
    assert run_cli("sort", frames, "--to", tmp_path / "lib", "--scheme", scheme)[0] == 1  # two files are no pictures
    assert (tmp_path / "lib" / "café").is_dir()


@pytest.mark.parametrize("path", [r"models\test", r"models\colour", r"C:\Users\me\models\colour", r"models\new"])
def test_a_windows_path_in_double_quotes_gets_advice(tmp_path: Path, run_cli: Any, path: str) -> None:
    scheme = tmp_path / "scheme.toml"
    scheme.write_text(f'folders = "{{mood}}"\n[axes.mood]\nmodel = "{path}"\n')
    code, _, err = run_cli("check", "--scheme", scheme)
    assert code == 2 and "backslash" in err and err.count("\n") == 1


@pytest.mark.parametrize("folders", ["con/{mood}", "{mood}/nul", "aux.txt/{mood}", "COM1/{mood}"])
def test_folders_that_windows_keeps_for_itself_are_refused(tmp_path: Path, run_cli: Any, folders: str) -> None:
    scheme = tmp_path / "scheme.toml"
    scheme.write_text(f'folders = "{folders}"\n[axes.mood]\n')
    code, _, err = run_cli("check", "--scheme", scheme)
    assert code == 2 and "is not a plain folder" in err


def lying_zip(method: int) -> bytes:
    """A zip of a few kilobytes that says of its member that it has 1,000 bytes, and holds 1.5 GB."""
    packer = bz2.BZ2Compressor(9)
    data = b"".join(packer.compress(bytes(50 << 20)) for _ in range(30)) + packer.flush() if method == 12 else b""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if method == 12 else zipfile.ZIP_DEFLATED) as file:
        if method == 12:
            file.writestr("keras_model.h5", data)
        else:
            with file.open("keras_model.h5", "w") as member:
                for _ in range(30):
                    member.write(bytes(50 << 20))
        file.writestr("labels.txt", "a\nb\n")
    raw = bytearray(out.getvalue())
    central = raw.find(b"PK\x01\x02")
    if method == 12:
        for place in (8, central + 10):
            raw[place : place + 2] = (12).to_bytes(2, "little")
    raw[central + 24 : central + 28] = (1000).to_bytes(4, "little")
    return bytes(raw)


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured as POSIX has it")
@pytest.mark.parametrize("method", [8, 12])
def test_a_zip_that_lies_about_its_sizes_costs_little(tmp_path: Path, method: int) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.zip").write_bytes(lying_zip(method))
    (tmp_path / "scheme.toml").write_text('folders = "{m}"\n[axes.m]\nmodel = "m"\n')
    program = (
        "import resource, sys; from sorter.cli import main\n"
        "sys.argv = ['sorter', 'check', '--scheme', sys.argv[1]]\n"
        "try: main()\nfinally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "scheme.toml")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2 and "keras_model.h5" in run.stderr and run.stderr.count("\n") == 1
    most = int(run.stdout.split()[-1]) * (1 if sys.platform == "darwin" else 1024)
    assert most < max(800e6, 1.2 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
