"""The questions of a scheme.toml, written and added to for a person who answers on a page. What is in the file stays as
it is, comments too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sorter.commands.init import axis_text, starter, tag_of
from sorter.errors import SchemeError
from sorter.files import read_file, write
from sorter.scheme import NO_AXES, Scheme, load_scheme
from sorter.text import clean, folded

BLUR = "blur"
SUGGESTED: Mapping[str, tuple[str, ...]] = {
    "character": ("nobody", "other"),
    "pose": ("standing", "sitting", "walking", "lying"),
    "expression": ("neutral", "happy", "sad", "angry", "surprised"),
    "direction": ("left", "right", "front"),
    "shot": ("full", "mid", "close"),
    BLUR: ("sharp", "blurry"),
}
"""Questions that most people ask, with classes to begin with."""
MOST_CLASSES = 100


def begin(path: Path, name: str, trigger: str, axes: Mapping[str, Sequence[str]]) -> Scheme:
    """Write a first scheme.toml with these questions and classes, whose sorters will lie under models/.

    Raises SchemeError where there is one already, or a name cannot be one.
    """
    if path.exists():
        raise SchemeError(f"{path}: is there already, and is yours; add questions to it instead")
    if not axes:
        raise SchemeError(f"{path}: needs at least one question")
    asked = {axis: _classes(path, axis, classes) for axis, classes in axes.items()}
    for axis in asked:
        _check_name(path, axis)
    fitted = {axis: axis for axis, classes in asked.items() if not is_measured(axis, classes)}
    text = starter(clean(name), asked, fitted, set(fitted), clean(trigger))
    return keep(path, text)


def add_axis(path: Path, axis: str, classes: Sequence[str]) -> Scheme:
    """Add a question. Raises SchemeError where there is one of that name, or it cannot be one."""
    scheme = load_scheme(path)
    _check_name(path, axis)
    if axis in scheme.axes:
        raise SchemeError(f'{path}: asks for "{axis}" already')
    text = read_file(path).decode("utf-8-sig").rstrip("\n")
    names = _classes(path, axis, classes)
    is_fitted = not is_measured(axis, names)
    return keep(path, f"{text}\n{axis_text(axis, names, axis if is_fitted else None, is_fitted)}")


def is_measured(axis: str, classes: Sequence[str]) -> bool:
    """Whether the built-in measure answers it, which needs no examples and sees what a network's small view cannot."""
    return axis == BLUR and set(classes) == set(SUGGESTED[BLUR])


def add_class(path: Path, axis: str, name: str) -> Scheme:
    """Add a class to a question. Raises SchemeError where it is there already, or cannot be one."""
    scheme = load_scheme(path)
    if axis not in scheme.axes:
        raise SchemeError(f'{path}: does not ask for "{axis}"')
    name = clean(name)
    _classes(path, axis, [*scheme.axes[axis].classes, name])
    import tomlkit

    document = as_written(path)
    meaning = tomlkit.inline_table()
    meaning["tag"] = tag_of(name)
    document["axes"][axis].setdefault("classes", tomlkit.table())[name] = meaning
    return keep(path, tomlkit.dumps(document))


def ask_locator(path: Path, name: str, model: str | None = None) -> Scheme:
    """Have a locator asked, under this name: the built-in one, or the one in the folder `model`.

    Raises SchemeError where there is an axis of that name, or the name cannot be one.
    """
    import tomlkit

    _check_name(path, name)
    document = as_written(path)
    table = document.setdefault("ask", tomlkit.table(is_super_table=True)).setdefault(name, tomlkit.table())
    table["use"] = "locator"
    if model is not None:
        table["model"] = model
    return keep(path, tomlkit.dumps(document))


def as_written(path: Path) -> Any:
    """A scheme.toml as tomlkit's document, with its comments."""
    import tomlkit

    return tomlkit.parse(read_file(path).decode("utf-8-sig"))


def keep(path: Path, text: str) -> Scheme:
    """Write it, if it can be read; what was there before stays otherwise."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        write(draft, text.encode())
        load_scheme(draft)
    except SchemeError as error:
        raise SchemeError(str(error).replace(str(draft), str(path))) from None
    finally:
        draft.unlink(missing_ok=True)
    write(path, text.encode())
    return load_scheme(path)


def _check_name(path: Path, axis: str) -> None:
    if not axis.isidentifier() or axis in NO_AXES:
        raise SchemeError(f'{path}: "{axis}" is not a name for a question; use a word such as pose or camera_angle')


def _classes(path: Path, axis: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Their names as labels.txt can hold them."""
    names = tuple(dict.fromkeys(clean(name) for name in classes if name.strip()))
    if len({folded(name) for name in names}) < len(names):
        raise SchemeError(f"{path}: {axis} has classes that differ in nothing but their case: {', '.join(names)}")
    if len(names) > MOST_CLASSES:
        raise SchemeError(f"{path}: {axis} has {len(names)} classes; a sorter tells at most {MOST_CLASSES} apart")
    return names
