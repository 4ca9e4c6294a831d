"""What `make` does, for those who have none: python .ci/make.py demo | test | check | bench | setup | clean.

Standard library only. Makes .venv, installs into it once, and runs the job there. Where uv is at hand it does the
installing, in a fraction of the time, and fetches a Python that fits if need be; pip does it where uv is not, or where
uv does not find a package: pip's own settings may name places that uv knows nothing of.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed.txt"
TENSORFLOW = "2.21"
VERSIONS = ((3, 13), (3, 12), (3, 11))
"""The Pythons that all pinned packages have builds for; tensorflow is the last to follow a new one."""
SOURCES = ("sorter", "trainer", "samples", "tests", ".ci")

JOBS = {
    "setup": [],
    "demo": [["samples/demo.py"]],
    "test": [["-m", "pytest", "-q", "tests"]],
    "check": [
        ["-m", "ruff", "check", *SOURCES],
        ["-m", "mypy"],
        ["-c", "from importlinter.cli import lint_imports_command as main; main()"],
        ["-m", "tests.docs"],
    ],
    "bench": [["-m", "tests.bench"]],
}


def setup() -> None:
    """A .venv with exactly the pinned packages; nothing is done if it is there already."""
    if sys.version_info < (3, 11):
        sys.exit(
            f"Python {sys.version.split()[0]} is too old; 3.11 or newer is needed: https://www.python.org/downloads"
        )
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("\n[tool.")[0]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    wanted = hashlib.sha256(f"{project}{pins}".encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted and PYTHON.exists():
        return
    print("setting up .venv, once: some minutes, about 4 GB on disk", flush=True)
    uv = find_uv()
    if not PYTHON.exists():
        make_venv(uv)
    what = ["-q", "-c", ROOT / "constraints.txt", "-e", f"{ROOT}[all,dev]"]
    if uv is None or subprocess.run([uv, "pip", "install", "--python", PYTHON, *what], cwd=ROOT).returncode:
        if subprocess.run([PYTHON, "-c", "import pip"], capture_output=True).returncode:  # uv makes a .venv without
            run([PYTHON, "-m", "ensurepip"])
        run([PYTHON, "-m", "pip", "install", "--disable-pip-version-check", *what])
    STAMP.write_text(wanted)


def find_uv() -> str | None:
    """The path of uv, if it is on this machine, or was fetched by start.sh or start.bat."""
    return shutil.which("uv", path=os.pathsep.join([os.environ.get("PATH", ""), str(ROOT / ".uv")]))


def make_venv(uv: str | None) -> None:
    """An empty .venv; of a Python that uv fetches, where there is uv and this Python does not fit."""
    if uv:
        python = sys.executable if sys.version_info[:2] in VERSIONS else "3.12"
        if subprocess.run([uv, "venv", "-q", "--python", python, VENV]).returncode == 0:
            return
        shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([suitable_python(), "-m", "venv", VENV]).returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit("this Python cannot make a virtual environment; on Debian or Ubuntu: sudo apt install python3-venv")


def suitable_python() -> str:
    """This Python, or another one on this machine that every pinned package has a build for."""
    if sys.version_info[:2] in VERSIONS:
        return sys.executable
    for major, minor in VERSIONS:
        if found := shutil.which(f"python{major}.{minor}"):
            return found
        if os.name == "nt" and subprocess.run(["py", f"-{major}.{minor}", "-V"], capture_output=True).returncode == 0:
            asked = subprocess.run(
                ["py", f"-{major}.{minor}", "-c", "import sys; print(sys.executable)"], capture_output=True
            )
            return asked.stdout.decode().strip()
    wanted = "3.11, 3.12 or 3.13"
    sys.exit(
        f"tensorflow {TENSORFLOW} has no build for Python {sys.version.split()[0]}; install Python {wanted} beside it"
    )


def run(command: list[str | Path]) -> None:
    """Run a command in the project's folder; stop with its exit code if it fails."""
    code = subprocess.run([str(part) for part in command], cwd=ROOT).returncode
    if code:
        sys.exit(code)


def main() -> None:
    """Do one job."""
    job, *arguments = sys.argv[1:] or ["help"]
    if job == "clean":
        for folder in (".venv", "demo", "build"):
            shutil.rmtree(ROOT / folder, ignore_errors=True)
        return
    if job not in JOBS:
        sys.exit(f"python .ci/make.py {' | '.join([*JOBS, 'clean'])}")
    setup()
    for command in JOBS[job]:
        run([PYTHON, *command, *arguments])


if __name__ == "__main__":
    main()
