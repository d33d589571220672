"""The HTTP API's description in OpenAPI 3.1, made from the records: `make openapi` writes it."""

import inspect
import json
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import attrs

from synapse_bgthrottle.codec import (
    Attribute,
    LeftOut,
    NeverNull,
    OneOf,
    Shape,
    Within,
    attributes,
    to_json,
    unmarked,
    without_none,
)
from synapse_bgthrottle.schema import DatabaseStatus, ErrorAnswer, ThrottleStatus
from testbed.openapi.errors import ERRORS
from testbed.openapi.operations import OPERATIONS, Operation
from testbed.openapi.requests import Settings

Json = dict[str, Any]

_TYPES: Mapping[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}
# Names in the description that differ from the class name.
_NAMES = {ThrottleStatus: "Status", DatabaseStatus: "Database", ErrorAnswer: "Error"}
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_INFO = {
    "title": "synapse-bgthrottle",
    "version": "1",
    "description": "Tells and steers what background updates do. Server administrators only."
    " Clients must ignore keys in answers that they do not know. A known path answers other methods"
    " with 405 and Allow.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_SERVER = {
    "url": "/_synapse/bgthrottle",
    "description": "Unless the module's configuration says otherwise. The main process only.",
}
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "The access token of a server administrator; with delegated authentication one"
    " with the scope urn:synapse:admin:*.",
}
_RETRY_AFTER = {
    "description": "Seconds.",
    "required": False,
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}


class _Schemas:
    """The descriptions of records by name, made when they are first referred to."""

    def __init__(self) -> None:
        self.by_name: dict[str, Json] = {}

    def of(self, kind: Any, marks: tuple[Any, ...] = (), *, is_request: bool = False) -> Json:
        """JSON Schema of a type with these marks."""
        kind, inner = unmarked(kind)
        marks = (*marks, *inner)
        other, is_optional = without_none(kind)
        if is_optional:
            is_null = not any(isinstance(mark, (NeverNull, LeftOut)) for mark in marks)
            other, inner = unmarked(other)
            described = self._described(other, (*marks, *inner), is_request)
            return _or_null(described) if is_null else described
        return self._described(kind, marks, is_request)

    def refer(self, record: Any, *, is_request: bool = False) -> Json:
        """A reference to a record. The record is described once."""
        name = _NAMES.get(record, record.__name__)
        if name not in self.by_name:
            self.by_name[name] = {}  # take the place before the records that it refers to
            self.by_name[name] = self._record(record, is_request)
        return {"$ref": f"#/components/schemas/{name}"}

    def _record(self, record: Any, is_request: bool) -> Json:
        keys = attributes(record)
        required = [each.key for each in keys if _is_required(each, is_request)]
        described: Json = {
            "type": "object",
            "description": " ".join(inspect.cleandoc(record.__doc__).split()),
            "required": required,
            "properties": {each.key: self._property(each, is_request) for each in keys},
        }
        if is_request:
            described["additionalProperties"] = False
        if record is Settings:
            described["minProperties"] = 1
        return described

    def _property(self, attribute: Attribute, is_request: bool) -> Json:
        described = self.of(attribute.kind, attribute.marks, is_request=is_request)
        if is_request and not _is_required(attribute, True) and not attribute.may_be_left_out:
            described["default"] = attribute.default
        return described

    def _described(self, kind: Any, marks: tuple[Any, ...], is_request: bool) -> Json:
        described = self._type(kind, is_request)
        texts = [mark for mark in marks if isinstance(mark, str)]
        if texts:
            described["description"] = " ".join(texts)
        for mark in marks:
            described.update(_keywords(mark))
        return described

    def _type(self, kind: Any, is_request: bool) -> Json:
        if get_origin(kind) is tuple:
            items = self.of(get_args(kind)[0], is_request=is_request)
            return {"type": "array", "items": items}
        if get_origin(kind) is Mapping:
            values = self.of(get_args(kind)[1], is_request=is_request)
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        if attrs.has(kind):
            return self.refer(kind, is_request=is_request)
        return {"type": _TYPES[kind]} if kind in _TYPES else {}


def _keywords(mark: Any) -> Json:
    if isinstance(mark, Within):
        bounds = {"minimum": mark.least, "maximum": mark.most}
        return {key: bound for key, bound in bounds.items() if bound is not None}
    if isinstance(mark, OneOf):
        return {"enum": list(mark.values)}
    return dict(mark.keywords) if isinstance(mark, Shape) else {}


def _or_null(described: Json) -> Json:
    if "$ref" in described:
        reference = {"$ref": described.pop("$ref")}
        return {"oneOf": [reference, {"type": "null"}], **described}
    return {**described, "type": [described["type"], "null"]}


def _is_required(attribute: Attribute, is_request: bool) -> bool:
    """Answers have all keys but those that may be left out; requests, those without default."""
    return attribute.default is attrs.NOTHING if is_request else not attribute.may_be_left_out


def description() -> Json:
    """The whole description."""
    schemas = _Schemas()
    paths = {f"/v1/{operation.name}": _path(operation, schemas) for operation in OPERATIONS}
    responses = {
        error.name: _response(error.description, schemas.refer(ErrorAnswer), error.example)
        for error in ERRORS
    }
    responses["TooMany"]["headers"]["Retry-After"] = _RETRY_AFTER
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [_SERVER],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": _TOKEN},
            "headers": {
                name: {"required": True, "schema": {"type": "string", "const": value}}
                for name, value in _HEADERS.items()
            },
            "responses": responses,
            "schemas": schemas.by_name,
        },
    }


def text() -> str:
    """The description as in the file."""
    return json.dumps(description(), indent=1) + "\n"


def _path(operation: Operation, schemas: _Schemas) -> Json:
    described: Json = {
        "operationId": operation.name.partition(".")[0],
        "summary": operation.summary,
    }
    query: Any = type(operation.query)
    body: Any = type(operation.body)
    if operation.query is not None:
        described["parameters"] = [
            _parameter(each, operation.query, schemas) for each in attributes(query)
        ]
    if operation.body is not None:
        described["requestBody"] = {
            "required": any(_is_required(each, True) for each in attributes(body)),
            "content": _content(schemas.refer(body, is_request=True), operation.body),
        }
    is_any = operation.answer is None
    schema = {"type": "object"} if is_any else schemas.refer(type(operation.answer))
    answer = {"openapi": "3.1.0"} if is_any else operation.answer
    described["responses"] = {
        "200": _response("As asked for.", schema, answer),
        **{
            str(error.status): {"$ref": f"#/components/responses/{error.name}"}
            for error in ERRORS
            if error.status != 413 or operation.body is not None
        },
    }
    return {"get" if operation.body is None else "post": described}


def _parameter(attribute: Attribute, example: Any, schemas: _Schemas) -> Json:
    schema = schemas.of(attribute.kind, attribute.marks, is_request=True)
    is_required = _is_required(attribute, True)
    if not is_required and not attribute.may_be_left_out:
        schema["default"] = attribute.default
    return {
        "name": attribute.key,
        "in": "query",
        "required": is_required,
        "description": schema.pop("description"),
        "schema": schema,
        "example": getattr(example, attribute.name),
    }


def _response(about: str, schema: Json, example: Any) -> Json:
    return {
        "description": about,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS},
        "content": _content(schema, example),
    }


def _content(schema: Json, example: Any) -> Json:
    return {"application/json": {"schema": schema, "example": to_json(example)}}


if __name__ == "__main__":
    print(text(), end="")
