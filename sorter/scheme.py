"""scheme.toml: which questions to ask about a picture, and what the answers mean. Reads one file, writes none."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from sorter.errors import SchemeError, nearest
from sorter.plugins import Options, read_options
from sorter.records import CAPTION, LIBRARY
from sorter.text import is_reserved
from sorter.toml import BACKSLASHES, as_stored, is_garbled, read_toml

Threshold = Annotated[float, Field(ge=0, le=1)] | Literal["auto"]


NO_AXES = ("trigger", CAPTION, LIBRARY)
"""Words that mean something else where an axis's name could stand."""


class Class(Options):
    """One answer to an axis's question."""

    tag: str | None = None
    """The words in captions; without it the class's name, with spaces for underscores; "" adds no words."""
    mirror: str | None = None
    """The class that this one becomes when the picture is mirrored; without it, the class stays."""
    turn: bool = True
    """False: a picture of this class is never mirrored (lettering, a scar on one side)."""
    drop: bool = False
    """True: pictures of this class are not wanted in the library."""
    prune: tuple[str, ...] = ()
    """Tags, or groups of the vocabulary, that are left out of captions of this class: its own tag stands for them."""
    when: tuple[str, ...] = ()
    """On an axis with `asker`, the tagger's tags by which the class is known; the one class without is what is left."""

    @field_validator("tag", mode="before")
    @classmethod
    def _is_one(cls, given: Any) -> Any:
        if isinstance(given, list):
            raise PydanticCustomError("one_tag", "a class has one tag; keep one and make the others its aliases")
        return given


PLAIN = Class()
"""A class of which the scheme says nothing."""


class Axis(Options):
    """One question. Asked of a sorter's folder (`model`), of a measure that needs no training (`measure`), or of a
    tagger of [ask] (`asker`)."""

    model: str | None = None
    measure: str | None = None
    asker: str | None = None
    threshold: Threshold = 0.5
    """A score below it is a doubt, and a person is asked. "auto" takes the calibrated one of the sorter's card."""
    canonical: str | None = None
    """The class that every picture is turned to, where its own class mirrors into it."""
    classes: dict[str, Class] = Field(default_factory=dict)
    """Only those classes that need saying something about; the sorter's labels are the whole list."""

    def meaning(self, name: str) -> Class:
        """What the scheme says of the class `name`."""
        return self.classes.get(name, PLAIN)

    def mirrored(self, name: str) -> str:
        """The class of the mirrored picture, given the class of the picture."""
        return self.meaning(name).mirror or name

    def tag(self, name: str) -> str:
        """The caption words of the class `name`."""
        said = self.meaning(name).tag
        return name.replace("_", " ") if said is None else said


class Use(Options):
    """A table that names a plug-in by `use`; its other keys are that plug-in's own options."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    use: str

    def options(self) -> dict[str, Any]:
        """The plug-in's own options, not yet checked."""
        return dict(self.model_extra or {})


class CaptionUse(Use):
    """[caption]: the captioner, its own options, and how any captioner's line is written down."""

    separator: Annotated[str, Field(pattern=r"\S")] = ", "
    """What stands between two tags."""
    escape: Literal["", "()", "{}", "(){}"] = ""
    """The brackets to be escaped: "()" as A1111's prompts want it, "{}" as kohya's wildcards do."""


class Vocabulary(Options):
    """[vocabulary]: which tags there are beside the classes' own, and what becomes of others."""

    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Group (clothes, place) -> its tags."""
    aliases: dict[str, str] = Field(default_factory=dict)
    """What taggers or people write -> the tag that is meant."""
    implied: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Tag -> the tags that a caption with it gets, too."""
    prune: tuple[str, ...] = ()
    """Tags, or groups, that are left out of captions: the trigger stands for them."""


class Scheme(Options):
    """The whole of scheme.toml."""

    name: str = "library"
    trigger: str = ""
    """The word that the diffusion model will learn for the subject."""
    folders: str
    """Class folders, such as "{character}/{pose}"."""
    axes: dict[str, Axis] = Field(min_length=1)
    ask: dict[str, Use] = Field(default_factory=dict)
    """What else is to be known of each picture, by askers: tags, a box, a sentence; see `sorter list`."""
    crop: Use = Use(use="none")
    caption: CaptionUse = CaptionUse(use="template")
    vocabulary: Vocabulary = Vocabulary()

    @cached_property
    def fixed(self) -> dict[str, frozenset[str]]:
        """Axis -> its classes that forbid turning a picture; axes without any are left out."""
        return self._classes(lambda axis, name: not axis.meaning(name).turn)

    @cached_property
    def turned(self) -> dict[str, frozenset[str]]:
        """Axis -> its classes that are turned to the canonical one; axes without any are left out."""
        return self._classes(lambda axis, name: axis.canonical == axis.mirrored(name) != name)

    @cached_property
    def dropped(self) -> dict[str, frozenset[str]]:
        """Axis -> its classes that are not wanted; axes without any are left out."""
        return self._classes(lambda axis, name: axis.meaning(name).drop)

    def _classes(self, is_one: Callable[[Axis, str], bool]) -> dict[str, frozenset[str]]:
        chosen = {key: [name for name in axis.classes if is_one(axis, name)] for key, axis in self.axes.items()}
        return {key: frozenset(names) for key, names in chosen.items() if names}

    def asked_in(self, template: str) -> list[str]:
        """The axes named in a template, in its order."""
        return [name for name in placeholders(template) if name in self.axes]


def load_scheme(path: Path) -> Scheme:
    """Read and check `path`. A model's folder is taken relative to the file.

    Raises SchemeError with one sentence: the file, the key, and what would be right.
    """
    try:
        values = read_toml(path, SchemeError)
    except FileNotFoundError:
        raise SchemeError(f'{path}: there is no such file; "sorter init" writes a first one') from None
    except OSError as found:
        raise SchemeError(f"{path}: cannot be read: {found.strerror}") from None
    scheme = read_options(Scheme, values, str(path), SchemeError)
    for name, axis in scheme.axes.items():
        _check_axis(path, name, axis)
        _check_when(path, name, axis, scheme.ask)
    for name in scheme.ask:
        _check_asker(path, name, scheme.axes)
    _check_folders(path, scheme.folders, scheme.axes)
    return _with_model_folders(scheme, path.parent)


def placeholders(template: str) -> list[str]:
    """The names between braces. Raises ValueError where braces do not match, or hold more than a name."""
    parts = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    for name, format_spec, conversion in parts:
        if format_spec or conversion:
            raise ValueError(f'"{name}" has something after it in its braces')
    return [str(name) for name, _, _ in parts]


def check_classes(where: str, scheme: Scheme, labels: Mapping[str, Iterable[str]]) -> None:
    """Every class that the scheme names must be one that its axis's sorter can answer.

    `labels`: axis to the sorter's labels. Raises SchemeError.
    """
    for name, axis in scheme.axes.items():
        known = list(labels[name])
        for spoken in axis.classes:
            if spoken not in known:
                what = f'"{spoken}" in [axes.{name}.classes] is not a label of its sorter'
                raise SchemeError(f"{where}: {what}{nearest(spoken, known)}")


def _check_axis(path: Path, name: str, axis: Axis) -> None:
    table = f"[axes.{name}]"
    if not name.isidentifier() or name in NO_AXES:
        raise SchemeError(f'{path}: {table} is not a name for an axis; use a word such as "pose" or "camera_angle"')
    given = [key for key in ("model", "measure", "asker") if getattr(axis, key) is not None]
    if len(given) > 1:
        raise SchemeError(f"{path}: {table} has both {given[0]} and {given[1]}; keep the one that is to be asked")
    if axis.model is not None and is_garbled(axis.model):
        raise SchemeError(f"{path}: {table} model = {axis.model!r}: {BACKSLASHES}")
    for spoken, meaning in axis.classes.items():
        _check_mirror(path, name, axis, spoken, meaning)
    if axis.canonical is None:
        return
    if axis.canonical not in axis.classes:
        known = nearest(axis.canonical, axis.classes)
        raise SchemeError(f'{path}: canonical = "{axis.canonical}" is not in [axes.{name}.classes]{known}')
    if axis.mirrored(axis.canonical) == axis.canonical:
        raise SchemeError(f'{path}: canonical = "{axis.canonical}" in {table} needs a mirror, or nothing can be turned')


def _check_when(path: Path, name: str, axis: Axis, askers: Iterable[str]) -> None:
    table = f"{path}: [axes.{name}]"
    known = [spoken for spoken, meaning in axis.classes.items() if meaning.when]
    if axis.asker is None:
        if known:
            raise SchemeError(
                f'{table}: when, at {known[0]}, is for an axis that a tagger answers; name it: asker = "tags"'
            )
        return
    if axis.asker not in askers:
        raise SchemeError(f'{table} asker = "{axis.asker}" is no table of [ask]{nearest(axis.asker, askers)}')
    rest = [spoken for spoken, meaning in axis.classes.items() if not meaning.when]
    if len(rest) > 1 or not known:
        what = f"{rest[0]} and {rest[1]} have none" if len(rest) > 1 else "no class has one"
        raise SchemeError(f'{table}: each class but one needs when = ["a tag"], and {what}')


def _check_asker(path: Path, name: str, axes: Iterable[str]) -> None:
    if not name.isidentifier() or name in NO_AXES:
        raise SchemeError(f'{path}: [ask.{name}] is not a name for an asker; use a word such as "tags" or "subject"')
    if name in axes:
        raise SchemeError(f"{path}: [ask.{name}]: there is an axis of that name; give the asker another one")


def _check_mirror(path: Path, name: str, axis: Axis, spoken: str, meaning: Class) -> None:
    other = meaning.mirror
    if other is None:
        return
    where = f"{path}: [axes.{name}.classes] {spoken}"
    if other not in axis.classes:
        raise SchemeError(f'{where}: mirror = "{other}" is not a class there{nearest(other, axis.classes)}')
    if axis.classes[other].mirror != spoken:
        raise SchemeError(
            f'{where} mirrors into "{other}", so {other} = {{ mirror = "{spoken}" }} must stand there too'
        )


def _check_folders(path: Path, template: str, axes: Iterable[str]) -> None:
    said = f'{path}: folders = "{template}"'
    try:
        names = placeholders(template)
    except ValueError as found:
        raise SchemeError(f"{said}: {found}; write {{axis}}") from None
    for name in names:
        if name not in axes:
            raise SchemeError(f'{said} names "{{{name}}}", which is not an axis{nearest(name, axes)}')
    if not names:
        raise SchemeError(f"{said} names no axis, so every picture would lie in one folder; write {{axis}}")
    if not all(_is_plain(part) for part in template.split("/")):
        raise SchemeError(f'{said} is not a plain folder below the library; write it like "{{pose}}/{{expression}}"')


def _is_plain(part: str) -> bool:
    """Whether a part of a path is legal everywhere, not hidden, and no way out."""
    if is_reserved(part):
        return False
    return part.isprintable() and part == part.strip(" .") != "" and not any(char in part for char in '\\:*?"<>|')


def _with_model_folders(scheme: Scheme, root: Path) -> Scheme:
    axes = {}
    for name, axis in scheme.axes.items():
        folder = axis.model or (None if axis.measure or axis.asker else f"models/{name}")
        axes[name] = axis.model_copy(update={"model": folder and str(as_stored((root / folder).absolute()))})
    return scheme.model_copy(update={"axes": axes})
