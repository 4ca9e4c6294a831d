"""A scheme's standard tags, and what becomes of each part of a caption. Pure.

A part is what stands between two commas. The standard tags are those of the classes, in the scheme's axes, and those of
its [vocabulary]; whatever else stands in a caption is kept, and `sorter captions` lists it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from string import Formatter

from sorter.errors import SchemeError, nearest
from sorter.scheme import Scheme, Vocabulary
from sorter.text import clean, folded

Classes = Mapping[str, Iterable[str]]


def parts_of(line: str, separator: str = ",") -> list[str]:
    """The parts of a caption: each on one line with single spaces, none empty, none twice."""
    return list(dict.fromkeys(clean(part) for part in line.split(separator.strip()) if part.strip()))


@lru_cache(1 << 14)
def key_of(tag: str) -> str:
    """A tag as tags are compared: in small letters, with spaces for underscores, and without escapes."""
    plain = re.sub(r"\\([()])", r"\1", tag).replace("{{", "{").replace("}}", "}")
    return " ".join(folded(plain).replace("_", " ").split())


@dataclass(frozen=True, eq=False)
class Tags:
    """The standard tags, looked up by `key_of` what stands in a caption."""

    classes: Mapping[str, str]
    """Key -> tag, of the trigger and of the classes of all axes."""
    grouped: Mapping[str, str]
    """Key -> tag, of the vocabulary's groups."""
    aliases: Mapping[str, str]
    """Key of an alias -> the tag that is meant."""
    implied: Mapping[str, tuple[str, ...]]
    """Key -> the tags that come with it, and those that come with these."""
    pruned: frozenset[str]
    """Keys of what no caption says."""
    pruned_of: Mapping[tuple[str, str], frozenset[str]]
    """(axis, class) -> keys of what no caption of that class says."""
    written: tuple[re.Pattern[str], ...]
    """Parts that a template writes around its placeholders, such as "a portrait of {character}"."""

    def sort_out(self, line: str, sure: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The parts of a captioner's line in their standard spelling, with what they imply; and those that are pruned.

        `sure`: axis to class, of what is certain about the picture.
        """
        pruned = self.pruned.union(*(self.pruned_of.get(pair, ()) for pair in sure.items()))
        spelled = dict.fromkeys(map(self.standard, parts_of(line)))
        said = [tag for tag in spelled if key_of(tag) not in pruned]
        more = [(tag, *self.implied.get(key_of(tag), ())) for tag in said] if self.implied else [said]
        kept = dict.fromkeys(tag for some in more for tag in some if key_of(tag) not in pruned)
        return list(kept), [tag for tag in spelled if tag not in kept]

    def standard(self, part: str) -> str:
        """The tag that is meant by a part of a caption; the part as it is, if that is not known."""
        key = key_of(part)
        if key in self.classes:
            return part
        return self.grouped.get(key) or self.aliases.get(key) or part

    def is_of_classes(self, part: str) -> bool:
        """Whether the trigger, a class's tag or the template's own words say it."""
        key = key_of(part)
        return key in self.classes or any(pattern.fullmatch(key) for pattern in self.written)

    def knows(self, part: str) -> bool:
        """Whether a part of a caption is a standard tag."""
        return key_of(part) in self.grouped or self.is_of_classes(part)

    def nearest(self, part: str) -> str:
        """The standard tag that a part may have been meant for; empty where none is near."""
        key = key_of(part)
        if key in self.aliases:
            return self.aliases[key]
        known = {**self.grouped, **self.classes}
        close = difflib.get_close_matches(key, known, n=1)
        return known[close[0]] if close else ""

    def twice(self, scheme: Scheme, labels: Classes) -> list[str]:
        """A sentence for each tag that several wanted classes have: no caption tells those apart."""
        said: dict[str, list[str]] = {}
        for axis, name, tag in _class_tags(scheme, labels):
            if not scheme.axes[axis].meaning(name).drop and key_of(tag):
                said.setdefault(key_of(tag), []).append(f"{axis}: {name}")
        return [
            f'"{key}" is the tag of several classes ({", ".join(names)}), which captions then do not tell apart; '
            "give each a tag of its own"
            for key, names in said.items()
            if len(names) > 1
        ]


def tags_of(
    scheme: Scheme, labels: Classes | None = None, texts: Sequence[str] = (), where: str = "scheme.toml"
) -> Tags:
    """The standard tags of a scheme whose sorters answer with `labels` (axis to classes).

    `labels`: without them, the classes that the scheme names. `texts`: the templates that captions are made by. Raises
    SchemeError with one sentence where the vocabulary contradicts itself.
    """
    at = f"{where}: [vocabulary"
    labels = {name: axis.classes for name, axis in scheme.axes.items()} if labels is None else labels
    words = [scheme.trigger, *(tag for *_, tag in _class_tags(scheme, labels))]
    classes = {key_of(part): part for words_of_one in words for part in parts_of(words_of_one)}
    grouped = _grouped(scheme.vocabulary, classes, at)
    known = {**grouped, **classes}
    groups = {name: frozenset(map(key_of, tags)) for name, tags in scheme.vocabulary.groups.items()}
    trigger = frozenset(map(key_of, parts_of(scheme.trigger)))
    pruned = _pruned(scheme.vocabulary.prune, groups, trigger, f"{at}] prune")
    pruned_of = {
        (axis, name): _pruned(meaning.prune, groups, trigger, f"{where}: [axes.{axis}.classes] {name}: prune")
        for axis, one in scheme.axes.items()
        for name, meaning in one.classes.items()
        if meaning.prune
    }
    implied = _implied(scheme.vocabulary, known, f"{at}.implied]")
    aliases = _aliases(scheme.vocabulary, known, f"{at}.aliases]")
    return Tags(classes, grouped, aliases, implied, pruned, pruned_of, tuple(_written(texts, scheme, labels, known)))


def _class_tags(scheme: Scheme, labels: Classes) -> Iterator[tuple[str, str, str]]:
    """Axis, class and tag of every class."""
    return ((axis, name, scheme.axes[axis].tag(name)) for axis in scheme.axes for name in labels.get(axis, ()))


def _grouped(vocabulary: Vocabulary, classes: Mapping[str, str], at: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for group, tags in vocabulary.groups.items():
        for tag in tags:
            _check_tag(tag, f"{at}.groups] {group}")
            other = found.setdefault(key_of(tag), classes.get(key_of(tag), tag))
            if other != tag:
                raise SchemeError(f'{at}.groups] {group}: "{tag}" and "{other}" are one tag; spell it one way')
    for group in vocabulary.groups:
        if key_of(group) in {**found, **classes}:
            raise SchemeError(f'{at}.groups] "{group}": there is a tag of that name; call the group otherwise')
    return found


def _aliases(vocabulary: Vocabulary, known: Mapping[str, str], at: str) -> dict[str, str]:
    meant: dict[str, str] = {}
    for alias, tag in vocabulary.aliases.items():
        _check_tag(alias, at)
        key = key_of(alias)
        if key in known:
            raise SchemeError(f'{at} "{alias}" = "{tag}": "{known[key]}" is a tag itself; remove one of the two')
        if meant.setdefault(key, tag) != tag:
            raise SchemeError(f'{at} "{alias}" stands for two tags, "{meant[key]}" and "{tag}"; keep one')
    found: dict[str, str] = {}
    for key in meant:
        chain = {key: None}
        while (target := key_of(meant[last := next(reversed(chain))])) in meant and target not in found:
            if target in chain:
                circle = " -> ".join([*list(chain)[list(chain).index(target) :], target])
                raise SchemeError(f"{at} {circle}: these aliases go round in a circle; one of them must mean a tag")
            chain[target] = None
        if target not in known and target not in found:
            said = meant[last]
            raise SchemeError(f'{at} "{last}" = "{said}", which is not a tag{nearest(said, known.values())}')
        found |= dict.fromkeys(chain, found.get(target) or known[target])
    return found


def _implied(vocabulary: Vocabulary, known: Mapping[str, str], at: str) -> dict[str, tuple[str, ...]]:
    direct = {key_of(tag): [key_of(other) for other in others] for tag, others in vocabulary.implied.items()}
    for tag, others in vocabulary.implied.items():
        for one in (tag, *others):
            if key_of(one) not in known:
                raise SchemeError(f'{at} "{tag}" names "{one}", which is not a tag{nearest(one, known.values())}')
    found: dict[str, tuple[str, ...]] = {}
    for key in direct:
        reached = dict.fromkeys(direct[key])
        waiting = list(reached)
        while waiting:
            fresh = [one for one in direct.get(waiting.pop(), ()) if one not in reached]
            reached |= dict.fromkeys(fresh)
            waiting += fresh
        found[key] = tuple(known[one] for one in reached if one != key)
    return found


def _pruned(
    prune: Iterable[str], groups: Mapping[str, frozenset[str]], trigger: frozenset[str], at: str
) -> frozenset[str]:
    """The keys of what a list of tags and groups names."""
    found: set[str] = set()
    for name in prune:
        _check_tag(name, at)
        if key_of(name) in trigger:
            raise SchemeError(f'{at}: "{name}" is the trigger, which stands for what is pruned and must stay')
        found |= groups.get(name, {key_of(name)})
    return frozenset(found)


def _check_tag(tag: str, at: str) -> None:
    if not key_of(tag) or "," in tag or not tag.isprintable():
        raise SchemeError(f"{at}: {tag!r} is not a tag; a tag is what can stand between two commas, on one line")


def _written(
    texts: Iterable[str], scheme: Scheme, labels: Classes, known: Mapping[str, str]
) -> Iterator[re.Pattern[str]]:
    """What the parts of templates can become that hold more than a placeholder."""
    words: dict[str, set[str]] = {name: {"", *known} for name in scheme.ask}
    words = {"shot": {"", *known}, "trigger": set(map(key_of, parts_of(scheme.trigger)))} | words
    words |= {name: {""} for name in scheme.axes}
    cut = set()
    for axis, _, tag in _class_tags(scheme, labels):
        words[axis].update(map(key_of, parts_of(tag)))
        cut |= {axis} if "," in tag else set()
    for part in dict.fromkeys(part.strip() for text in texts for part in text.split(",")):
        if re.fullmatch(r"\{\w+\}", part):  # a placeholder alone: whatever stands there is looked up as any tag is
            continue
        pieces, starts, ends = [], [0], []
        for literal, name, *_ in Formatter().parse(part):
            pieces.append(" *".join(map(re.escape, folded(literal).replace("_", " ").split(" "))))
            if name in cut:  # "{trigger} {who} smiles" with "mira, a girl" is "lbay mira" and "a girl smiles"
                starts.append(len(pieces))
                ends.append(len(pieces) + 1)
            if name is not None:
                longest_first = sorted(words[name], key=len, reverse=True)
                pieces.append(f"(?:{'|'.join(map(re.escape, longest_first))})")
        for start, end in product(starts, [*ends, len(pieces)]):
            if start < end:
                yield re.compile("".join(pieces[start:end]) + " *")
