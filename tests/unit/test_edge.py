"""`make edge`: CloudFront before an API, which then refuses whatever comes another way."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from infra import edge
from infra.cloudformation import read_document
from infra.edge import deploy
from infra.release import ReleaseError
from infra.stack import Stack

HOST = "abc123.execute-api.ap-southeast-1.amazonaws.com"
NAME = {"StackName": "wechat-auth-prod-edge"}
URL, DIGEST = "https://d111.cloudfront.net", "d" * 64
THERE = {
    "StackName": NAME["StackName"],
    "CreationTime": 0,
    "StackStatus": "CREATE_COMPLETE",
    "Parameters": [
        {"ParameterKey": "ApiHost", "ParameterValue": HOST},
        {"ParameterKey": "OriginSecret", "ParameterValue": "****"},
        {"ParameterKey": "OriginSecretSha256", "ParameterValue": DIGEST},
        {"ParameterKey": "RequestsPerAddress", "ParameterValue": "1000"},
    ],
    "Outputs": [
        {"OutputKey": "Url", "OutputValue": URL},
        {"OutputKey": "OriginSecretSha256", "OutputValue": DIGEST},
    ],
}  # fmt: skip


class CloudFormation:
    """CloudFormation's client with its own checks, and answers in the order they are given."""

    def __init__(self) -> None:
        self.client: Any = boto3.client(
            "cloudformation",
            region_name=edge.REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self.answers = Stubber(self.client)
        self.sent: dict[str, str | bool] = {}
        self.client.meta.events.register("provide-client-params.cloudformation", self._keep)

    def _keep(self, params: Any, **_: Any) -> None:
        for each in params.get("Parameters", []):
            value = each.get("ParameterValue", each.get("UsePreviousValue"))
            self.sent[each["ParameterKey"]] = value

    def has(self, status: str = "CREATE_COMPLETE") -> None:
        self.answers.add_response("describe_stacks", {"Stacks": [THERE | {"StackStatus": status}]})

    def has_none(self) -> None:
        self.refuses("describe_stacks", "Stack with id … does not exist")

    def refuses(self, call: str, message: str) -> None:
        self.answers.add_client_error(call, "ValidationError", message)

    def does(self, call: str) -> None:
        expected = {**NAME, "TemplateBody": ANY, "Parameters": ANY}
        self.answers.add_response(call, {"StackId": NAME["StackName"]}, expected)


@pytest.fixture
def aws() -> Iterator[CloudFormation]:
    aws = CloudFormation()
    with aws.answers:
        yield aws
        aws.answers.assert_no_pending_responses()


def api(**parameters: str) -> Stack:
    account = boto3.Session("testing", "testing", region_name="ap-southeast-1")
    outputs = {"ApiUrl": f"https://{HOST}"}
    client = account.client("secretsmanager")
    return Stack("wechat-auth-prod", parameters, outputs, account, client)


def test_the_first_time_it_makes_a_secret_and_tells_only_its_hash(aws: CloudFormation) -> None:
    aws.has_none()
    aws.does("create_stack")
    aws.has()
    aws.has()
    said = deploy(api(), aws.client, {"RequestsPerAddress": "500"})
    secret = str(aws.sent.pop("OriginSecret"))
    assert len(secret) == 64
    assert secret not in said
    assert aws.sent == {
        "ApiHost": HOST,
        "OriginSecretSha256": hashlib.sha256(secret.encode()).hexdigest(),
        "RequestsPerAddress": "500",
    }
    assert said == (
        f"{URL} is before https://{HOST}.\n"
        f'Now add "OriginSecretSha256={DIGEST}" to parameter_overrides of this environment in '
        "samconfig.toml and deploy: from then on the API refuses what does not come through it."
    )


def test_a_change_keeps_the_secret_and_whatever_is_not_given(aws: CloudFormation) -> None:
    aws.has()
    aws.does("update_stack")
    aws.has("UPDATE_COMPLETE")
    aws.has("UPDATE_COMPLETE")
    said = deploy(api(OriginSecretSha256=DIGEST), aws.client, {"RequestsPerAddress": "500"})
    assert aws.sent == {
        "ApiHost": HOST,
        "OriginSecret": True,
        "OriginSecretSha256": True,
        "RequestsPerAddress": "500",
    }
    assert said == (
        f"{URL} is before https://{HOST}.\n"
        "The API refuses what does not come through it."
    )  # fmt: skip


def test_without_a_change_it_says_how_things_are(aws: CloudFormation) -> None:
    aws.has()
    aws.refuses("update_stack", "No updates are to be performed.")
    aws.has()
    assert deploy(api(), aws.client, {}).startswith(f"{URL} is before https://{HOST}.")


@pytest.mark.parametrize("given", ["OriginSecret", "Rate"])
def test_what_is_not_ones_to_choose_is_refused(aws: CloudFormation, given: str) -> None:
    with pytest.raises(ReleaseError, match=f"{given}: the edge has CertificateArn, DomainName, "):
        deploy(api(), aws.client, {given: "1"})


def test_what_cloudformation_refuses_is_said(aws: CloudFormation) -> None:
    aws.refuses("describe_stacks", "not authorized")
    with pytest.raises(ReleaseError, match=r"in us-east-1 cannot be read: .*not authorized"):
        deploy(api(), aws.client, {})
    aws.has_none()
    aws.refuses("create_stack", "not authorized")
    with pytest.raises(ReleaseError, match=r"cannot be deployed: .*not authorized"):
        deploy(api(), aws.client, {})
    aws.has_none()
    aws.does("create_stack")
    aws.has("ROLLBACK_COMPLETE")
    with pytest.raises(ReleaseError, match="failed: CloudFormation's console shows its events"):
        deploy(api(), aws.client, {})


def test_every_request_reaches_the_api_once_and_uncached_with_the_secret_and_no_address() -> None:
    resources = read_document(edge.TEMPLATE)["Resources"]
    properties = resources["Distribution"]["Properties"]["DistributionConfig"]
    (origin,) = properties["Origins"]
    assert origin["OriginCustomHeaders"] == [
        {"HeaderName": "X-Origin-Secret", "HeaderValue": {"Ref": "OriginSecret"}}
    ]
    assert origin["ConnectionAttempts"] == 1
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert properties["DefaultCacheBehavior"]["CachePolicyId"].startswith("4135ea2d")
    assert "Logging" not in properties
    (rule,) = resources["Firewall"]["Properties"]["Rules"]
    assert rule["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"
    block = rule["Action"]["Block"]["CustomResponse"]
    bodies = resources["Firewall"]["Properties"]["CustomResponseBodies"]
    assert block["ResponseCode"] == 429
    body = json.loads(bodies[block["CustomResponseBodyKey"]]["Content"])
    assert body == {"message": "Too Many Requests"}


@pytest.mark.parametrize(
    ("path", "counted"),
    [
        ("/login", True),
        ("/introspect", False),
        ("/wechat-push/wx0123456789abcdef", False),
        ("/wechat-push/wxc0ffee0000000001/wx0123456789abcdef", False),
        ("/introspect/", True),
        ("/wechat-push/../login", True),
        ("/wechat-push/%2e%2e/login", True),
        ("/login/introspect", True),
    ],
)
def test_phones_are_counted_and_neither_the_teams_servers_nor_wechat(
    path: str, counted: bool
) -> None:
    (rule,) = read_document(edge.TEMPLATE)["Resources"]["Firewall"]["Properties"]["Rules"]
    (scope,) = rule["Statement"]["RateBasedStatement"]["ScopeDownStatement"].values()
    match = scope["Statement"]["RegexMatchStatement"]
    assert match["FieldToMatch"] == {"UriPath": {}}
    assert bool(re.search(match["RegexString"], path)) is not counted
