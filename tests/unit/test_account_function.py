"""What a team writes an account function from: schema, types, guides and sample say the same."""

import json
import re
import types
import typing
from pathlib import Path
from typing import Any

import boto3
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from moto import mock_aws

from infra import account_function as python_types
from local.account_function import CLOSED
from local.invocations import SAMPLE, Handler, handler_of
from local.template import REGION
from wechat_auth import account

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "infra/account-function.schema.json").read_text("utf-8"))
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]
TYPESCRIPT = (ROOT / "infra/account-function.d.ts").read_text("utf-8")
GUIDES = [ROOT / "docs/account-function.md", ROOT / "docs/account-function.zh-CN.md"]
USER = {"version": 1, "appid": "wx0123456789abcdef", "openid": "an-openid"}
LOGIN = {**USER, "event": "login"}
PHONE = {
    **USER,
    "event": "phone",
    "phoneNumber": "13800138000",
    "purePhoneNumber": "13800138000",
    "countryCode": "86",
    "verifiedAt": 1_795_830_799,
    "by": "phoneCode",
}
SHAPES = {
    "Login": DEFINITIONS["Login"],
    "Phone": DEFINITIONS["Phone"],
    "Answer": DEFINITIONS["Answer"],
    "Account": DEFINITIONS["Answer"]["properties"]["account"],
    "Refusal": DEFINITIONS["Answer"]["properties"]["refuse"],
}
each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)


def test_the_schema_is_one_and_of_the_version_that_is_sent() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert DEFINITIONS["Version"] == {"const": account.VERSION}
    assert SCHEMA["$id"].endswith(f":{account.VERSION}")
    for message in (LOGIN, PHONE):
        Draft202012Validator(SCHEMA).validate(message)


@pytest.mark.parametrize("name", SHAPES)
def test_the_types_for_python_are_those_of_the_schema(name: str) -> None:
    shape = getattr(python_types, name)
    assert typing.get_type_hints(shape).keys() == SHAPES[name]["properties"].keys()
    assert shape.__required_keys__ == set(SHAPES[name].get("required", []))


@pytest.mark.parametrize("name", SHAPES)
def test_the_types_for_typescript_are_those_of_the_schema(name: str) -> None:
    (body,) = re.findall(rf"export interface {name} {{\n(.*?)\n}}", TYPESCRIPT, re.DOTALL)
    members = dict(re.findall(r"^  (\w+)(\??):", body, re.MULTILINE))
    assert members.keys() == SHAPES[name]["properties"].keys()
    assert {each for each in members if not members[each]} == set(SHAPES[name].get("required", []))


@each_guide
def test_the_guide_explains_each_member_and_no_other(guide: Path) -> None:
    rows = re.findall(r"^\| (`.*?`) \|", guide.read_text("utf-8"), re.MULTILINE)
    explained = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}
    messages = DEFINITIONS["Login"]["properties"] | DEFINITIONS["Phone"]["properties"]
    answer = {
        *("accountId", "claims", "refuse", "refuse.title", "refuse.code"),
        *("account.isNew", "account.needsPhone"),
    }
    assert explained == messages.keys() | answer
    assert {name.partition(".")[0] for name in answer} == SHAPES["Answer"]["properties"].keys()


@each_guide
def test_the_guides_sample_in_python_does_what_it_says(
    guide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCOUNTS", "accounts")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        table = boto3.resource("dynamodb").create_table(
            TableName="accounts",
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
        sample = types.ModuleType("sample")
        exec(code(guide, "python"), vars(sample))  # noqa: S102 - it is what the guide says
        says_what_a_function_may(sample.handler)
        table.update_item(
            Key={"id": f"wechat {USER['openid']}"},
            UpdateExpression="SET closed = :yes",
            ExpressionAttributeValues={":yes": True},
        )
        assert checked(sample.handler(LOGIN, None))["refuse"]["code"] == "account_closed"


def test_the_local_sample_does_what_it_says() -> None:
    handler = handler_of(SAMPLE)
    says_what_a_function_may(handler)
    (closed,) = CLOSED
    refused = checked(handler(PHONE | {"purePhoneNumber": closed}, None))
    assert refused["refuse"]["code"] == "account_closed"
    without_login = {name: each for name, each in PHONE.items() if name != "openid"}
    assert checked(handler(without_login, None))["account"] == {"isNew": False}


def says_what_a_function_may(handler: Handler) -> None:
    """Walk a sample: a stranger, their number, twice, and the login after that."""
    assert checked(handler(LOGIN, None)) == {"account": {"needsPhone": True}}
    first, again = (checked(handler(PHONE, None)) for _ in range(2))
    assert first["account"] == {"isNew": True}
    assert again == first | {"account": {"isNew": False}}
    known = checked(handler(LOGIN, None))
    assert (known["accountId"], known["claims"]) == (first["accountId"], first["claims"])


def code(guide: Path, language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)
    return str(block)


def checked(answer: Any) -> Any:
    """Return an answer that is what the schema says, and what the backend takes."""
    Draft202012Validator({"$ref": "#/$defs/Answer", "$defs": DEFINITIONS}).validate(answer)
    if "refuse" not in answer:
        account.read_answer(json.dumps(answer).encode())
    return answer
