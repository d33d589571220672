"""JSON into frozen results, and back.

The types of a result's attributes say what is accepted. Tolerant where servers differ: unknown
keys are left out, and a key that is missing or null gets its default. Strict where an answer makes
no sense: a text where a number belongs is an error that names the place.
"""

import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

import attrs

T = TypeVar("T")


class MismatchError(ValueError):
    """A value has not the type that its place needs; the message names both."""


def decode(kind: type[T], value: object) -> T:
    """A result of this kind, from what JSON was parsed to.

    Raises:
        MismatchError: it is not of this shape.
    """
    result: T = _read(kind, value, "answer")
    return result


def encode(value: object) -> Any:
    """A result as what JSON, or YAML, is made from; the inverse of `decode`."""
    kind: Any = type(value)
    if attrs.has(kind):
        named = ((key, getattr(value, attribute.name)) for attribute, key, _ in _attributes(kind))
        return {key: encode(item) for key, item in named}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


@cache
def _attributes(kind: Any) -> tuple[tuple["attrs.Attribute[Any]", str, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple(
        (attribute, attribute.metadata.get("key", attribute.name), hints[attribute.name])
        for attribute in attrs.fields(kind)
    )


def _read(hint: Any, value: object, place: str) -> Any:
    origin = get_origin(hint)
    if origin in (types.UnionType, Union):
        if value is None:
            return None
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
        return _read(hint, value, place)
    if origin is tuple:
        item = get_args(hint)[0]
        values = _checked(list, value, place)
        return tuple(_read(item, each, f"{place}[{i}]") for i, each in enumerate(values))
    if origin is Mapping:
        item = get_args(hint)[1]
        pairs = _checked(dict, value, place)
        return {str(key): _read(item, each, f"{place}.{key}") for key, each in pairs.items()}
    if attrs.has(hint):
        return _read_object(hint, _checked(dict, value, place), place)
    return value if hint in (Any, object) else _scalar(hint, value, place)


def _read_object(kind: Any, found: dict[str, object], place: str) -> Any:
    arguments = {}
    for attribute, key, hint in _attributes(kind):
        value = found.get(key)
        if value is not None:
            arguments[attribute.name] = _read(hint, value, f"{place}.{key}")
        elif attribute.default is attrs.NOTHING:
            raise MismatchError(f"{place}.{key} is missing")
    return kind(**arguments)


def _checked(kind: type[T], value: object, place: str) -> T:
    if not isinstance(value, kind):
        names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
        raise MismatchError(f"{place} is not {names.get(kind, 'a number')}")
    return value


def _scalar(kind: Any, value: object, place: str) -> Any:
    if kind not in (int, float):
        return _checked(kind, value, place)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if kind is float and math.isfinite(number):
            return number
        if kind is int and (isinstance(value, int) or number.is_integer()):
            return int(value)
    raise MismatchError(f"{place} is not {'a' if kind is float else 'a whole'} number")
