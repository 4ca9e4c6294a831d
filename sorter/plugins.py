"""Strict, frozen options, and registries of plug-ins.

Every value that comes from a config file or a plug-in's table passes here once. A plug-in is an `Options` class: its
fields are its options, its call is its work, its docstring is its help. Others' packages add theirs by an entry point
of the registry's group.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from sorter.errors import OptionsError, nearest

T = TypeVar("T", bound=BaseModel)


class Options(BaseModel):
    """Fields are options: unknown names are refused, "false" is not a truth value, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


P = TypeVar("P", bound=Options)


def read_options(kind: type[T], values: Mapping[str, Any], where: str, error: type[OptionsError] = OptionsError) -> T:
    """Check `values` (as TOML gives them) against `kind`.

    Raises `error` with one sentence that names `where`, the key, and the nearest right name.
    """
    try:
        # By way of JSON, since only there does strict mode take a list for a tuple and a string for a path.
        return kind.model_validate_json(json.dumps(values, default=str))
    except ValidationError as found:
        raise error(_sentence(found, kind, values, where)) from None


class Registry(Generic[P]):
    """The plug-ins of one kind, such as "cropper"; `group` is the entry-point group that is looked at as well."""

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group
        self._known: dict[str, type[P]] = {}
        self._looked_outside = False

    def add(self, name: str) -> Callable[[type[P]], type[P]]:
        """Register a class under `name`; a second registration of a name is refused."""

        def take(plugin: type[P]) -> type[P]:
            if name in self._known:
                raise OptionsError(f'two {self.kind}s are called "{name}": {self._known[name]!r} and {plugin!r}')
            self._known[name] = plugin
            return plugin

        return take

    def build(self, use: str, where: str = "", **options: Any) -> P:
        """The plug-in `use` with these options. Raises OptionsError with the nearest right name."""
        if use not in self.names():
            raise OptionsError(f'{where or "use"}: "{use}" is not {_a(self.kind)}{nearest(use, self.names())}')
        return read_options(self._known[use], options, where or f'{self.kind} "{use}"')

    def names(self) -> list[str]:
        """All names, others' plug-ins included."""
        if not self._looked_outside:
            self._looked_outside = True
            for entry in entry_points(group=self.group):
                self.add(entry.name)(entry.load())
        return sorted(self._known)

    def __iter__(self) -> Iterator[tuple[str, type[P]]]:
        return ((name, self._known[name]) for name in self.names())


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


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
