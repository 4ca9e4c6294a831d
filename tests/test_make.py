"""What .ci/make.py installs with: uv where it is there, pip where it is not, and where uv fails."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make", ROOT / ".ci" / "make.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, path in (("VENV", ".venv"), ("PYTHON", ".venv/bin/python"), ("STAMP", ".venv/installed.txt")):
        monkeypatch.setattr(module, name, tmp_path / path)
    return module


@pytest.mark.parametrize(
    ("uv", "failing", "expected"),
    [
        (None, (), ["-m venv", "import pip", "-m pip"]),
        ("uv", (), ["uv venv", "uv pip"]),
        ("uv", ("uv pip",), ["uv venv", "uv pip", "import pip", "-m pip"]),
        ("uv", ("uv pip", "import pip"), ["uv venv", "uv pip", "import pip", "-m ensurepip", "-m pip"]),
        ("uv", ("uv venv", "uv pip"), ["uv venv", "-m venv", "uv pip", "import pip", "-m pip"]),
    ],
)
def test_what_installs(
    uv: str | None,
    failing: tuple[str, ...],
    expected: list[str],
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def run(command: list[object], **_: Any) -> subprocess.CompletedProcess[str]:
        text = " ".join(map(str, command))
        asked.append(text)
        make.VENV.mkdir(exist_ok=True)
        return subprocess.CompletedProcess([text], int(any(one in text for one in failing)))

    monkeypatch.setattr(make.subprocess, "run", run)
    monkeypatch.setattr(make, "find_uv", lambda: uv)
    monkeypatch.setattr(make, "suitable_python", lambda: sys.executable)
    make.setup()
    assert len(asked) == len(expected)
    assert all(one in text for one, text in zip(expected, asked, strict=True)), asked
    assert "constraints.txt" in asked[-1] and asked[-1].endswith("[all,dev]")
    make.PYTHON.parent.mkdir()
    make.PYTHON.touch()
    asked.clear()
    make.setup()
    assert asked == []


def test_uv_is_found_where_the_scripts_put_it(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", "")
    assert make.find_uv() is None
    name = "uv.exe" if sys.platform == "win32" else "uv"
    (tmp_path / ".uv").mkdir()
    (tmp_path / ".uv" / name).write_text("")
    (tmp_path / ".uv" / name).chmod(0o755)
    assert make.find_uv() == str(tmp_path / ".uv" / name)
