"""What the grid asks for: rows, pictures by their hashes, and acts. JSON and JPEG, nothing else."""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from sorter.errors import ModelsheetError
from sorter.review import duplicates, heads
from sorter.review.desk import Desk
from sorter.review.thumbnails import LARGE

HASH = re.compile(r"[0-9a-f]{64}")
MOST_ROWS = 500
MOST_AT_ONCE = 20_000
"""Pictures that are answered at once."""
FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
"""A picture of a hash never changes."""


def add_routes(app: FastAPI, desk: Desk, acted: Any) -> None:
    """Answer these requests. `acted`: called with an axis after something was answered on it."""

    @app.get("/api/rows")
    async def rows(list: str, start: int = 0, count: int = 60, standing: int = 0) -> Response:  # noqa: A002
        if start < 0 or not 0 < count <= MOST_ROWS:
            return JSONResponse({"error": "that is too much at once"}, 400)
        try:
            return JSONResponse(await run_in_threadpool(desk.rows, list, start, count, bool(standing)))
        except (KeyError, ModelsheetError):
            return JSONResponse({"error": "this list is no more; load the page again"}, 404)

    @app.get("/api/groups")
    async def groups(start: int = 0, count: int = 30) -> Response:
        if start < 0 or not 0 < count <= MOST_ROWS:
            return JSONResponse({"error": "that is too much at once"}, 400)
        return JSONResponse(await run_in_threadpool(duplicates.rows, desk, start, count))

    @app.get("/api/heads")
    async def head_rows(start: int = 0, count: int = 30) -> Response:
        if start < 0 or not 0 < count <= MOST_ROWS:
            return JSONResponse({"error": "that is too much at once"}, 400)
        return JSONResponse(await run_in_threadpool(heads.rows, desk, start, count))

    @app.get("/small/{name}.jpg")
    async def small(name: str) -> Response:
        return await _picture(name, None)

    @app.get("/large/{name}.jpg")
    async def large(name: str) -> Response:
        return await _picture(name, LARGE)

    async def _picture(sha256: str, side: int | None) -> Response:
        there = desk.thumbnails
        if there is None or not HASH.fullmatch(sha256):
            return Response(status_code=404)
        data = await (run_in_threadpool(there.small, sha256) if side is None
                      else run_in_threadpool(there.made, sha256, side))  # fmt: skip
        return Response(data, media_type="image/jpeg", headers=FOR_EVER) if data else Response(status_code=404)

    @app.post("/api/act")
    async def act(request: Request) -> Response:
        try:
            asked = await request.json()
            if request.headers.get("content-type", "").partition(";")[0] != "application/json":
                raise ValueError
            answer = await run_in_threadpool(_act, desk, asked)
        except (ValueError, KeyError, TypeError, RecursionError):
            return JSONResponse({"error": "that is nothing that can be done"}, 400)
        except ModelsheetError as error:
            return JSONResponse({"error": str(error)}, 409)
        if asked.get("axis"):
            acted(str(asked["axis"]))
        return JSONResponse(answer)


def _act(desk: Desk, asked: dict[str, Any]) -> dict[str, Any]:
    what = str(asked["what"])
    if what == "undo":
        hashes = desk.undo()
        return {"rows": [], "hashes": hashes, "said": f"taken back: {len(hashes)}" if hashes else ""}
    hashes = [str(one) for one in asked["hashes"]]
    if len(hashes) > MOST_AT_ONCE:
        raise ValueError
    axis, value = str(asked.get("axis", "")), str(asked.get("value", ""))
    rows = desk.act(what, hashes, axis, value, bool(asked.get("standing")), str(asked.get("list", "")))
    done = {"answer": value, "turn": "turned", "drop": "dropped", "keep": "kept", "caption": "caption kept",
            "best": "one is kept", "all": "all are kept", "box": "box kept"}[what]  # fmt: skip
    return {"rows": rows, "hashes": [row["sha256"] for row in rows], "said": f"{len(rows)}: {done}"}
