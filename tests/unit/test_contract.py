"""template.yaml, the functions and infra/openapi.yaml say the same."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from infra.cloudformation import read_document
from local.template import DEFAULT, Application, read_template
from wechat_auth.errors import NO_SUCH_ROUTE, PROBLEMS
from wechat_auth.mistakes import ROUTES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "infra/openapi.yaml").read_text("utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="module")
def application() -> Application:
    parameters = {"WeChatAppIds": "wx0123456789abcdef", "ComponentAppId": "wxc0ffee0000000001"}
    return read_template(ROOT / "template.yaml", parameters)


def operations(openapi: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }


def look_up(openapi: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        target: Any = openapi
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        value = target
    return value


def test_the_document_is_valid_openapi_3_1(openapi: dict[str, Any]) -> None:
    assert openapi["openapi"] == "3.1.0"
    validate(openapi)


def test_the_document_describes_exactly_the_templates_routes(
    openapi: dict[str, Any], application: Application
) -> None:
    assert operations(openapi).keys() | {DEFAULT} == for_clients(application)


def test_a_request_without_a_route_is_told_exactly_those(application: Application) -> None:
    told = {f"{method} {path}" for path, methods in ROUTES.items() for method in methods}
    assert told | {DEFAULT} == for_clients(application)


def for_clients(application: Application) -> set[str]:
    """Return the routes but for those that WeChat itself calls, in a format of its own."""
    return {route.key for route in application.routes if "/wechat-push/" not in route.path}


def test_every_function_folder_is_in_the_template_and_has_its_handler(
    application: Application,
) -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/app.py")}
    assert folders == application.functions.keys()
    for function in application.functions.values():
        assert function.folder == ROOT / "functions" / function.name
        assert function.handler == "app.handler"


def test_every_route_is_throttled_by_a_figure_of_its_own(application: Application) -> None:
    template = read_document(ROOT / "template.yaml")
    settings = template["Resources"]["Api"]["Properties"]["RouteSettings"]
    assert settings.keys() == {route.key for route in application.routes}


def test_the_problem_table_is_that_of_the_code(openapi: dict[str, Any]) -> None:
    documented = [
        {name: each["enum"][0] for name, each in schema["allOf"][1]["properties"].items()}
        for schema in openapi["components"]["schemas"].values()
        if schema.get("allOf", [{}])[0].get("$ref") == "#/components/schemas/Problem"
    ]
    coded = [
        {
            "type": f"urn:wechat-auth:problem:{problem.code}",
            "code": problem.code,
            "status": problem.status,
            "action": problem.action,
        }
        for problem in PROBLEMS
        if problem is not NO_SUCH_ROUTE  # no operation of the contract answers it
    ]
    assert sorted(documented, key=lambda row: row["code"]) == sorted(
        coded, key=lambda row: str(row["code"])
    )


def test_every_error_status_of_the_code_is_documented(openapi: dict[str, Any]) -> None:
    documented = {
        int(status)
        for operation in operations(openapi).values()
        for status in operation["responses"]
    }
    coded = {problem.status for problem in PROBLEMS if problem is not NO_SUCH_ROUTE}
    assert documented == {200, 204} | coded


def test_requests_may_hold_more_and_answers_hold_nothing_else(openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    objects = {name: schema for name, schema in schemas.items() if schema.get("type") == "object"}
    assert {name: schema["additionalProperties"] for name, schema in objects.items()} == {
        name: name.endswith("Request") for name in objects
    }


def test_every_example_conforms_to_its_schema(openapi: dict[str, Any]) -> None:
    resource = Resource.from_contents(openapi, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openapi", resource)
    checked = 0
    for operation in operations(openapi).values():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for media in look_up(openapi, body).get("content", {}).values():
                schema = json.loads(json.dumps(media["schema"]).replace('"#/', '"urn:openapi#/'))
                for example in media.get("examples", {}).values():
                    value = look_up(openapi, example)["value"]
                    Draft202012Validator(schema, registry=registry).validate(value)
                    checked += 1
    assert checked > 40
