"""What ministack lacks. If a test here fails, it has learnt it: see what the test names."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, WaiterError

from local.deployment import Deployment
from tests.deployed.conftest import another_stack, lines
from tests.harness.api import Api

OPERATION = {"type": "aws_proxy", "uri": "arn", "payloadFormatVersion": "2.0"}
BODY = {
    "openapi": "3.0.1",
    "info": {"title": "an API", "version": "1"},
    "paths": {"/x": {"get": {"x-amazon-apigateway-integration": OPERATION}}},
}
ALARM = {
    "Metrics": [{"Id": "sum", "Expression": "SUM(METRICS())"}],
    "EvaluationPeriods": 1,
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 1,
}


def template(kind: str, properties: dict[str, Any]) -> object:
    return {"Resources": {"It": {"Type": kind, "Properties": properties}}}


def test_the_body_of_an_api_is_not_imported(deployment: Deployment) -> None:
    """Else: `_import_body` of local/supplement.py can go."""
    with another_stack(deployment, template("AWS::ApiGatewayV2::Api", {"Body": BODY})) as ids:
        assert deployment.client("apigatewayv2").get_routes(ApiId=ids["It"])["Items"] == []


def test_the_access_log_is_not_written(deployment: Deployment, api: Api) -> None:
    """Else: check its lines in test_life.py, and take it from the list in docs/deploy.md."""
    api.session("x")
    assert lines(deployment, deployment.resources["AccessLog"].id) == []


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::CloudWatch::Alarm", ALARM),
        ("AWS::CodeDeploy::Application", {"ComputePlatform": "Lambda"}),
        ("AWS::EC2::NatGateway", {"SubnetId": "subnet-1"}),
    ],
)
def test_alarms_on_sums_canaries_and_nat_gateways_are_unknown(
    deployment: Deployment, kind: str, properties: dict[str, Any]
) -> None:
    """Else: deploy with Monitoring, CanaryDeployment or FixedAddresses here, too."""
    with (
        pytest.raises((ClientError, WaiterError)),
        another_stack(deployment, template(kind, properties)),
    ):
        pass
