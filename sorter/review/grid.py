"""The grid of pictures as an element of the page; what it does is in grid.js."""

from __future__ import annotations

from typing import Any

from nicegui import ui


class Grid(ui.element, component="grid.js"):
    """A list of pictures: `list` is its name, `total` how many there are, `axis` the question that keys answer."""

    def __init__(self, **props: Any) -> None:
        super().__init__()
        self.set(**props)

    def set(self, **props: Any) -> None:
        """Change what it shows."""
        for name, value in props.items():
            self._props[name] = value
        self.update()
