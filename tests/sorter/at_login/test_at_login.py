"""What is written for systemd, launchd and the Task Scheduler is read back as the same command."""

from __future__ import annotations

import json
import plistlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sorter.at_login import launchd, systemd, task
from sorter.at_login.service import MARK, Service
from sorter.errors import LibraryError

HOSTILE = (
    "/frames", "with space", 'a "quoted" one', "it's", "50%done", "%h", "$HOME ${HOME} $$", "back\\slash", "ends in \\",
    "\\\\share\\x y\\", "Müller & Söhne <b>", "日本", ";", "-x", "a;b|c`d`(e)", "", "🖼",
)  # fmt: skip
TASK = {"t": task.SPACE}


def service(*command: str) -> Service:
    return Service("library-0a1b2c", "Modelsheet: sorts what arrives in /a%b into /c\\.", command)


def arguments_of_systemd(text: str) -> list[str]:
    """ExecStart as systemd.service(5) and systemd.syntax(7) have it, where each argument stands in double quotes."""
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    assert line == " ".join(f'"{word}"' for word in words)
    plain = [re.sub(r"\\(.)", r"\1", word) for word in words]
    assert not [word for word in plain if re.search(r"[%$]", word.replace("%%", "").replace("$$", ""))]
    return [word.replace("%%", "%").replace("$$", "$") for word in plain]


def arguments_of_windows(line: str) -> list[str]:
    """A command line as the C library of Windows takes it apart
    (learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments)."""
    found: list[str] = []
    word, is_quoted, is_word = "", False, False
    for slashes, char in re.findall(r"(\\*)([^\\]|$)", line):
        is_word = is_word or bool(slashes) or char not in ("", " ")
        word += slashes if char != '"' else "\\" * (len(slashes) // 2)
        if char == '"' and len(slashes) % 2:
            word += '"'
        elif char == '"':
            is_quoted = not is_quoted
        elif char in ("", " ") and not is_quoted:
            found += [word] * is_word
            word, is_word = "", False
        else:
            word += char
    return found


def test_a_unit_runs_the_command_as_it_is() -> None:
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    command = arguments_of_systemd(systemd.unit(service(sys.executable, "-c", program, *HOSTILE)))
    found = subprocess.run(command, capture_output=True, check=True)
    assert json.loads(found.stdout) == list(HOSTILE)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("there is no systemd here")
    path = tmp_path / systemd.file_name(service())
    path.write_text(systemd.unit(service(*HOSTILE)), encoding="utf-8")
    found = subprocess.run([tool, "verify", "--user", "--man=no", str(path)], capture_output=True, text=True,
                           env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}, check=False)  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")


def test_a_unit_starts_at_login_and_after_a_failure() -> None:
    lines = systemd.unit(service("/bin/python")).splitlines()
    for one in (f"# {MARK}", "Restart=on-failure", "Nice=10", "WantedBy=default.target"):
        assert one in lines
    assert "Description=Modelsheet: sorts what arrives in /a%%b into /c/." in lines


def test_a_plist_is_read_back() -> None:
    data = launchd.plist(service(*HOSTILE), "/Users/me & you/Library/Logs/x.log")
    found = plistlib.loads(data)
    assert found["ProgramArguments"] == list(HOSTILE)
    assert found["Label"] == "modelsheet.library-0a1b2c"
    assert (found["RunAtLoad"], found["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert found["StandardErrorPath"] == "/Users/me & you/Library/Logs/x.log"
    assert MARK.encode() in data


def test_a_task_is_read_back() -> None:
    command = [one for one in HOSTILE if one.count("%") < 2]
    data = task.task(service("C:\\Program Files\\Python & Co\\pythonw.exe", *command), "HOME\\Jörg")
    root = ElementTree.fromstring(data)
    assert data.startswith(b"\xff\xfe" if sys.byteorder == "little" else b"\xfe\xff")
    assert root.tag == f"{{{task.SPACE}}}Task"
    assert root.findtext(".//t:Command", "", TASK) == "C:\\Program Files\\Python & Co\\pythonw.exe"
    assert arguments_of_windows(root.findtext(".//t:Arguments", "", TASK)) == command
    assert root.findtext(".//t:LogonTrigger/t:UserId", "", TASK) == "HOME\\Jörg"
    for key, value in (("ExecutionTimeLimit", "PT0S"), ("StopIfGoingOnBatteries", "false"),
                       ("DisallowStartIfOnBatteries", "false"), ("RunLevel", "LeastPrivilege")):  # fmt: skip
        assert root.findtext(f".//t:{key}", "", TASK) == value
    assert MARK in root.findtext(".//t:Description", "", TASK)


@pytest.mark.parametrize("path", ["/a\nb", "/a\tb", "/a\x00b", "/a\x85b", "/a\udcffb"])
def test_what_cannot_be_written_down_is_a_sentence(path: str) -> None:
    with pytest.raises(LibraryError, match="has a character that no file of settings can hold; rename the folder"):
        service("/bin/python", path)


def test_a_variable_of_windows_is_a_sentence() -> None:
    with pytest.raises(LibraryError, match='what is between "%" would be taken for a variable'):
        task.task(service("python", "C:\\%TEMP%\\x"), "me")
