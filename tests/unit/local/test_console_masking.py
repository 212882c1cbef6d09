import base64
import json
import string
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.console import masking
from tests.harness.leaks import Secrets

_BASE64URL = string.ascii_letters + string.digits + "-_"

secrets = st.one_of(
    st.binary(min_size=16, max_size=16).map(lambda raw: base64.b64encode(raw).decode()),
    st.text(string.hexdigits.lower(), min_size=32, max_size=64),
    st.text(_BASE64URL, min_size=27, max_size=140),
    st.binary(min_size=32, max_size=300).map(lambda raw: base64.b64encode(raw).decode()),
)

carried = st.sampled_from(
    """
    secret js_code access_token session_key openid unionid code token encryptedData iv signature
    SecretString sealed data Authorization encrypted_msg_hash errmsg title detail message
    TableName UpdateExpression status whatever
    """.split()  # noqa: SIM905 - read more easily so
)


def leaks(secret: str, document: Any) -> list[str]:
    known = Secrets()
    known.note("secret", secret)
    return known.found_in(json.dumps(document))


def with_problem(document: dict[str, Any]) -> dict[str, Any]:
    return {"action": "retry", "status": 503, **document}


@given(secrets, carried, st.sampled_from(["", "Bearer ", "invalid code: ", "码 "]))
def test_no_secret_stands_in_what_is_shown_wherever_it_stood(
    secret: str, name: str, before: str
) -> None:
    text = before + secret
    for document in (
        {name: text},
        {"nested": [{name: text}]},
        with_problem({name: text}),
        with_problem({"code": text}),
        {text: 1},
        text,
        {name: quote(text)},
    ):
        assert leaks(secret, masking.shown(document)) == []
        assert leaks(secret, masking.shown_json(json.dumps(document))) == []
    assert leaks(secret, masking.shown_json(text)) == []
    assert leaks(secret, masking.plain(text)) == []


@given(secrets, carried)
def test_no_secret_stands_in_what_is_shown_of_dynamodbs_items(secret: str, name: str) -> None:
    binary = base64.b64encode(secret.encode()).decode()
    for value in (
        {"S": secret},
        {"B": binary},
        {"M": {name: {"S": secret}}},
        {"L": [{"S": secret}, {"B": binary}]},
        {"SS": [secret]},
    ):
        for document in (
            {"Item": {name: value}},
            {"Items": [{name: value}]},
            {"ExpressionAttributeValues": {f":{name}": value}},
            {"Key": {secret: value}},
            {"ExpressionAttributeNames": {"#name": secret}},
        ):
            assert leaks(secret, masking.shown_items(document)) == []


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True))
def test_no_phone_number_stands_in_what_is_shown(number: str) -> None:
    document = {
        "phone_info": {"phoneNumber": number, "purePhoneNumber": f"+86{number}"},
        "errmsg": f"no {number} here",
        "number": int(number),
        "mobile": number,
        "title": number,
    }
    assert number not in json.dumps(masking.shown(document))
    assert number not in json.dumps(masking.shown_items({"Item": {"n": {"N": number}}}))


def test_a_secret_that_is_let_through_is_found() -> None:
    secret = bytes(range(16)).hex()
    assert leaks(secret, masking.shown({"js_code": secret})) == []
    assert leaks(secret, {"js_code": secret}) == ["secret"]


def test_a_secret_is_shown_by_its_beginning_and_length() -> None:
    assert masking.shown({"js_code": "0a1b" + "x" * 28}) == {"js_code": "0a1b…(32)"}
    assert masking.shown("short") == "…(5)"
    assert masking.shown("Bearer " + "abcd" * 10, "Authorization") == "Bearer abcd…(40)"


@pytest.mark.parametrize(
    ("number", "expected"),
    [("13800138000", "138****8000"), ("+85291234567", "+852****4567"), ("1234", "****")],
)
def test_a_phone_number_is_shown_by_its_ends(number: str, expected: str) -> None:
    assert masking.shown({"phoneNumber": number}) == {"phoneNumber": expected}


def test_what_explains_a_message_is_shown_whole() -> None:
    problem = {
        "code": "login_code_rejected",
        "action": "login_again",
        "status": 422,
        "title": "登录失败，请重试",
        "detail": "WeChat does not accept this login code: it works once and for 5 minutes.",
    }
    assert masking.shown(problem) == problem
    assert masking.shown({"errcode": 40001, "errmsg": "invalid credential"}) == {
        "errcode": 40001,
        "errmsg": "invalid credential",
    }
    said = {"expiresAt": 1795830821, "exp": 1795830821, "iat": 1795226021, "expires_in": 7200}
    assert masking.shown(said) == {
        "expiresAt": 1795830821,
        "exp": 1795830821,
        "iat": 1795226021,
        "expires_in": 7200,
    }


def test_dynamodbs_typed_values_become_plain_ones() -> None:
    document = {
        "TableName": "Sessions",
        "Item": {
            "user": {"B": base64.b64encode(bytes(16)).decode()},
            "expires_at": {"N": "1795830821"},
            "status": {"S": "COMPLETED"},
        },
        "ConditionExpression": "attribute_not_exists(#id) OR #expiry < :now",
        "ExpressionAttributeNames": {"#id": "id"},
        "ExpressionAttributeValues": {":now": {"N": "1795830821.5"}},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    assert masking.shown_items(document) == {
        "TableName": "Sessions",
        "Item": {"user": "…(16 bytes)", "expires_at": 1795830821, "status": "COMPLETED"},
        "ConditionExpression": "attribute_not_exists(#id) OR #expiry < :now",
        "ExpressionAttributeNames": {"#id": "id"},
        "ExpressionAttributeValues": {":now": 1795830821.5},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
