"""YAML that people write, read strictly: every value knows its line, hostile files cost nothing.

Plain scalars mean what `yaml.safe_load` says. Refused, with file and line: more than 64 kB, more
than 1,000 values, more than 20 levels, anchors and aliases (a few lines of them make gigabytes),
tags, a key twice, keys that are not short text, a second document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from shared.errors import BadInput

SPEC_BYTES = 65_536
SPEC_VALUES = 1_000
SPEC_DEPTH = 20
_KEY_CHARS = 100
_NUMBER_CHARS = 100
"""A longer plain scalar is text: YAML's numbers in base 60 would cost seconds."""
_MANY_LINES = "give one value a line, each after '- '"


@dataclass(frozen=True)
class Spot:
    """A value of a YAML file with its place; a mapping or a list holds Spots.

    The readers below return the value as the wanted type or raise BadInput, which names
    `source:line`, the key, what is wrong and the mend.
    """

    source: str
    line: int
    key: str
    """The way to it, e.g. `params.min_events.default`; empty for the whole file."""
    value: Any

    def wrong(self, what: str, mend: str = "") -> BadInput:
        """The error to raise about this value."""
        name = f"'{self.key}' " if self.key else "the file "
        return BadInput(name + what, where=f"{self.source}:{self.line}", mend=mend)

    def fields(self, known: Iterable[str], required: Iterable[str] = ()) -> Mapping[str, Spot]:
        """A mapping with these keys and no others."""
        known, found = list(known), self.mapping()
        for name, spot in found.items():
            if name not in known:
                raise spot.wrong("is no key that is known here", did_you_mean(name, known))
        for name in required:
            if name not in found:
                raise self.wrong(f"lacks '{name}'", f"add a line '{name}: ...'")
        return found

    def mapping(self) -> Mapping[str, Spot]:
        """A mapping with any keys."""
        if isinstance(self.value, dict):
            return self.value
        raise self._unlike("a mapping", "write 'key: value' lines, indented below it")

    def items(self, most: int = 100) -> list[Spot]:
        """A list of at most `most` values."""
        if not isinstance(self.value, list):
            raise self._unlike("a list", _MANY_LINES)
        if len(self.value) > most:
            raise self.wrong(f"has {len(self.value)} values", f"{most} are the most")
        return self.value

    def text(self, longest: int = 4_000) -> str:
        """Text that is not empty."""
        if not isinstance(self.value, str):
            raise self._unlike("text", "put it in quotes")
        if not 0 < len(self.value.strip()) <= longest:
            raise self.wrong(f"must have 1 to {longest} characters")
        return self.value.strip()

    def match(self, pattern: re.Pattern[str], meaning: str) -> str:
        """Text that matches a pattern as a whole; `meaning` says in words what it must be."""
        text = self.text()
        if not pattern.fullmatch(text):
            raise self.wrong(f"is {_short(text)} but must be {meaning}")
        return text

    def choice(self, options: Iterable[str]) -> str:
        """One of a few words."""
        options, text = list(options), self.text()
        if text not in options:
            raise self.wrong(f"is {_short(text)}", did_you_mean(text, options))
        return text

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self._unlike("true or false", "write true or false, without quotes")
        return self.value

    def whole(self, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        if type(self.value) is not int:
            raise self._unlike("a whole number", f"write a number from {least} to {most}")
        if not least <= self.value <= most:
            raise self.wrong(f"is {self.value}", f"write a number from {least} to {most}")
        return self.value

    def number(self, least: float = -math.inf, most: float = math.inf) -> float:
        """A finite number from `least` to `most`."""
        if type(self.value) not in (int, float):
            raise self._unlike("a number", "write a number, without quotes")
        if not (math.isfinite(self.value) and least <= self.value <= most):
            raise self.wrong(f"is {self.value}", f"write a number from {least:g} to {most:g}")
        return float(self.value)

    def _unlike(self, wanted: str, mend: str) -> BadInput:
        if self.value is None:
            return self.wrong("is empty", "give it a value, or leave the line out")
        return self.wrong(f"must be {wanted}, not {_kind(self.value)}", mend)


def read_yaml(text: str, source: str) -> Spot:
    """The whole file as one Spot. Raises BadInput with `source:line`."""
    if len(text) > SPEC_BYTES or len(text.encode(errors="replace")) > SPEC_BYTES:
        raise BadInput("the file has more than 64 kB", where=f"{source}:1", mend="shorten it")
    try:
        return _Builder(text, source).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _not_yaml(error.problem or "it does not parse", source, mark) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise _not_yaml(str(error).splitlines()[0], source, None) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The mend for a word that is none of the known ones."""
    known = list(known)
    close = get_close_matches(word, known, n=1, cutoff=0.6) or [
        name for name in known if name.lower() == word.lower()
    ]
    return f"did you mean '{close[0]}'?" if close else f"it is one of {', '.join(sorted(known))}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", bool: "true or false", str: "text"}
    return names.get(type(value), f"the {type(value).__name__} {_short(str(value))}")


def _not_yaml(problem: str, source: str, mark: yaml.Mark | None) -> BadInput:
    where = f"{source}:{mark.line + 1 if mark else 1}"
    return BadInput(f"the file is no YAML: {problem}", where=where, mend="correct that line")


class _Builder:
    """Events -> Spots, so that a limit stops the parser before it has read on."""

    def __init__(self, text: str, source: str) -> None:
        # libyaml where PyYAML was built with it (all its wheels are): it is some 20 times faster.
        parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=parser)
        self._scalars: Any = yaml.SafeLoader("")
        self._source = source
        self._values = 0

    def document(self) -> Spot:
        """The one document of the stream."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise BadInput("the file is empty", where=f"{self._source}:1", mend="write a spec")
        spot = self._value(next(self._events), "", 0)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._spot(after, "").wrong("has a second document", "remove it from '---' on")
        return spot

    def _spot(self, event: yaml.Event, key: str, value: object = None) -> Spot:
        return Spot(self._source, event.start_mark.line + 1 if event.start_mark else 1, key, value)

    def _value(self, event: yaml.Event, key: str, depth: int) -> Spot:
        self._check(event, key, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._spot(event, key, dict(self._pairs(key, depth)))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._spot(event, key, list(self._members(key, depth)))
        return self._spot(event, key, self._scalar(event, key))

    def _check(self, event: yaml.Event, key: str, depth: int) -> None:
        self._values += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._spot(event, key).wrong("has an anchor or alias (& or *)", "write it out")
        if getattr(event, "tag", None) not in (None, "!"):
            raise self._spot(event, key).wrong("has a tag (!)", "remove the tag")
        if depth > SPEC_DEPTH:
            raise self._spot(event, "").wrong(f"has more than {SPEC_DEPTH} levels", "flatten it")
        if self._values > SPEC_VALUES:
            raise self._spot(event, "").wrong(f"has more than {SPEC_VALUES} values", "shorten it")

    def _pairs(self, parent: str, depth: int) -> Iterator[tuple[str, Spot]]:
        seen: dict[str, int] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._value(event, parent, depth + 1)
            if not isinstance(name.value, str):
                raise name.wrong(f"has the key {_kind(name.value)}", "put the key in quotes")
            if len(name.value) > _KEY_CHARS:
                raise name.wrong(f"has the key {_short(name.value)}", "shorten the key")
            key = f"{parent}.{name.value}" if parent else name.value
            if name.value in seen:
                mend = f"keep one; the first is in line {seen[name.value]}"
                raise self._spot(event, key).wrong("is there twice", mend)
            seen[name.value] = name.line
            spot = self._value(next(self._events), key, depth + 1)
            yield name.value, Spot(spot.source, name.line, key, spot.value)

    def _members(self, parent: str, depth: int) -> Iterator[Spot]:
        number = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._value(event, f"{parent}[{number}]", depth + 1)
            number += 1

    def _scalar(self, event: yaml.Event, key: str) -> object:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._spot(event, key).wrong("is no value")
        text = str(event.value)
        if not event.implicit[0] or len(text) > _NUMBER_CHARS:
            return text
        tag = self._scalars.resolve(yaml.ScalarNode, text, (True, False))
        try:
            return self._scalars.construct_object(yaml.ScalarNode(tag, text))
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            mend = "put it in quotes if it is text"
            raise self._spot(event, key).wrong(f"has the value {text}", mend) from error
