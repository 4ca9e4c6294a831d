"""Models by their names on huggingface.co, through the command; the hub is a small server that speaks its protocol."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import sorter
from tests.sorter.tiny_networks import save_tagger

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROOT = Path(sorter.__file__).parent.parent


class Hub(BaseHTTPRequestHandler):
    """Has one model, owner/wd, and in it a program and a pickle that nobody should fetch."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/owner/wd/"):
            files = self.files.items()
            tree = [{"type": "file", "path": name, "size": len(data), "oid": _oid(data)} for name, data in files]
            about = {"id": "owner/wd", "sha": COMMIT, "siblings": [{"rfilename": name} for name in self.files]}
            return self.send(200, json.dumps(tree if "/tree/" in path else about).encode())
        for name, data in self.files.items():
            if path.startswith("/owner/wd/resolve/") and path.endswith(f"/{name}"):
                return self.send(200, data, {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": COMMIT})
        kind = "GatedRepo" if "terms" in path else "RepoNotFound"
        return self.send(403 if kind == "GatedRepo" else 404, b"{}", {"X-Error-Code": kind})

    def send(self, code: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        """Nothing on standard error."""


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    folder = save_tagger(tmp_path / "on the hub")
    Hub.files = {path.name: path.read_bytes() for path in folder.iterdir()}
    Hub.files |= {"pytorch_model.bin": b"a pickle", "run.py": b"a program"}
    Hub.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def check(project: Path, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """`sorter check` in a process of its own, with a tagger of this name: (exit code, standard output and error)."""
    scheme = project / "scheme.toml"
    text = scheme.read_text(encoding="utf-8")

    def run(name: str, **environment: str) -> tuple[int, str, str]:
        scheme.write_text(f'{text}[ask.tags]\nuse = "tagger"\nmodel = "{name}"\n', encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "sorter", "check"], cwd=project, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "hf"), **environment},
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_name_is_fetched_once_and_only_what_is_needed(
    hub: str, check: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, err = check("owner/wd", HF_ENDPOINT=hub)
    assert (code, err) == (0, "") and "knows 2 rating, 6 general, 2 character tags" in out, err
    kept = {path.name for path in (tmp_path / "hf").rglob("snapshots/*/*")}
    assert kept == {"model.onnx", "selected_tags.csv"}
    Hub.asked.clear()
    assert check("owner/wd", HF_ENDPOINT=hub)[0] == 0
    assert check("owner/wd", HF_HUB_OFFLINE="1")[0] == 0
    assert Hub.asked == []


SENTENCES = {
    "owner/no_such": "huggingface.co has no model of that name that you may read",
    "owner/terms": "its owner wants you to agree to terms on its page and to log in",
    "models/wd/1/": "there is no such folder, and it is no name on huggingface.co, as owner/model is",
    "owner/wd--v3": "it could not be fetched from huggingface.co",
    "owner/wd/inside": "the model of that name on huggingface.co lacks some of model.onnx",
    "tagger": "there is no such folder, and it is no name on huggingface.co",
    "scheme.toml": "is a file; name the folder that it lies in",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_a_name_that_is_none_is_one_sentence(name: str, hub: str, check: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = check(name, HF_ENDPOINT=hub)
    assert code == 2 and SENTENCES[name] in err and len(err.strip().splitlines()) == 1, out + err


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_without_a_network_a_new_name_is_one_sentence(
    environment: dict[str, str], check: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = check("SmilingWolf/wd-vit-tagger-v3", **environment)
    assert code == 2 and len(err.strip().splitlines()) == 1, out + err
    assert "wd-vit-tagger-v3: there is no such folder, and huggingface.co cannot be reached to fetch" in err
