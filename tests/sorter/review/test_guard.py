"""Nobody is let in but the browser that was given the address."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def served(serve: Any, draw: Any, grow: Any, tmp_path: Path) -> Any:
    grow(tmp_path / "frames", {"a.png": draw()})
    return serve("frames")


def cookie_of(served: Any, ask: Any) -> str:
    status, (headers, _) = ask(served.address)
    assert status == 303
    assert headers["location"] == "/"
    assert "HttpOnly" in headers["set-cookie"]
    assert "SameSite=Strict" in headers["set-cookie"]
    return str(headers["set-cookie"]).partition(";")[0]


def test_the_address_is_printed_first_and_is_good_once(served: Any, ask: Any) -> None:
    assert served.address.startswith("http://127.0.0.1:")
    base = f"http://127.0.0.1:{served.port}/"
    assert ask(base)[0] == 403
    assert ask(f"{base}?token=wrong")[0] == 403
    cookie = cookie_of(served, ask)
    assert ask(served.address)[0] == 403
    status, (headers, body) = ask(base, cookie=cookie)
    assert status == 200
    assert b"Modelsheet" in body
    assert headers["x-frame-options"] == "DENY"
    assert ask(base, cookie=cookie + "x")[0] == 403


@pytest.mark.parametrize("path", ["", "api/rows?list=1", "small/" + "0" * 64 + ".jpg", "_nicegui_ws/socket.io/"])
def test_nothing_is_told_without_the_cookie(served: Any, ask: Any, path: str) -> None:
    assert ask(f"http://127.0.0.1:{served.port}/{path}")[0] == 403


def test_forged_hosts_and_other_pages_are_refused(served: Any, ask: Any) -> None:
    base, cookie = f"http://127.0.0.1:{served.port}/", cookie_of(served, ask)
    for headers in (
        {"host": f"evil.example:{served.port}"},
        {"host": "127.0.0.1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": f"http://127.0.0.1:{served.port + 1}"},
        {"sec_fetch_site": "cross-site"},
    ):
        assert ask(f"{base}api/rows?list=1", cookie=cookie, **headers)[0] == 403, headers
        assert ask(f"{base}api/act", {"what": "undo"}, cookie=cookie, **headers)[0] == 403, headers
    assert ask(f"{base}api/rows?list=1", cookie=cookie)[0] == 404


def test_a_websocket_of_another_page_is_refused(served: Any, ask: Any) -> None:
    cookie, port = cookie_of(served, ask), served.port
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }  # fmt: skip
    for headers, wanted in (
        ({"Cookie": cookie, "Origin": "https://evil.example"}, 403),
        ({"Cookie": cookie}, 403),
        ({"Origin": f"http://127.0.0.1:{port}"}, 403),
        ({"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}"}, 101),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        path = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
        connection.request("GET", path, headers=upgrade | headers)
        assert connection.getresponse().status == wanted, headers
        connection.close()


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"what": "answer"},
        {"what": "answer", "hashes": "x"},
        {"what": "rm", "hashes": ["0" * 64]},
        {"what": "answer", "hashes": ["0" * 64] * 30_000},
    ],
)
def test_nonsense_is_refused_in_a_sentence(served: Any, ask: Any, body: Any) -> None:
    status, (_, said) = ask(f"http://127.0.0.1:{served.port}/api/act", body, cookie=cookie_of(served, ask))
    assert status in (400, 403, 409)
    assert said


def test_too_much_is_refused(served: Any, ask: Any) -> None:
    body = {"what": "caption", "value": "x" * (2 << 20), "hashes": []}
    assert ask(f"http://127.0.0.1:{served.port}/api/act", body, cookie=cookie_of(served, ask))[0] == 403


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "0" * 63, "G" * 64, "0" * 64, "%00" * 64])
def test_pictures_are_by_hash_and_never_by_path(served: Any, ask: Any, name: str) -> None:
    cookie = cookie_of(served, ask)
    for kind in ("small", "large"):
        assert ask(f"http://127.0.0.1:{served.port}/{kind}/{name}.jpg", cookie=cookie)[0] == 404


def test_it_listens_on_this_machine_alone(served: Any) -> None:
    import socket

    assert urlsplit(served.address).hostname == "127.0.0.1"
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError, match="refused|timed out"):
        socket.create_connection((own, served.port), timeout=2)


def test_a_wrong_folder_or_port_is_a_sentence(run_cli: Any, tmp_path: Path) -> None:
    import socket

    code, _, err = run_cli("review", tmp_path / "none", "--no-browser")
    assert (code, err.count("\n")) == (2, 1)
    (tmp_path / "frames").mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = run_cli(
            "review", tmp_path / "frames", "--no-browser", "--port", port, "--to", tmp_path / "library"
        )
    assert (code, err.count("\n")) == (2, 1)
    assert "choose another with --port" in err
