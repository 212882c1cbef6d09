"""`make api-client`: a client's secret is shown once, and only its hash is stored."""

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from infra import api_client
from infra.api_client import add, remove
from infra.secret import SecretError
from tests.harness.transform import ROOT
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Aws

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

REGION = "ap-southeast-1"


def functions(client: "SecretsManagerClient") -> SecretStore:
    """Return the secrets as the functions read them."""
    aws = Aws(lambda **_: client)
    return SecretStore(aws, key_ring_id="-", app_secrets_id="-", api_clients_id="ApiClients")


@pytest.fixture
def client(aws_account: None) -> "SecretsManagerClient":
    client = boto3.client("secretsmanager", region_name=REGION)
    client.create_secret(Name="ApiClients", SecretString="{}")
    return client


def stored(client: "SecretsManagerClient") -> Any:
    return json.loads(client.get_secret_value(SecretId="ApiClients")["SecretString"])


def test_a_client_is_known_to_the_functions_and_its_secret_is_not_kept(
    client: "SecretsManagerClient",
) -> None:
    orders = add(client, "ApiClients", "orders")
    shop = add(client, "ApiClients", "shop")
    assert re.fullmatch("[0-9a-f]{64}", orders)
    known = functions(client)
    assert known.is_api_client("orders", orders)
    assert known.is_api_client("shop", shop)
    assert not known.is_api_client("shop", orders)
    assert stored(client).keys() == {"orders", "shop"}
    assert not {orders, shop} & set(stored(client).values())


def test_a_removed_client_is_refused(client: "SecretsManagerClient") -> None:
    orders, shop = (add(client, "ApiClients", name) for name in ("orders", "shop"))
    assert remove(client, "ApiClients", "orders") == ["shop"]
    known = functions(client)
    assert not known.is_api_client("orders", orders)
    assert known.is_api_client("shop", shop)


@pytest.mark.parametrize("name", ["", "two words", "a:b", "a%20b", "a+b", "\u5546\u57ce", "a" * 65])
def test_a_name_that_http_clients_would_write_differently_is_refused(
    client: "SecretsManagerClient", name: str
) -> None:
    with pytest.raises(SecretError, match="NAME must be 1 to 64 letters, digits"):
        add(client, "ApiClients", name, make=pytest.fail)
    assert stored(client) == {}


def test_a_client_that_is_there_keeps_its_secret(client: "SecretsManagerClient") -> None:
    add(client, "ApiClients", "orders")
    before = stored(client)
    with pytest.raises(SecretError, match="orders is there already, and its secret is not kept"):
        add(client, "ApiClients", "orders", make=pytest.fail)
    assert stored(client) == before


def test_who_is_not_there_cannot_be_removed(client: "SecretsManagerClient") -> None:
    with pytest.raises(SecretError, match="there is no client 'shop', only: none"):
        remove(client, "ApiClients", "shop")
    add(client, "ApiClients", "orders")
    with pytest.raises(SecretError, match="there is no client 'shop', only: orders"):
        remove(client, "ApiClients", "shop")


@pytest.mark.parametrize("content", ["oops", "[]", '"secret"'])
def test_what_no_function_could_use_is_left_as_it_is_since_clients_may_be_in_it(
    client: "SecretsManagerClient", content: str
) -> None:
    client.put_secret_value(SecretId="ApiClients", SecretString=content)
    for change in (add, remove):
        with pytest.raises(SecretError, match=r"must be a JSON object\. Nothing was changed"):
            change(client, "ApiClients", "orders")
    assert client.get_secret_value(SecretId="ApiClients")["SecretString"] == content


def test_of_two_at_the_same_time_the_second_is_refused(client: "SecretsManagerClient") -> None:
    def overtaken() -> str:
        add(client, "ApiClients", "shop")
        return "f" * 64

    with pytest.raises(SecretError, match="changed meanwhile and nothing was written"):
        add(client, "ApiClients", "orders", make=overtaken)
    assert stored(client).keys() == {"shop"}


# -------------------------------------------------------------------------- the command


@pytest.fixture
def stack(client: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack of the environment dev."""
    monkeypatch.chdir(ROOT)
    cloudformation: Any = boto3.client("cloudformation", region_name=REGION)
    outputs = {
        "ApiClientsArn": client.describe_secret(SecretId="ApiClients")["ARN"],
        "IntrospectionUrl": "https://api.example.com/introspect",
    }
    template = {
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    cloudformation.create_stack(StackName="wechat-auth-dev", TemplateBody=json.dumps(template))


@pytest.mark.usefixtures("stack")
def test_the_command_makes_a_client_shows_its_secret_once_and_removes_it(
    client: "SecretsManagerClient",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "dev", "orders"])
    api_client.main()
    said = capsys.readouterr().out
    assert said.startswith("Client orders, which may ask https://api.example.com/introspect\n")
    (secret,) = re.findall("^Secret ([0-9a-f]{64})$", said, re.MULTILINE)
    assert functions(client).is_api_client("orders", secret)
    monkeypatch.setattr(sys, "argv", ["", "dev", "orders", "--remove"])
    api_client.main()
    assert capsys.readouterr().out == (
        "Removed orders; it is refused everywhere within 5 minutes.\nClients now: none\n"
    )
    assert stored(client) == {}


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "ENV is one of default, dev, staging, prod"),
        (["dev"], "NAME must be"),
        (["dev", "", "--remove"], "there is no client ''"),
        (["prod", "orders"], "wechat-auth-prod in ap-south"),
    ],
)
def test_what_is_wrong_with_the_command_line_is_said(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["", *arguments])
    with pytest.raises(SystemExit, match=reason):
        api_client.main()
