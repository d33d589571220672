"""Records to JSON, and JSON to records.

A record's annotations say what its keys are: `Annotated[int | None, "When it ended.", AtLeast(0)]`.
The text describes the key, the other marks are below; `make openapi` reads all of them.

Reading is tolerant where servers differ: unknown keys are left out, and a key that is missing or
null gets its default. It is strict where an answer makes no sense: a text where a number belongs is
an error that names the place.
"""

import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import attrs

T = TypeVar("T")

# Requests and stored rows have no JSON with more levels.
MOST_LEVELS = 16


@attrs.frozen
class Key:
    """The key in JSON, where Python cannot name it so."""

    name: str


@attrs.frozen
class Within:
    """A number has these bounds; None: it has none on that side."""

    least: float | None = None
    most: float | None = None


@attrs.frozen(init=False)
class OneOf:
    """A text is one of these, for now: those who read it must take others, too."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        self.__attrs_init__(values)


@attrs.frozen
class Shape:
    """Further keywords of JSON Schema: the whole shape, where the type is Any."""

    keywords: Mapping[str, Any] = attrs.field(hash=False)


@attrs.frozen
class LeftOut:
    """The key is left out where it is None."""


@attrs.frozen
class NeverNull:
    """The server always has a value here. None is for what an older server leaves out."""


EpochMs = Annotated[int, "Milliseconds since the epoch."]
Ratio = Annotated[float, Within(0, 1)]
WaitedMs = Annotated[Mapping[str, float], "Milliseconds by cause."]


class MismatchError(ValueError):
    """A value has not the type that its place needs; the message names both."""


@attrs.frozen
class Attribute:
    """An attribute of a record: its name in Python, its key in JSON, its type and its marks."""

    name: str
    key: str
    kind: Any
    marks: tuple[Any, ...]
    default: Any  # for a key that is missing; `attrs.NOTHING`: it must be there
    may_be_left_out: bool  # JSON has no such key where it is None


def unmarked(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without its marks, and these."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[0], get_args(kind)[1:]
    return kind, ()


def without_none(kind: Any) -> tuple[Any, bool]:
    """Of a type that allows None what else it is, and whether it does."""
    if get_origin(kind) not in (types.UnionType, Union):
        return kind, False
    (other,) = (part for part in get_args(kind) if part is not types.NoneType)
    return other, True


@cache
def attributes(record: Any) -> tuple[Attribute, ...]:
    """Of a record, in the order of JSON's keys."""
    hints = typing.get_type_hints(record, include_extras=True)
    found = []
    for field in attrs.fields(record):
        kind, marks = unmarked(hints[field.name])
        key = next((mark.name for mark in marks if isinstance(mark, Key)), field.name)
        left_out = any(isinstance(mark, LeftOut) for mark in marks)
        found.append(Attribute(field.name, key, kind, marks, field.default, left_out))
    return tuple(found)


# A status has thousands of these, and Synapse's main thread makes JSON of it every few seconds.
_PLAIN = frozenset({str, int, float, bool, types.NoneType})


def to_json(value: object) -> Any:
    """A record, or what has records in it, as JSON is made from; the inverse of `decode`."""
    record: Any = type(value)
    if record in _PLAIN:
        return value
    if attrs.has(record):
        pairs = ((each, getattr(value, each.name)) for each in attributes(record))
        return {
            each.key: item if type(item) in _PLAIN else to_json(item)
            for each, item in pairs
            if item is not None or not each.may_be_left_out
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def depth(value: object) -> int:
    """How many levels parsed JSON has; one of neither an object nor a list."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0)


def refuse_constant(name: str) -> Any:
    """For `json.loads(parse_constant=...)`: JSON has no NaN and no Infinity."""
    raise ValueError(f"{name} is not a number")


def decode(kind: type[T], value: object) -> T:
    """A record of this kind, from parsed JSON; MismatchError: it is not of this shape."""
    result: T = _read(kind, value, "answer")
    return result


def _read(kind: Any, value: object, place: str) -> Any:
    kind, is_optional = without_none(unmarked(kind)[0])
    if is_optional:
        return None if value is None else _read(kind, value, place)
    origin = get_origin(kind)
    if origin is tuple:
        values = _checked(list, value, place)
        return tuple(_read(get_args(kind)[0], v, f"{place}[{i}]") for i, v in enumerate(values))
    if origin is Mapping:
        pairs = _checked(dict, value, place)
        return {str(k): _read(get_args(kind)[1], v, f"{place}.{k}") for k, v in pairs.items()}
    if attrs.has(kind):
        return _read_record(kind, _checked(dict, value, place), place)
    return value if kind in (Any, object) else _scalar(kind, value, place)


def _read_record(record: Any, found: dict[str, object], place: str) -> Any:
    arguments = {}
    for attribute in attributes(record):
        value = found.get(attribute.key)
        if value is not None:
            arguments[attribute.name] = _read(attribute.kind, value, f"{place}.{attribute.key}")
        elif attribute.default is attrs.NOTHING:
            raise MismatchError(f"{place}.{attribute.key} is missing")
    return record(**arguments)


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
