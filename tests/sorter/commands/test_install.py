"""`sorter watch --install`, on each system."""

from __future__ import annotations

import json
import plistlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sorter.commands import install as module
from sorter.commands.export import export
from sorter.commands.install import Installed, daemon, install
from sorter.commands.job import Job
from sorter.commands.sort import sort
from sorter.errors import LibraryError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's home folder, and a systemd that is there."""
    made = tmp_path / "home & garden"
    made.mkdir()
    monkeypatch.setattr(Path, "home", lambda: made)
    monkeypatch.setenv("APPDATA", str(made / "AppData"))
    monkeypatch.setenv("USERDOMAIN", "PC")
    monkeypatch.setenv("USERNAME", "mira")
    monkeypatch.setenv("LOGNAME", "mira")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    return made


@pytest.fixture
def schtasks(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was asked of Windows' schtasks, which does as it is told."""
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", run)
    return asked


def install_on(system: str, frames: Path, library: Path, **options: Any) -> Installed:
    return install(daemon(frames, library, frames.parent / "project" / "scheme.toml", **options), system)


def test_on_linux(frames: Path, library: Path, home: Path) -> None:
    done = install_on("linux", frames, library, take=True, still=2.5)
    text = done.path.read_text()
    assert done.path.parent == home / ".config" / "systemd" / "user"
    assert done.path.name.startswith("modelsheet-library-")
    (link,) = (done.path.parent / "default.target.wants").iterdir()
    assert link.resolve() == done.path.resolve()
    for part in (f'"watch" "{frames}" "--to" "{library}"', '"--still" "2.5" "--take"', '"-m" "sorter"'):
        assert part in text
    assert done.path.name in done.start and f"rm '{done.path}'" in done.remove
    assert not library.exists()
    assert install_on("linux", frames, library).path == done.path  # once more, with other options
    assert "--take" not in done.path.read_text()


def test_the_folder_that_a_person_has_chosen_for_settings(
    frames: Path, library: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "settings"))
    assert install_on("linux", frames, library).path.parent == home / "settings" / "systemd" / "user"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # which is to be ignored (XDG base directories)
    assert install_on("linux", frames, library).path.parent == home / ".config" / "systemd" / "user"


def test_two_libraries_of_one_name_have_two_daemons(frames: Path, tmp_path: Path) -> None:
    first, second = (install_on("linux", frames, tmp_path / one / "library") for one in "ab")
    assert first.path != second.path and first.path.exists()


def test_on_macos(frames: Path, library: Path, home: Path) -> None:
    done = install_on("darwin", frames, library)
    found = plistlib.loads(done.path.read_bytes())
    assert done.path == home / "Library" / "LaunchAgents" / f"{found['Label']}.plist"
    assert str(frames) in found["ProgramArguments"]
    assert "launchctl bootstrap" in done.start and "launchctl bootout" in done.remove


def test_on_windows(frames: Path, library: Path, home: Path, schtasks: list[list[str]]) -> None:
    for is_again in (False, True):
        done = install_on("win32", frames, library)
        assert done.path.parent == home / "AppData" / "Modelsheet"
        assert schtasks[-1][1:4:2] == ["/Create", schtasks[-1][3]] and ("/F" in schtasks[-1]) == is_again
        assert str(done.path) in schtasks[-1]
    assert "PC\\" in done.path.read_text("utf-16")
    assert schtasks[-1][3] in done.start and schtasks[-1][3] in done.remove


def test_a_task_that_windows_refuses_is_a_sentence_and_leaves_nothing(
    frames: Path, library: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = lambda command, **_: subprocess.CompletedProcess(command, 1, "", "ERROR: Access is denied.\n")  # noqa: E731
    monkeypatch.setattr(module.subprocess, "run", refuse)
    with pytest.raises(LibraryError, match=r"Windows refuses the task: ERROR: Access is denied\.; ask"):
        install_on("win32", frames, library)
    assert not [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_what_is_not_ours_stays(frames: Path, library: Path, schtasks: list[list[str]], system: str) -> None:
    path = install_on(system, frames, library).path
    schtasks.clear()
    path.write_text("mine")
    with pytest.raises(LibraryError, match="was not written by sorter watch, so it stays"):
        install_on(system, frames, library)
    assert (path.read_text(), schtasks) == ("mine", [])


def test_a_system_without_systemd_is_told_what_to_start(
    frames: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(LibraryError, match="has no systemd.* -m sorter watch "):
        install_on("linux", frames, library)


def test_a_folder_that_cannot_be_written_is_a_sentence(frames: Path, library: Path, home: Path) -> None:
    (home / ".config").write_text("a file")
    with pytest.raises(LibraryError, match="cannot be written"):
        install_on("linux", frames, library)


def test_what_would_be_refused_is_refused_before_anything_is_written(
    frames: Path, tmp_path: Path, project: Path, home: Path, job: Job, run_cli: Any
) -> None:
    library, dataset = tmp_path / "library", tmp_path / "dataset"
    sort(frames, library, job)
    export(library, dataset, job)
    scheme = ("--scheme", project / "scheme.toml")
    for arguments, said in (
        ((frames, "--to", library, "--scheme", "gone.toml"), "gone.toml: there is no such file"),
        ((tmp_path / "gone", "--to", library, *scheme), "is not a folder"),
        ((library / "happy", "--to", library, *scheme), "lies in the library"),
        ((frames, "--to", dataset, *scheme), "is an exported dataset"),
    ):
        code, out, err = run_cli("watch", *arguments, "--install")
        assert (code, out) == (2, "") and said in err
    assert list(home.iterdir()) == []


def test_the_command_says_what_it_wrote(
    frames: Path, project: Path, tmp_path: Path, run_cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.chdir(tmp_path)
    arguments = ("watch", "frames", "--to", "library", "--scheme", "project/scheme.toml", "--install")
    code, out, err = run_cli(*arguments)
    assert (code, err) == (0, "")
    assert [line.split(": ")[0] for line in out.splitlines()[1:]] == ["start", "status", "log", "remove"]
    found = json.loads(run_cli(*arguments, "--json")[1])
    assert f'"{tmp_path / "project" / "scheme.toml"}"' in Path(found["written"]).read_text()
