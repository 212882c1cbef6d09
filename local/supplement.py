"""What ministack lacks and this stack needs, done by AWS's own calls after each deployment.

An HTTP API's `Body` is not imported. SAM writes routes, integrations and authorizers into that body
alone, so the API would have none: they are made from the very body that CloudFormation got. If a
later version can do it, tests/deployed/test_emulator.py says so.

Source: Amazon API Gateway Developer Guide, "OpenAPI definitions for HTTP APIs".
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from local.ministack import client


def supply(aws_url: str, stack_name: str, ids: Mapping[str, str]) -> None:
    """Supply a deployed stack with what it would have on AWS.

    Args:
        aws_url: Where the emulator listens.
        stack_name: The stack; it has one HTTP API.
        ids: The physical ids of its resources, by logical id.
    """
    template = client(aws_url, "cloudformation").get_template(
        StackName=stack_name, TemplateStage="Processed"
    )
    (api,) = (
        (logical_id, resource["Properties"]["Body"])
        for logical_id, resource in template["TemplateBody"]["Resources"].items()
        if resource["Type"] == "AWS::ApiGatewayV2::Api"
    )
    _import_body(client(aws_url, "apigatewayv2"), ids[api[0]], api[1], ids)


def _import_body(gateway: Any, api_id: str, body: dict[str, Any], ids: Mapping[str, str]) -> None:
    before = {
        kind: getattr(gateway, f"get_{kind.lower()}s")(ApiId=api_id)["Items"]
        for kind in ("Route", "Integration", "Authorizer")
    }
    authorizers = {
        name: gateway.create_authorizer(
            ApiId=api_id,
            Name=name,
            AuthorizerType="REQUEST",
            AuthorizerUri=_function(given["authorizerUri"], ids),
            AuthorizerPayloadFormatVersion=given["authorizerPayloadFormatVersion"],
            EnableSimpleResponses=given["enableSimpleResponses"],
            IdentitySource=given["identitySource"],
            AuthorizerResultTtlInSeconds=given["authorizerResultTtlInSeconds"],
        )["AuthorizerId"]
        for name, scheme in body.get("components", {}).get("securitySchemes", {}).items()
        for given in [scheme["x-amazon-apigateway-authorizer"]]
    }
    stale = {route["RouteKey"]: route for route in before["Route"]}
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            given = operation["x-amazon-apigateway-integration"]
            integration = gateway.create_integration(
                ApiId=api_id,
                IntegrationType="AWS_PROXY",
                IntegrationUri=_function(given["uri"], ids),
                PayloadFormatVersion=given["payloadFormatVersion"],
            )
            default = operation.get("isDefaultRoute")
            route = {"RouteKey": path if default else f"{method.upper()} {path}"}
            route["Target"] = f"integrations/{integration['IntegrationId']}"
            for name in (name for scheme in operation.get("security", []) for name in scheme):
                route |= {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizers[name]}
            # Changed in place: a user in between must not find it missing.
            if known := stale.pop(route["RouteKey"], None):
                gateway.update_route(ApiId=api_id, RouteId=known["RouteId"], **route)
            else:
                gateway.create_route(ApiId=api_id, **route)
    for kind, items in (before | {"Route": list(stale.values())}).items():
        for item in items:
            delete = getattr(gateway, f"delete_{kind.lower()}")
            delete(ApiId=api_id, **{f"{kind}Id": item[f"{kind}Id"]})


def _function(value: object, ids: Mapping[str, str]) -> str:
    """Return the function that an address names by its logical id."""
    return next(ids[word] for word in re.findall(r"\w+", json.dumps(value)) if word in ids)
