import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local import embedded_aws
from local.stack import PortTakenError, Stack
from local.template import Application, GeneratedSecret, read_template

TEMPLATE = """
Resources:
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions:
        - {AttributeName: owner, AttributeType: B}
        - {AttributeName: name, AttributeType: S}
      KeySchema:
        - {AttributeName: owner, KeyType: HASH}
        - {AttributeName: name, KeyType: RANGE}
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
  Given: {Type: AWS::SecretsManager::Secret}
  Empty: {Type: AWS::SecretsManager::Secret}
  Generated:
    Type: AWS::SecretsManager::Secret
    Properties:
      GenerateSecretString:
        {SecretStringTemplate: '{"current":"k1"}', GenerateStringKey: k1, PasswordLength: 64,
         ExcludePunctuation: true}
"""


@pytest.fixture(scope="module")
def aws_url() -> Iterator[str]:
    with embedded_aws.serve() as url:
        yield url


@pytest.fixture
def application(tmp_path: Path) -> Application:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE, "utf-8")
    return read_template(path)


@pytest.fixture
def account() -> boto3.Session:
    return boto3.Session("local", "local", region_name="us-east-1")


def test_a_table_has_the_templates_keys_and_time_to_live(
    application: Application, aws_url: str, account: boto3.Session
) -> None:
    dynamodb = account.client("dynamodb", endpoint_url=aws_url)
    with embedded_aws.resources(application, aws_url, {}):
        table = dynamodb.describe_table(TableName="Items")["Table"]
        assert table["KeySchema"] == [
            {"AttributeName": "owner", "KeyType": "HASH"},
            {"AttributeName": "name", "KeyType": "RANGE"},
        ]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        ttl = dynamodb.describe_time_to_live(TableName="Items")["TimeToLiveDescription"]
        assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}
    assert dynamodb.list_tables()["TableNames"] == []
    dynamodb.close()


def test_secrets_are_given_generated_or_empty(
    application: Application, aws_url: str, account: boto3.Session
) -> None:
    secrets = account.client("secretsmanager", endpoint_url=aws_url)
    with embedded_aws.resources(application, aws_url, {"Given": "a secret"}):
        assert secrets.get_secret_value(SecretId="Given")["SecretString"] == "a secret"
        ring = json.loads(secrets.get_secret_value(SecretId="Generated")["SecretString"])
        assert ring["current"] == "k1"
        assert ring["k1"].isalnum()
        assert len(ring["k1"]) == 64
        with pytest.raises(secrets.exceptions.ResourceNotFoundException):
            secrets.get_secret_value(SecretId="Empty")
    assert secrets.list_secrets()["SecretList"] == []
    secrets.close()


def test_generated_secrets_differ() -> None:
    recipe = GeneratedSecret('{"current":"k1"}', "k1", 64, exclude_punctuation=True)
    assert embedded_aws.generate(recipe) != embedded_aws.generate(recipe)


def test_a_stack_serves_the_api_and_leaves_the_environment_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://elsewhere")
    before = dict(os.environ)
    with Stack.start(parameters={"SessionDays": "3"}) as stack:
        assert os.environ["SESSION_DAYS"] == "3"
        assert os.environ["WECHAT_BASE_URLS"] == stack.wechat_url
        assert os.environ["WECHAT_APPIDS"] == stack.appid
        assert os.environ["AWS_ENDPOINT_URL"] == stack.aws_url
        assert "AWS_PROFILE" not in os.environ
        assert "AWS_ENDPOINT_URL_DYNAMODB" not in os.environ
        outcome = stack.invoke("refresh_access_token", {})
        assert outcome == {stack.appid: "renewed"}
        with pytest.raises(RuntimeError, match="one stack per process"), Stack.start():
            pass
    assert dict(os.environ) == before


def test_a_taken_port_is_named_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(PortTakenError) as caught, Stack.start(port=taken):
            pass
    assert str(caught.value).startswith(f"port {taken} is in use: ")
    assert "\n" not in str(caught.value)
