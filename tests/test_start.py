"""start.sh, start.bat and what they call, with a uv that only notes what it is asked: the real one fetches 5 GB."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = "it's (a) $HOME & more! 50%"
UV = f"""\
#!/bin/sh
echo "$@" >> "$UV_LOG"
case $1 in
    venv) for last; do :; done; exec "{sys.executable}" -m venv --without-pip "$last" ;;
    pip) exit "${{UV_FAILS:-0}}" ;;
esac
"""
SORTER = "import os, sys; print('sorter', sys.argv[1:], os.getcwd(), sys.flags.utf8_mode)"

posix = pytest.mark.skipif(os.name == "nt", reason="a script for other systems")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The project as a person has unpacked it, with a stand-in for the command."""
    folder = tmp_path / HOSTILE / "modelsheet"
    (folder / ".ci").mkdir(parents=True)
    for name in ("start.sh", "start.command", ".ci/start.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "sorter").mkdir()
    (folder / "sorter" / "__main__.py").write_text(SORTER)
    return folder


@pytest.fixture
def start(unpacked: Path, tmp_path: Path) -> Any:
    """Runs start.sh with that uv: (exit code, standard output, standard error)."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(UV)
    (tmp_path / "bin" / "uv").chmod(0o755)

    def run(*arguments: str, script: str = "start.sh", typed: str = "", **more: str) -> tuple[int, str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PYTHON"))}
        environment = kept | {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "UV_LOG": str(tmp_path / "log")}
        found = subprocess.run(
            [str(unpacked.parent / unpacked.name / script), *arguments], input=typed, cwd=tmp_path, encoding="utf-8",
            capture_output=True, check=False, env=environment | {"PYTHONPATH": str(unpacked)} | more,
        )  # fmt: skip
        return found.returncode, found.stdout, found.stderr

    return run


def asked(tmp_path: Path) -> list[str]:
    """What uv was asked so far."""
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


@posix
@pytest.mark.parametrize("script", ["start.sh", "start.command"])
def test_a_folder_that_is_given_is_opened(start: Any, tmp_path: Path, script: str) -> None:
    frames = tmp_path / HOSTILE / "frames of mine"
    frames.mkdir()
    code, out, err = start(f"{HOSTILE}/frames of mine", script=script)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"sorter {['review', str(frames)]} {frames.parent} 1"
    venv, install = asked(tmp_path)
    assert venv.startswith("venv --quiet --python 3.12 ")
    assert "--torch-backend=auto" in install and install.endswith("modelsheet[all]")


@posix
def test_what_is_installed_is_not_installed_again(start: Any, tmp_path: Path, unpacked: Path) -> None:
    for _ in range(2):
        assert start(str(tmp_path))[0] == 0
    assert len(asked(tmp_path)) == 2
    pins = (unpacked / ".venv" / "constraints.txt").read_text().splitlines()
    assert not [pin for pin in pins if pin.startswith("torch==")] and "click==8.5.1" in pins
    with (unpacked / "pyproject.toml").open("a") as file:
        file.write("# a newer version\n")
    assert start(str(tmp_path))[0] == 0
    assert [line.split()[0] for line in asked(tmp_path)] == ["venv", "pip", "pip"]


@posix
def test_a_folder_that_was_moved_is_set_up_again(start: Any, tmp_path: Path, unpacked: Path) -> None:
    assert start(str(tmp_path))[0] == 0
    (unpacked / ".venv" / "bin" / "python").unlink()
    (unpacked / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    assert start(str(tmp_path))[0] == 0
    assert [line.split()[0] for line in asked(tmp_path)] == ["venv", "pip", "venv", "pip"]


@posix
def test_a_build_of_torch_can_be_chosen(start: Any, tmp_path: Path) -> None:
    start(str(tmp_path), UV_TORCH_BACKEND="cpu")
    start(str(tmp_path), UV_TORCH_BACKEND="")
    assert [re.findall(r"--torch-backend=\w+", line) for line in asked(tmp_path)[1:]] == [["--torch-backend=cpu"], []]


@posix
def test_a_folder_is_asked_for(start: Any, tmp_path: Path) -> None:
    (tmp_path / "my frames").mkdir()
    code, out, _ = start(typed=f"nowhere\n\n'{tmp_path}/my frames'\n")
    assert code == 0
    assert "nowhere: is not a folder." in out and out.splitlines()[-1].startswith("sorter ['review', ")


@posix
def test_what_fails_is_one_sentence(start: Any, tmp_path: Path, unpacked: Path) -> None:
    code, _, err = start(str(tmp_path), UV_FAILS="1")
    assert code == 1 and err.startswith("The packages could not be installed (see above)")
    assert start(str(tmp_path))[0] == 0  # and goes on from there
    code, _, err = start("gone")
    assert code == 1 and err.startswith("gone: is not a folder;")
    (unpacked / "sorter" / "__main__.py").write_text("import sys; sys.exit(2)")
    assert start(str(tmp_path))[::2] == (1, "Modelsheet has ended with an error (see above).\n")


@posix
def test_no_network_is_one_sentence(start: Any, tmp_path: Path) -> None:
    (tmp_path / "bin" / "uv").unlink()
    for name in ("curl", "wget"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 6\n")
        (tmp_path / "bin" / name).chmod(0o755)
    code, out, err = start(str(tmp_path))
    assert (code, out) == (1, "Fetching uv, which fetches the rest, into .uv in this folder.\n")
    assert err == "uv could not be fetched from https://astral.sh; see whether the network is there, and start again.\n"


@posix
def test_uv_is_fetched_into_the_folder(start: Any, tmp_path: Path, unpacked: Path) -> None:
    (tmp_path / "bin" / "uv").rename(tmp_path / "uv")
    (tmp_path / "install.sh").write_text(f'[ -n "$UV_NO_MODIFY_PATH" ] && cp "{tmp_path}/uv" "$UV_INSTALL_DIR/uv"\n')
    (tmp_path / "bin" / "curl").write_text(f'#!/bin/sh\ncp "{tmp_path}/install.sh" "$3"\n')
    (tmp_path / "bin" / "curl").chmod(0o755)
    code, _, err = start(str(tmp_path))
    assert (code, err) == (0, "")
    assert (unpacked / ".uv" / "uv").exists() and len(asked(tmp_path)) == 2


@posix
def test_an_intel_mac_is_told(start: Any, tmp_path: Path) -> None:
    for name, says in (("uname", "case $1 in -s) echo Darwin ;; *) echo x86_64 ;; esac"), ("sysctl", "echo 0")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    code, _, err = start(str(tmp_path))
    assert code == 1 and "does not run on Macs with an Intel processor" in err and asked(tmp_path) == []


@posix
@pytest.mark.parametrize(
    ("typed", "name"),
    [("a b", "a b"), ('"a b"', "a b"), ("'a b' ", "a b"), ("a\\ b", "a b"), ("it's", "it's"), ("a\\ it's", "a\\ it's")],
)
def test_a_folder_as_it_is_dropped_into_a_terminal(
    typed: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("start", ROOT / ".ci" / "start.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    assert module.folder_in(typed) == tmp_path / name


def test_the_scripts_can_be_started() -> None:
    for name in ("start.sh", "start.command"):
        data = (ROOT / name).read_bytes()
        assert data.startswith(b"#!/bin/sh\n") and b"\r" not in data and data.isascii()
        assert os.name == "nt" or (ROOT / name).stat().st_mode & stat.S_IXUSR


def test_the_shell_script_is_in_order() -> None:
    tool = shutil.which("shellcheck")
    if tool is None:
        pytest.skip("there is no shellcheck here")
    found = subprocess.run([tool, "start.sh", "start.command"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_batch_file_is_in_order() -> None:
    """It cannot be run here; these are the mistakes that are made in such files."""
    data = (ROOT / "start.bat").read_bytes()
    assert data.isascii()
    assert data.count(b"\r\n") == data.count(b"\n") == len(data.splitlines())
    lines = data.decode("ascii").splitlines()
    code = [line for line in lines if not line.lower().startswith("rem")]
    assert lines[0] == "@echo off"
    assert "setlocal EnableExtensions DisableDelayedExpansion" in code
    for line in code:
        for at in [found.start() for found in re.finditer("%", line)]:
            assert line[:at].count('"') % 2 == 1, f"not in quotes: {line}"
        if not line.startswith(("powershell", "echo")):
            assert not re.search(r"^[^\"]*[()]", line), f"a block, in which a path may end it: {line}"
    labels = {line[1:] for line in code if line.startswith(":")}
    targets = {found for line in code for found in re.findall(r"goto (\w+)", line)}
    assert targets | {"failed"} == labels | {"failed"} and targets <= labels
    assert lines[-3:] == [":failed", "pause", "exit /b 1"]
    assert b"*.bat text eol=crlf" in (ROOT / ".gitattributes").read_bytes()
