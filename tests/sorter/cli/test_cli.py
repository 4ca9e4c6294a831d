from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sorter
from sorter.cli import sorter as commands
from sorter.commands.init import starter
from sorter.commands.job import load_job
from sorter.scheme import load_scheme

ROOT = Path(sorter.__file__).parent.parent
HEAVY = {"tensorflow", "tf_keras", "torch", "pydantic", "PIL", "numpy", "h5py", "rich", "sqlite3", "watchdog"}


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from sorter.cli import sorter as cli; cli(['--help'], standalone_mode=False);"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.splitlines()[-1] == "[]"
    assert "undo" in found.stdout


def test_python_m_sorter_is_the_command() -> None:
    found = subprocess.run([sys.executable, "-m", "sorter", "check", "--scheme", "nowhere.toml"], capture_output=True,
                           text=True, check=False, cwd=ROOT)  # fmt: skip
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("sorter: nowhere.toml: there is no such file")


def test_every_command_has_help_and_json() -> None:
    assert len(commands.commands) >= 13
    for name, command in commands.commands.items():
        assert command.help and command.help.splitlines()[0].endswith("."), name
        options = [option for parameter in command.params for option in parameter.opts]
        assert ("--json" in options) == (name != "review"), name  # which prints an address, and serves


def test_every_command_prints_one_json_object_and_nothing_else(
    project: Path, frames: Path, tmp_path: Path, run_cli: Callable[..., Any]
) -> None:
    library, scheme = tmp_path / "library", ("--scheme", project / "scheme.toml")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "models").symlink_to(project / "models")
    calls = [
        (0, "frames", tmp_path / "new", "--to", tmp_path / "stills"),
        (0, "init", tmp_path / "new"),
        (0, "check", *scheme),
        (1, "check", "--on", frames, *scheme),
        (1, "scan", frames, "--to", library),
        (0, "classify", library, *scheme),
        (0, "plan", library, *scheme),
        (0, "apply", library, *scheme),
        (1, "sort", frames, "--to", library, *scheme),
        (1, "sort", frames, "--to", library, "--dry-run", *scheme),
        (0, "choose", library, "--axis", "mood", "--models", project / "models" / "mood"),
        (0, "status", library, *scheme),
        (0, "captions", library, *scheme),
        (0, "prune", library, "happy", "--dry-run", *scheme),
        (0, "duplicates", library, *scheme),
        (0, "report", library, "--to", tmp_path / "report.html", *scheme),
        (0, "coverage", library, *scheme),
        (0, "crops", library, "--to", tmp_path / "crops.html", *scheme),
        (0, "overlays", library, "--bars"),
        (0, "export", library, "--to", tmp_path / "dataset", *scheme),
        (0, "doctor", tmp_path / "dataset", "--for", "diffusers"),
        (0, "rescan", library, "--from", frames, *scheme),
        (0, "undo", library),
        (0, "list"),
    ]
    for expected, *arguments in calls:
        code, out, err = run_cli(*arguments, "--json")
        assert code == expected, (arguments, err)
        assert isinstance(json.loads(out), dict), arguments
        assert out.count("\n") == 1 and err == "", arguments
        assert run_cli(*arguments, "--help")[0] == 0
    assert {name for _, name, *_ in calls} == set(commands.commands) - {
        "fit",
        "watch",
        "review",
    }  # those have tests of their own


def test_json_of_a_sort_holds_the_whole_report(project: Path, frames: Path, tmp_path: Path, run_cli: Any) -> None:
    arguments = ("sort", frames, "--to", tmp_path / "library", "--scheme", project / "scheme.toml", "--json")
    found = json.loads(run_cli(*arguments)[1])
    assert found["counts"]["pictures placed"] == 5
    assert found["folders"]["happy/left"] == 2
    assert found["doubts"] == {"mood": 1}
    assert found["unwanted"] == {"direction: nobody": 1}
    assert [(Path(one["path"]).name, one["reason"]) for one in found["failures"]][0] == (
        "empty.png", "the file is empty",
    )  # fmt: skip
    assert found["run"] == 1


def test_a_sort_tells_a_person_what_was_done(project: Path, frames: Path, tmp_path: Path, run_cli: Any) -> None:
    arguments = ("sort", frames, "--to", tmp_path / "library", "--scheme", project / "scheme.toml")
    code, out, err = run_cli(*arguments, "--dry-run")
    assert code == 1 and out.startswith("would take 10 steps; nothing was changed\n")
    code, out, err = run_cli(*arguments)
    assert (code, err) == (1, "")
    for said in ("5 pictures placed", "left out: 1 direction: nobody", "in doubt: 1 mood", "2 failed:",
                 "1 x the file is empty", "empty.png"):  # fmt: skip
        assert said in out
    (frames / "empty.png").unlink()
    (frames / "zoo" / "text.png").unlink()
    assert run_cli(*arguments)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "--scheme", "gone.toml"), "gone.toml: there is no such file"),
        (("sort", "gone", "--to", "library"), "gone: does not exist; give the folder that holds the pictures"),
        (("check", "--on", "gone"), "gone: does not exist; give the folder that holds the pictures"),
        (("check", "--on", "models"), "models: holds no pictures; give a folder of the pictures that are to be sorted"),
        (("undo", "nowhere"), "nowhere: is not a library"),
        (("plan", "nowhere"), "nowhere: is not a library"),
        (("fit", "gone", "--to", "models/x"), "gone: does not exist; give the folder that holds one folder a class"),
        (("fit", "models", "--to", "x", "--error", "2"), "sorter fit"),
        (("init", "."), "is there already, and is yours"),
        (("export", "nowhere", "--to", "x", "--crop", "center"), 'did you mean "centre"'),
        (("watch", "gone", "--to", "library"), "gone: is not a folder"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str, tree_of: Any
) -> None:
    monkeypatch.chdir(project)
    before = tree_of(project, hidden=True)
    code, out, err = run_cli(*arguments)
    err = err.removeprefix("watching gone; Ctrl-C ends it\n")
    assert (code, out) == (2, "")
    assert err.startswith("sorter: ") and said in err and err.count("\n") == 1
    code, out, err = run_cli(*arguments, "--json")
    assert code == 2 and said in json.loads(out)["error"]
    assert tree_of(project, hidden=True) == before


def test_wrong_arguments_are_exit_code_2(run_cli: Any) -> None:
    for arguments in (("sort",), ("srot",), ("sort", "a", "--to", "b", "--fast"), ("undo", "library", "last")):
        code, out, err = run_cli(*arguments)
        assert (code, out) == (2, "") and "Error:" in err


def test_what_is_a_bug_keeps_its_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sorter.cli import main
    from sorter.commands import job

    monkeypatch.setattr(job, "load_job", lambda *_: 1 / 0)
    monkeypatch.setattr(sys, "argv", ["sorter", "check"])
    with pytest.raises(ZeroDivisionError):
        main()


# --- init and check


def test_init_writes_a_scheme_that_is_in_order(project: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    (project / "scheme.toml").unlink()
    (project / "models" / "mood.txt").write_text("a note beside the folder of the same name")
    (project / "models" / "broken").mkdir()
    code, _, err = run_cli("init")
    assert code == 0 and "passed over: " in err and "broken" in err
    assert run_cli("check")[0] == 0
    scheme = load_scheme(project / "scheme.toml")
    assert list(scheme.axes) == ["direction", "mood"]
    assert scheme.axes["direction"].canonical == "left"
    assert scheme.folders == "{direction}/{mood}"
    assert scheme.caption.options()["text"] == "{trigger}, {direction}, {mood}"


def test_check_says_what_each_axis_does(project: Path, run_cli: Any) -> None:
    code, out, _ = run_cli("check", "--scheme", project / "scheme.toml")
    assert code == 0
    for said in ("direction: left, right, front, nobody", "shares its backbone pass with mood",
                 '"right" is turned to "left"', '"nobody" is left out of the library'):  # fmt: skip
        assert said in out


AUTO = """\
[thresholds]
error = 0.02
coverage = 0.93
[thresholds.classes]
happy = 0.97
sad = 0
"""


@pytest.fixture
def automatic(project: Path) -> Path:
    """A project whose mood axis takes its thresholds from its sorter's card."""
    path = project / "scheme.toml"
    path.write_text(path.read_text().replace("threshold = 0.8", 'threshold = "auto"'))
    return project


def test_automatic_thresholds_are_those_of_the_card(automatic: Path) -> None:
    (automatic / "models" / "mood" / "card.toml").write_text(AUTO)
    assert load_job(automatic / "scheme.toml").thresholds == {"mood": {"happy": 0.97, "sad": 0.0}}


def test_automatic_thresholds_of_a_fitted_measure_are_those_of_its_card(automatic: Path) -> None:
    folder = automatic / "models" / "mood"
    shutil.rmtree(folder)
    folder.mkdir()
    measure = '[measure]\nuse = "sharpness"\nclasses = ["sad", "happy"]\n'
    (folder / "card.toml").write_text(measure + AUTO)
    assert load_job(automatic / "scheme.toml").thresholds == {"mood": {"sad": 0.0, "happy": 0.97}}


@pytest.mark.parametrize(
    ("card", "said"),
    [
        (None, "card.toml has no [thresholds.classes]"),
        ("threshold = 0.7\n", "card.toml has no [thresholds.classes]"),
        ("thresholds = 0.7\n", "card.toml has no [thresholds.classes]"),
        ("[thresholds]\nclasses = 0.7\n", "card.toml has no [thresholds.classes]"),
        ("[thresholds.classes]\nhappy = 0.7\n", 'card.toml has no threshold for "sad"'),
        *(
            (
                f"[thresholds.classes]\nhappy = {value}\nsad = 0.5\n",
                f'says {shown!r} for "happy", which is no number from 0 to 1',
            )
            for value, shown in [("1.5", "1.5"), ("-0.1", "-0.1"), ("nan", "nan"), ("inf", "inf"), ("true", "True"),
                                 ('"0.7"', "0.7"), ("[1]", "[1]")]
        ),
    ],
)  # fmt: skip
def test_automatic_thresholds_that_are_missing_or_wrong_are_a_sentence(
    automatic: Path, run_cli: Any, card: str | None, said: str
) -> None:
    if card is not None:
        (automatic / "models" / "mood" / "card.toml").write_text(card)
    code, out, err = run_cli("check", "--scheme", automatic / "scheme.toml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith('sorter: [axes.mood] threshold = "auto": ') and said in err
    assert err.endswith("; fit it again, or write a number\n")


def test_the_built_in_measure_has_no_automatic_threshold(automatic: Path, run_cli: Any) -> None:
    text = (
        (automatic / "scheme.toml")
        .read_text()
        .replace('threshold = "auto"', 'threshold = "auto"\nmeasure = "sharpness"')
    )
    (automatic / "scheme.toml").write_text(text)
    code, _, err = run_cli("check", "--scheme", automatic / "scheme.toml")
    assert code == 2
    assert err == (
        'sorter: [axes.mood] threshold = "auto": the built-in measure has no [thresholds.classes]; fit it again, '
        "or write a number\n"
    )


@pytest.mark.parametrize("axis", ["pose", "caption", "trigger", "library", "포즈", "class", "2 poses"])
@pytest.mark.parametrize(
    "labels", [("left", "right"), ('a"b\\c', "x\ty", "{z}"), ("..", "con", "😀"), ("blurry", "sharp")]
)
def test_a_starter_loads_whatever_the_names(tmp_path: Path, axis: str, labels: tuple[str, ...]) -> None:
    from sorter.commands.init import _axis_name

    name = _axis_name(tmp_path / axis)
    path = tmp_path / "scheme.toml"
    path.write_text(starter('my "films" \\ 한국', {name: labels}, {name: axis}), encoding="utf-8")
    tomllib.loads(path.read_text(encoding="utf-8"))
    scheme = load_scheme(path)
    assert set(scheme.axes[name].classes) == set(labels)
    assert scheme.axes[name].model == str(tmp_path / "models" / axis)


def test_the_report_is_one_page_with_everything_in_it(
    project: Path, frames: Path, tmp_path: Path, run_cli: Any
) -> None:
    scheme = ("--scheme", project / "scheme.toml")
    (frames / "<script>.png").write_bytes(b"")
    run_cli("sort", frames, "--to", tmp_path / "library", *scheme)
    assert run_cli("report", tmp_path / "library", *scheme)[0] == 0
    text = (tmp_path / "library-report.html").read_text(encoding="utf-8")
    # Those certain of their direction, and of their mood; two turned, before and after; one in doubt; one left out.
    assert text.count("data:image/") == 5 + 4 + 2 * 2 + 1 + 1
    for said in ("happy/left", "the file is empty", "direction: nobody", "&lt;script&gt;.png"):
        assert said in text
    assert "<script" not in text and "http" not in text
