"""Strict, frozen options: every value that comes from a config file or a plug-in's table passes here once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from sorter.errors import OptionsError, nearest

T = TypeVar("T", bound=BaseModel)


class Options(BaseModel):
    """Fields are options: unknown names are refused, "false" is not a truth value, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def read_options(kind: type[T], values: Mapping[str, Any], where: str, error: type[OptionsError] = OptionsError) -> T:
    """Check `values` (as TOML gives them) against `kind`.

    Raises `error` with one sentence that names `where`, the key, and the nearest right name.
    """
    try:
        # By way of JSON, since only there does strict mode take a list for a tuple and a string for a path.
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as found:
        raise error(_sentence(found, kind, values, where)) from None


def _sentence(found: ValidationError, kind: type[BaseModel], values: Mapping[str, Any], where: str) -> str:
    first = found.errors(include_url=False)[0]
    *above, last = (first["loc"] if first["type"] == "missing" else _keys(first["loc"], values)) or ("",)
    place = ".".join(str(part) for part in above)
    inside = f" in [{place}]" if place else ""
    if first["type"] == "extra_forbidden":
        return f'{where}: "{last}" is not a key{inside}{nearest(str(last), _fields_at(kind, above))}'
    if first["type"] == "missing":
        return f'{where}: "{last}" is missing{inside}'
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "value_error":
        return f"{where}: {message}"
    return f'{where}: "{last}"{inside}: {message}, not {first["input"]!r}'


def _keys(place: Sequence[int | str], values: Any) -> list[int | str]:
    """The part of an error's place that the user wrote; below it, pydantic names the members of a union."""
    keys: list[int | str] = []
    for part in place:
        if not (
            (isinstance(values, Mapping) and part in values) or (isinstance(values, list) and isinstance(part, int))
        ):
            break
        keys.append(part)
        values = values[part]  # type: ignore[index]
    return keys


def _fields_at(kind: Any, path: Sequence[int | str]) -> list[str]:
    """The names a table may hold, `path` below `kind`; empty where that cannot be told."""
    for part in path:
        if _is_model(kind) and part in kind.model_fields:
            kind = kind.model_fields[str(part)].annotation
        kind = next((inner for inner in _parts(kind) if _is_model(inner)), kind)
    return list(kind.model_fields) if _is_model(kind) else []


def _parts(kind: Any) -> list[Any]:
    inner = get_args(kind)
    return [part for one in inner for part in (one, *_parts(one))]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
