"""Who is let in: a browser on this machine that was given the token. Knows nothing of what lies behind.

Loopback alone does not keep others out: any web page may send requests to 127.0.0.1 (with the browser's help), and by
DNS rebinding even read the answers. So each request must name this server in Host, come from no other origin, and bring
a cookie that is set once, by the address that is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY = 2 << 20
"""Bytes of a request's body: answers are short, and nothing is uploaded."""
PATIENCE = 5.0
"""Seconds for which the rest of a refused request is read."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """An ASGI application around another one, for http and websockets alike."""

    def __init__(self, app: App, port: int, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")) -> None:
        self.app, self.port = app, port
        self.hosts = {f"{host}:{port}" for host in hosts}
        self.ticket = secrets.token_urlsafe(24)
        """In the printed address; good for one browser."""
        self.cookie = secrets.token_urlsafe(32)
        self.name = f"modelsheet-{port}"
        """Of the cookie: cookies do not tell ports apart, and two pages may be open."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if why := self._refusal(scope, headers):
            await self._refuse(scope, send, receive, why)
        elif scope["type"] == "http" and (ticket := self._ticket_in(scope)) is not None:
            await self._let_in(ticket, headers, send)
        elif not self._has_cookie(headers):
            await self._refuse(scope, send, receive, "open the address that sorter review printed; it is good once")
        else:
            await self.app(scope, _bounded(receive), _with_headers(send))

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> str:
        if headers.get(b"host", "").lower() not in self.hosts:
            return "this page is not at that address"
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc.lower() not in self.hosts:
            return "another page may not ask this one"
        if scope["type"] == "websocket" and origin is None:
            return "only a browser may"
        if headers.get(b"sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "another page may not ask this one"
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY:
            return "that is too much at once"
        return ""

    def _ticket_in(self, scope: Scope) -> str | None:
        if scope["path"] != "/" or scope["method"] != "GET":
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token")
        return given[0] if given else None

    async def _let_in(self, ticket: str, headers: dict[bytes, str], send: Send) -> None:
        """A cookie for the ticket, once; the address without it, so that it stays out of the browser's history."""
        plain = [(b"location", b"/"), (b"cache-control", b"no-store")]
        if self.ticket and hmac.compare_digest(ticket.encode(), self.ticket.encode()):
            self.ticket = ""
            cookie = f"{self.name}={self.cookie}; Path=/; HttpOnly; SameSite=Strict"
            plain.append((b"set-cookie", cookie.encode()))
        elif not self._has_cookie(headers):
            await _answer(send, 403, "this address was used already, or is wrong; start sorter review again")
            return
        await send({"type": "http.response.start", "status": 303, "headers": [*plain, *HEADERS]})
        await send({"type": "http.response.body", "body": b""})

    def _has_cookie(self, headers: dict[bytes, str]) -> bool:
        try:
            given = SimpleCookie(headers.get(b"cookie", "")).get(self.name)
        except CookieError:
            return False
        return given is not None and hmac.compare_digest(given.value.encode(), self.cookie.encode())

    async def _refuse(self, scope: Scope, send: Send, receive: Receive, why: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 4403})
        else:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_read_past(receive), PATIENCE)
            await _answer(send, 403, why)


async def _read_past(receive: Receive) -> None:
    """Take what is sent, up to a bound: who is still sending when the connection ends never reads the answer."""
    seen, goes_on = 0, True
    while goes_on and seen <= 16 * MOST_BODY:
        message = await receive()
        seen += len(message.get("body", b""))
        goes_on = message["type"] == "http.request" and message.get("more_body", False)


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def _bounded(receive: Receive) -> Receive:
    """The same, but what goes on beyond MOST_BODY is cut off: a body may come without its length."""
    seen = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MOST_BODY:
                return {"type": "http.disconnect"}
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sending
