"""What start.sh and start.bat do once there is a Python: install the packages, once, and open the page on a folder.

Standard library only. They hand over in the environment, where no quoting is needed: MODELSHEET_UV, the path of uv, and
MODELSHEET_FOLDER, the folder that was given; empty where none was.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = Path(sys.prefix) / "started.txt"


def install(uv: str, backend: str) -> None:
    """Install all packages into this Python's environment, if that was not done yet for what they are to be now.

    The versions are those of constraints.txt, which were tried together, apart from that of torch: which one there is
    depends on the build for the graphics card, which `backend` (such as "auto" or "cpu") has uv choose. Without one,
    torch is what PyPI has. The project itself stays where it is (-e), so that a newer one may be unpacked over it.
    """
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = hashlib.sha256("\n".join([str(ROOT), backend, project, pins]).encode(errors="surrogateescape")).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print("Fetching and installing the packages, once: some minutes, 5 to 8 GB on disk.", flush=True)
    constraints = STAMP.with_name("constraints.txt")
    others = [line for line in pins.splitlines() if not line.startswith("torch==")]
    constraints.write_text("\n".join(others), encoding="utf-8")
    options = [f"--torch-backend={backend}"] if backend else []
    command = [uv, "pip", "install", "--python", sys.executable, *options, "-c", str(constraints)]
    environment = {name: value for name, value in os.environ.items() if name != "UV_TORCH_BACKEND"}
    if subprocess.run([*command, "-e", f"{ROOT}[all]"], cwd=ROOT, env=environment).returncode:
        sys.exit("The packages could not be installed (see above); what was fetched is kept, so start again to go on.")
    STAMP.write_text(wanted)


def folder_in(text: str) -> Path:
    """The folder that a person typed, pasted or dropped: with or without quotes, or with backslashes before spaces."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    elif os.name != "nt" and not Path(text).exists() and "\\" in text:
        with contextlib.suppress(ValueError):  # a quote that is not closed is a part of the name
            text = "".join(shlex.split(text)[:1])
    return Path(os.path.abspath(Path(text).expanduser()))


def ask() -> Path:
    """Ask for a folder until there is one."""
    while True:
        try:
            text = input("Drop the folder with your frames, or your library, into this window, and press Enter: ")
        except EOFError:
            sys.exit("No folder was given; start it with one: start.sh FOLDER")
        if text.strip() and folder_in(text).is_dir():
            return folder_in(text)
        print(f"{text.strip() or 'That'}: is not a folder.")


def main() -> None:
    """Install, and open the page. The questions and the library lie beside the folder."""
    install(os.environ["MODELSHEET_UV"], os.environ.get("UV_TORCH_BACKEND", "auto"))
    given = os.environ.get("MODELSHEET_FOLDER", "")
    if given and not Path(given).is_dir():
        sys.exit(f"{given}: is not a folder; give the folder that holds the frames.")
    folder = Path(os.path.abspath(given)) if given else ask()
    print("The page opens in your browser. Close this window, or press Ctrl-C, to end it.", flush=True)
    page = subprocess.Popen([sys.executable, "-m", "sorter", "review", str(folder)], cwd=folder.parent)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # which the page hears, too, and ends
            sys.exit(page.wait())


if __name__ == "__main__":
    main()
