"""The templates as they are deployed, in AWS's own regions and in those of mainland China."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cfnlint import ManualArgs, lint

from infra.cloudformation import read_document
from tests.harness.transform import (
    EVERYTHING_ON,
    REGIONS,
    TEMPLATES,
    Document,
    of_type,
    transformed,
)

# Service principals that are spelled so in every partition (AWS's list of service principals).
EVERYWHERE = {"lambda.amazonaws.com", "apigateway.amazonaws.com", "scheduler.amazonaws.com"}


@pytest.fixture(scope="module", params=REGIONS)
def partition(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def documents(partition: str) -> dict[str, Document]:
    documents = {key: read_document(path) for key, path in TEMPLATES.items()}
    # What an operator gives is of the partition where they deploy.
    arns = {name: value.replace("arn:aws:", "arn:${p}:") for name, value in EVERYTHING_ON.items()}
    return documents | {"template": transformed(parameters=arns, partition=partition)}


def test_no_arn_and_no_host_is_of_another_partition(
    documents: dict[str, Document], partition: str
) -> None:
    for text in (text for document in documents.values() for text in texts(document)):
        for found in re.findall(r"arn:(?!\$\{AWS::Partition\})([^:\s]*):", text):
            # SAM itself writes the partition of the region in which it transforms.
            assert found in {partition, "[a-z-]+"}, text
        if "amazonaws.com" in text:
            assert text in EVERYWHERE, text
        assert not re.search(r"(us|ap|eu|cn)-[a-z]+-\d", text.replace("arn:aws:sns", "")), text


def test_what_china_has_not_is_off_there(documents: dict[str, Document]) -> None:
    template = documents["template"]
    types = {resource["Type"] for resource in template["Resources"].values()}
    assert "AWS::Lambda::Url" not in types
    for function in of_type(template, "AWS::Lambda::Function").values():
        assert "TracingConfig" not in function
        assert function["SnapStart"] == {
            "Fn::If": ["HasSnapStart", {"ApplyOn": "PublishedVersions"}, {"Ref": "AWS::NoValue"}]
        }
    assert template["Conditions"]["HasSnapStart"] == {
        "Fn::And": [
            {"Fn::Equals": [{"Ref": "SnapStart"}, "true"]},
            {"Fn::Not": [{"Fn::Equals": [{"Ref": "AWS::Partition"}, "aws-cn"]}]},
        ]
    }
    for stage in of_type(template, "AWS::ApiGatewayV2::Stage").values():
        assert not stage["DefaultRouteSettings"].get("DetailedMetricsEnabled")


def test_every_other_service_that_is_used_is_there_too(documents: dict[str, Document]) -> None:
    # Each is listed for Beijing and Ningxia (AWS China, product and service comparison).
    used = {
        resource["Type"].split("::")[1]
        for document in documents.values()
        for resource in document["Resources"].values()
    }
    assert used == {
        "ApiGatewayV2",
        "CloudFormation",
        "CloudWatch",
        "CodeDeploy",
        "DynamoDB",
        "EC2",
        "IAM",
        "Lambda",
        "Logs",
        "SQS",
        "Scheduler",
        "SecretsManager",
    }


def test_everything_that_can_be_switched_on_is_valid_there(
    documents: dict[str, Document], partition: str
) -> None:
    # W3002: TemplateURL is local until `sam deploy`. E2530: cfn-lint does not look at a condition
    # on the partition, so it finds SnapStart in China, where HasSnapStart is false. W1001: groups
    # of CodeDeploy are there only if their role is, by the value that SAM sees, not by a condition.
    # W1028: a platform's functions have the variables of all functions, those without one included.
    ignored = ["W3002", "E2530", "W1001", "W1028"]
    config = ManualArgs(regions=[REGIONS[partition]], ignore_checks=ignored)
    for document in documents.values():
        found = lint(json.dumps(document), config=config)
        assert [f"{match.rule.id} {match.message}" for match in found] == []


@pytest.mark.parametrize(
    ("parameters", "target", "arn"),
    [
        (EVERYTHING_ON, "Aliaslive", {"Ref": "{}FunctionAliaslive"}),
        (
            {"WeChatAppIds": "wx0123456789abcdef"},
            "Function.Arn",
            {"Fn::GetAtt": ["{}Function", "Arn"]},
        ),
    ],
    ids=["published versions", "by default"],
)
def test_requests_reach_the_alias_if_there_is_one_and_the_newest_code_if_not(
    parameters: dict[str, str], target: str, arn: Document
) -> None:
    def of(function: str) -> Document:
        document: Document = json.loads(json.dumps(arn).replace("{}", function))
        return document

    template = transformed(parameters=parameters)
    body = json.dumps(of_type(template, "AWS::ApiGatewayV2::Api")["Api"]["Body"])
    integrations = re.findall(r"functions/\$\{([\w.]+)\}/invocations", body)
    assert len(integrations) == 11
    assert all(each.endswith(target) for each in integrations if each != "__FunctionArn__")
    assert json.dumps({"__FunctionArn__": of("Authorizer")}) in body
    (schedule,) = of_type(template, "AWS::Scheduler::Schedule").values()
    assert schedule["Target"]["Arn"] == of("RefreshAccessToken")
    role = of_type(template, "AWS::IAM::Role")["RefreshScheduleRole"]
    start, _ = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert start["Resource"] == of("RefreshAccessToken")
    for function in ("Authorizer", "AccessToken", "EndSessions"):
        output = {"Authorizer": "AuthorizerArn"}.get(function, f"{function}FunctionArn")
        assert template["Outputs"][output]["Value"] == of(function)


OF_A_PLATFORM = {
    "Platform", "PlatformEvents", "PlatformEventsFunctionAuthorised",
    "MerchantsFunction", "MerchantsRole", "MerchantsLog",
    "PlatformEventsFunction", "PlatformEventsRole", "PlatformEventsLog",
}  # fmt: skip


def test_by_default_nothing_that_costs_by_the_hour_is_there() -> None:
    template = transformed(parameters={"WeChatAppIds": "wx0123456789abcdef"})
    conditions = template["Conditions"]
    assert {
        key: r["Condition"] for key, r in template["Resources"].items() if "Condition" in r
    } == {
        "CustomDomain": "HasCustomDomain",
        "CustomDomainMapping": "HasCustomDomain",
        "DeploymentRole": "HasCanary",
        "Egress": "HasFixedAddresses",
        "NewCodeDoesNotRun": "HasCanary",
        "NewCodeFails": "HasCanary",
        "Observability": "HasMonitoring",
    } | dict.fromkeys(OF_A_PLATFORM, "HasPlatform")
    assert conditions.keys() == {
        "HasAccountFunction",
        "HasCanary",
        "HasCustomDomain",
        "HasFixedAddresses",
        "HasMonitoring",
        "HasPlatform",
        "HasReservedConcurrency",
        "HasSnapStart",
    }
    assert not of_type(template, "AWS::CodeDeploy::DeploymentGroup")


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                if key not in {"Description", "AlarmDescription", "Metadata"}:
                    yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)
