"""Plug-ins by name. A plug-in is an `Options` class: its fields are its options, its call is its work, its docstring
is its help. Others' packages add theirs by an entry point of the registry's group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from sorter.errors import OptionsError, nearest
from sorter.plugins import Options, read_options

P = TypeVar("P", bound=Options)


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


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
