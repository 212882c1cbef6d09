"""`make merchants` and `make authorise`: what they print of what the function answers."""

import io
import json
from typing import Any

import pytest

from infra.merchants import MerchantsError, ask


class Lambda:
    def __init__(self, document: object, **more: str) -> None:
        self.document, self.more = document, more
        self.asked: list[tuple[str, Any]] = []

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        self.asked.append((FunctionName, json.loads(Payload)))
        return {"Payload": io.BytesIO(json.dumps(self.document).encode()), **self.more}


def test_it_lists_the_merchants_and_what_they_granted() -> None:
    merchants = [
        {"appid": "wx0000000000abc010", "since": 1798804800, "permissions": [18, 49]},
        {"appid": "wx0000000000abc020", "since": 1798804800, "permissions": [49]},
        {"appid": "wx0000000000abc030", "since": 1798804800, "permissions": None},
    ]
    client = Lambda({"merchants": merchants})
    assert ask(client, "arn").splitlines() == [
        "wx0000000000abc010  since 2027-01-01  permission sets 18, 49",
        "wx0000000000abc020  since 2027-01-01  permission sets 49; 18 IS MISSING: no phone numbers",
        (
            "wx0000000000abc030  since 2027-01-01  permission sets unknown until the merchant "
            "authorises the platform again"
        ),
    ]
    assert client.asked == [("arn", {})]


def test_it_says_that_there_are_none() -> None:
    assert ask(Lambda({"merchants": []}), "arn") == "No merchant authorises the platform."


def test_it_prints_both_links_and_how_long_they_last() -> None:
    client = Lambda({"links": {"desktop": "https://d", "wechat": "https://w", "expiresIn": 1800}})
    printed = ask(client, "arn", "https://example.com/")
    assert "https://d\n" in printed
    assert "https://w\n" in printed
    assert "within 30 minutes" in printed
    assert client.asked == [("arn", {"page": "https://example.com/"})]


def test_without_a_platform_it_says_what_to_deploy() -> None:
    with pytest.raises(MerchantsError, match="deploy with ComponentAppId"):
        ask(Lambda({}), None)


def test_a_failure_is_told_with_where_the_remedy_is() -> None:
    client = Lambda({"errorMessage": "misconfigured"}, FunctionError="Unhandled")
    with pytest.raises(MerchantsError, match="misconfigured: its log has the remedy"):
        ask(client, "arn")
