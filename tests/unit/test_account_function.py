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
from wechat_auth import account, user_events
from wechat_auth.user_events import UserEvent

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "infra/account-function.schema.json").read_text("utf-8"))
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]
TYPESCRIPT = (ROOT / "infra/account-function.d.ts").read_text("utf-8")
GUIDES = [ROOT / "docs/account-function.md", ROOT / "docs/account-function.zh-CN.md"]
USER = {"version": 1, "appid": "wx0123456789abcdef", "openid": "an-openid"}
LOGIN = {**USER, "event": "login"}
PHONE: dict[str, Any] = {
    **USER,
    "event": "phone",
    "phoneNumber": "13800138000",
    "purePhoneNumber": "13800138000",
    "countryCode": "86",
    "verifiedAt": 1_795_830_799,
    "by": "phoneCode",
}
AT = PHONE["verifiedAt"]
REVOKED = {**USER, "event": "user_authorization_revoke", "at": AT, "revoked": [8]}
CLOSED_BY_USER = {**USER, "event": "user_authorization_cancellation", "at": AT}
MODIFIED = {"version": 1, "appid": USER["appid"], "event": "user_info_modified", "at": AT}
TOLD = [REVOKED, CLOSED_BY_USER, MODIFIED]
SHAPES = {
    "Login": DEFINITIONS["Login"],
    "Phone": DEFINITIONS["Phone"],
    "UserEvent": DEFINITIONS["UserEvent"],
    "Answer": DEFINITIONS["Answer"],
    "Account": DEFINITIONS["Answer"]["properties"]["account"],
    "Refusal": DEFINITIONS["Answer"]["properties"]["refuse"],
}
each_guide = pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)


def test_the_schema_is_one_and_of_the_version_that_is_sent() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert DEFINITIONS["Version"] == {"const": account.VERSION}
    assert SCHEMA["$id"].endswith(f":{account.VERSION}")
    for message in (LOGIN, PHONE, *TOLD):
        Draft202012Validator(SCHEMA).validate(message)


@pytest.mark.parametrize("told", TOLD, ids=lambda told: told["event"])
def test_what_is_told_is_what_the_schema_says(told: dict[str, Any]) -> None:
    everything = told | {"openid": "an-openid", "pluginId": "wx1", "openPid": "a-pid"}
    for message in (told, everything):
        about = UserEvent.from_document(message)
        assert {"version": 1, **about.document()} == message
        Draft202012Validator(SCHEMA).validate(message)


def test_what_was_withdrawn_is_always_said() -> None:
    silent = {name: each for name, each in REVOKED.items() if name != "revoked"}
    assert not Draft202012Validator(SCHEMA).is_valid(silent)
    assert {"version": 1, **UserEvent.from_document(silent).document()} == silent | {"revoked": []}


def test_the_schemas_events_are_those_that_are_told() -> None:
    events = DEFINITIONS["UserEvent"]["properties"]["event"]["enum"]
    assert events == [user_events.REVOKED, user_events.CLOSED, user_events.MODIFIED]


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
    shapes = [DEFINITIONS[name] for name in ("Login", "Phone", "UserEvent")]
    messages = {member for shape in shapes for member in shape["properties"]}
    answer = {
        *("accountId", "claims", "refuse", "refuse.title", "refuse.code"),
        *("account.isNew", "account.needsPhone"),
    }
    assert explained == messages | answer
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
        forgets_what_it_is_told_to(sample.handler)
        sample.handler(PHONE, None)
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
    forgets_what_it_is_told_to(handler)


def says_what_a_function_may(handler: Handler) -> None:
    """Walk a sample: a stranger, their number, twice, and the login after that."""
    assert checked(handler(LOGIN, None)) == {"account": {"needsPhone": True}}
    first, again = (checked(handler(PHONE, None)) for _ in range(2))
    assert first["account"] == {"isNew": True}
    assert again == first | {"account": {"isNew": False}}
    known = checked(handler(LOGIN, None))
    assert (known["accountId"], known["claims"]) == (first["accountId"], first["claims"])


def forgets_what_it_is_told_to(handler: Handler) -> None:
    """Walk a sample whose user has an account: late, without the number, and without the user."""
    account_id = handler(LOGIN, None)["accountId"]
    for told in (REVOKED | {"at": AT - 1}, REVOKED | {"revoked": [7, 99]}, MODIFIED):
        assert checked(handler(told, None)) == {}
    assert handler(PHONE | {"openid": "on-another-phone"}, None)["accountId"] == account_id
    abroad = PHONE | {"countryCode": "852"}
    assert handler(abroad, None)["accountId"] == account_id
    for _ in range(2):
        assert checked(handler(REVOKED, None)) == {}
    assert handler(LOGIN, None)["accountId"] == account_id
    for number in (abroad, PHONE):
        stranger = handler(number | {"openid": f"whose +{number['countryCode']}"}, None)
        assert stranger["account"] == {"isNew": True}
        assert stranger["accountId"] != account_id
    for _ in range(2):
        assert checked(handler(CLOSED_BY_USER, None)) == {}
    assert handler(LOGIN, None) == {"account": {"needsPhone": True}}
    other = LOGIN | {"openid": "whose +86"}
    assert handler(other, None)["accountId"] == stranger["accountId"]


def code(guide: Path, language: str) -> str:
    (block,) = re.findall(rf"```{language}\n(.*?)```", guide.read_text("utf-8"), re.DOTALL)
    return str(block)


def checked(answer: Any) -> Any:
    """Return an answer that is what the schema says, and what the backend takes."""
    Draft202012Validator({"$ref": "#/$defs/Answer", "$defs": DEFINITIONS}).validate(answer)
    if "refuse" not in answer:
        account.read_answer(json.dumps(answer).encode())
    return answer
