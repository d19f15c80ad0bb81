"""Options of readers and writers: keyword-only parameters, checked, and read from text."""

import difflib
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from exemplar.skeletons import known_set

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def options_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The options of a function: its keyword-only parameters."""
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def check_options(function: Callable[..., Any], given: Mapping[str, Any], whose: str) -> None:
    """ValueError, with those that there are, for a name that is no option of `function`."""
    known = options_of(function)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            listed = ", ".join(known) or "none"
            raise ValueError(f"{whose} has no option {name!r}{hint}, its options: {listed}")


def parse_options(function: Callable[..., Any], texts: Sequence[str], whose: str) -> dict[str, Any]:
    """Options from `name=value` texts, each value as the parameter's annotation says.

    Sequences are separated by commas; "none" is None where that is allowed. ValueError, in one
    line, for an unknown name or a value that does not fit.
    """
    parsed: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise ValueError(f"expected an option as name=value, got {text!r}")
        check_options(function, {name: value}, whose)
        kind = options_of(function)[name].annotation
        try:
            parsed[name] = _value(kind, value.strip())
        except ValueError:
            raise ValueError(f"option {name}: expected {describe(kind)}, got {value!r}") from None
    return parsed


def with_joints(options: tuple[str, ...], joints: str) -> tuple[str, ...]:
    """Options of a reader, and the joint set if it is given; ValueError for an unknown one."""
    return (*options, f"joints={known_set(joints)}") if joints else options


def _value(kind: Any, text: str) -> Any:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        chosen = [choice for choice in inner if str(choice) == text]
        if not chosen:
            raise ValueError(text)
        return chosen[0]
    if origin in (typing.Union, types.UnionType):
        return _first_that_fits(inner, text)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return tuple(_value(inner[0], part.strip()) for part in text.split(",") if part.strip())
    if kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError(text)
        return text.lower() in _TRUE
    return kind(text) if kind in (int, float) else text


def _first_that_fits(kinds: Sequence[Any], text: str) -> Any:
    if type(None) in kinds and text.lower() == "none":
        return None
    for kind in kinds:
        if kind is not type(None):
            try:
                return _value(kind, text)
            except ValueError:
                continue
    raise ValueError(text)


def describe(kind: Any) -> str:
    """An annotation as a person reads it: `a|b`, `number`, `numbers, separated by commas`."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return "|".join(str(choice) or '""' for choice in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(one) for one in inner))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return f"{describe(inner[0])}, separated by commas"
    names = {bool: "true|false", int: "whole number", float: "number", type(None): "none"}
    return names.get(kind, "text")
