"""What infra/openapi.yaml says of an answer."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.harness.api import Answer

_OPENAPI = Path(__file__).parents[2] / "infra" / "openapi.yaml"


def assert_keeps_to_the_contract(answer: Answer) -> None:
    """Check status, media type, headers and body against the document."""
    said = _follow(_openapi()["paths"][answer.path][answer.method.lower()])
    response = _follow(said["responses"].get(str(answer.status)))
    assert response, f"{answer} is no documented answer"
    for name, header in response.get("headers", {}).items():
        _check_header(answer, name, _follow(header))
    if "content" not in response:
        assert answer.content == b""
        return
    media_type = answer.headers["Content-Type"].partition(";")[0]
    assert media_type in response["content"], f"{answer} has an undocumented media type"
    _check(answer, response["content"][media_type]["schema"], answer.json)


def _check_header(answer: Answer, name: str, header: dict[str, Any]) -> None:
    value: Any = answer.headers.get(name)
    if value is None:
        assert not header.get("required"), f"{answer} lacks {name}"
    else:
        schema = header["schema"]
        _check(answer, schema, int(value) if schema.get("type") == "integer" else value)


def _check(answer: Answer, schema: dict[str, Any], value: object) -> None:
    root = {"$ref": "urn:contract" + schema["$ref"]} if "$ref" in schema else _absolute(schema)
    errors = [error.message for error in Draft202012Validator(root, registry=_registry())
              .iter_errors(value)]  # fmt: skip
    assert errors == [], answer


def _follow(part: Any) -> Any:
    while isinstance(part, dict) and "$ref" in part:
        target = part["$ref"].removeprefix("#/").split("/")
        part = _openapi()
        for name in target:
            part = part[name]
    return part


def _absolute(schema: Any) -> Any:
    """Let references lead into the document wherever the schema stands."""
    if isinstance(schema, dict):
        return {
            name: f"urn:contract{value}" if name == "$ref" else _absolute(value)
            for name, value in schema.items()
        }
    return [_absolute(each) for each in schema] if isinstance(schema, list) else schema


@cache
def _openapi() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(_OPENAPI.read_text("utf-8"))
    return document


@cache
def _registry() -> "Registry[Any]":
    resource: Resource[Any] = DRAFT202012.create_resource(_openapi())
    registry: Registry[Any] = Registry()
    with_contract: Registry[Any] = registry.with_resource("urn:contract", resource)
    return with_contract
