"""The functions without a route, which the team's code and operators invoke."""

import json
import re
import time
from typing import Any

import pytest
import time_machine

from local.runtime import FunctionError
from local.simulated_wechat import App, Phone, SimulatedWeChat
from tests.harness.api import Api
from tests.harness.deployment import Asked, Deployment
from tests.harness.transform import ROOT

WEEK = 7 * 86_400
OPENID = "oLatQ5MAkyobBs2IOTNJEfJkZ6Zk"


def invoke(deployment: Deployment, function: str, **payload: object) -> Any:
    return deployment.stack.invoke(function, payload)


def refusal(deployment: Deployment, function: str, payload: object) -> str:
    """Return the text of the error that Lambda would tell the caller."""
    with pytest.raises(FunctionError) as failed:
        deployment.stack.invoke(function, payload)
    return str(failed.value.__cause__)


@pytest.mark.parametrize("guide", ["own-backend.md", "own-backend.zh-CN.md"])
def test_the_guides_commands_send_what_the_functions_take(
    deployment: Deployment, guide: str
) -> None:
    text = (ROOT / "docs" / guide).read_text("utf-8")
    commands = re.findall(
        r"aws lambda invoke --function-name wechat-auth-prod-(\w+) .*?--payload '(.*?)'",
        text,
        re.DOTALL,
    )
    answers = {name: deployment.stack.invoke(name, json.loads(sent)) for name, sent in commands}
    assert {name: set(answer) for name, answer in answers.items()} == {
        "access_token": {"accessToken", "expiresAt"},
        "end_sessions": {"ended"},
    }


# --------------------------------------------------------------------------- access_token


def test_lends_the_access_token_that_the_functions_use(
    deployment: Deployment, api: Api, phone: Phone, asked: Asked
) -> None:
    now = time.time()
    lent = invoke(deployment, "access_token", appid=phone.appid)
    assert lent == {
        "accessToken": deployment.wechat.access_tokens[-1],
        "expiresAt": pytest.approx(now + 7200, abs=2),
    }
    assert api.phone(phone.tap_phone_number().code).status == 200
    deployment.cold_start()
    assert invoke(deployment, "access_token", appid=phone.appid) == lent
    assert asked("getStableAccessToken") == 1


def test_gives_another_token_for_one_that_wechat_refuses(
    deployment: Deployment, clock: time_machine.Traveller, phone: Phone
) -> None:
    lent = invoke(deployment, "access_token", appid=phone.appid)["accessToken"]
    clock.shift(60)
    other = invoke(deployment, "access_token", appid=phone.appid, rejected=lent)["accessToken"]
    assert other != lent
    # Whoever still complains about the first one gets what is there: it is replaced once.
    assert (
        invoke(deployment, "access_token", appid=phone.appid, rejected=lent)["accessToken"] == other
    )


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"appid": "wx0000000000000000"}, "appid: must be the appid of a mini-program"),
        ({"rejected": ""}, "rejected: must be a non-empty string"),
        ({"rejected": ["x"]}, "rejected: must be a non-empty string"),
        ({"rejected": "x" * 513}, "rejected: must be the access_token that WeChat refused"),
        (["wx0123456789abcdef"], "payload: must be a JSON object"),
        ("wx0123456789abcdef", "payload: must be a JSON object"),
    ],
)
def test_a_payload_that_is_wrong_is_an_error_that_says_so(
    deployment: Deployment, payload: object, text: str
) -> None:
    assert refusal(deployment, "access_token", payload).startswith(f"invalid_request: {text}")


def test_a_token_that_cannot_be_had_is_an_error(deployment: Deployment) -> None:
    deployment.put_secret("AppSecrets", {})
    text = refusal(deployment, "access_token", {})
    assert text.startswith("misconfigured: The service is not set up correctly.")


# --------------------------------------------------------------------------- end_sessions


def test_ends_every_session_of_these_users_and_of_nobody_else(
    deployment: Deployment, api: Api, wechat: SimulatedWeChat
) -> None:
    banned, left, other = (wechat.phone() for _ in range(3))
    tokens = [api.logged_in(phone) for phone in (banned, banned, left)]
    theirs = api.logged_in(other)
    ended = invoke(
        deployment, "end_sessions", appid=banned.appid, openids=[banned.openid, left.openid, OPENID]
    )
    assert ended == {"ended": 3}
    assert [api.session(token).status for token in tokens] == [401] * 3
    assert api.session(theirs).status == 200
    assert invoke(deployment, "end_sessions", openids=[banned.openid]) == {"ended": 0}
    assert wechat.counts().get("resetUserSessionKey", 0) == 0


def test_finds_the_sessions_that_an_older_key_made(
    deployment: Deployment, api: Api, phone: Phone
) -> None:
    token = api.logged_in(phone)
    ring = deployment.secret("KeyRing")
    deployment.put_secret("KeyRing", {**ring, "current": "k2", "k2": "k2" * 32})
    deployment.cold_start()
    newer = api.logged_in(phone)
    assert invoke(deployment, "end_sessions", openids=[phone.openid]) == {"ended": 2}
    assert [api.session(each).status for each in (token, newer)] == [401] * 2


def test_counts_no_session_that_had_ended_by_itself(
    deployment: Deployment, api: Api, phone: Phone, clock: time_machine.Traveller
) -> None:
    api.logged_in(phone)
    clock.shift(WEEK)
    api.logged_in(phone)
    assert len(deployment.items("Sessions")) == 2
    assert invoke(deployment, "end_sessions", openids=[phone.openid]) == {"ended": 1}
    assert deployment.items("Sessions") == []


def test_a_user_who_is_named_twice_is_one(deployment: Deployment, api: Api, phone: Phone) -> None:
    api.logged_in(phone)
    deployment.operations.clear()
    assert invoke(deployment, "end_sessions", openids=[phone.openid] * 100) == {"ended": 1}
    assert deployment.operations == {"Query": 1, "BatchWriteItem": 1}


def test_with_several_apps_the_app_must_be_named(deployment: Deployment, phone: Phone) -> None:
    deployment.serve_apps(deployment.wechat.apps[0], App("wxfedcba9876543210", "0" * 32))
    text = refusal(deployment, "end_sessions", {"openids": [phone.openid]})
    assert text.startswith("invalid_request: appid: is needed")


@pytest.mark.parametrize(
    ("openids", "text"),
    [
        (None, "must be a list of 1 to 100 openids"),
        ([], "must be a list of 1 to 100 openids"),
        (OPENID, "must be a list of 1 to 100 openids"),
        ([OPENID] * 101, "must be a list of 1 to 100 openids"),
        ([OPENID, 1], "must hold openids alone, as WeChat writes them"),
        ([""], "must hold openids alone, as WeChat writes them"),
        ([f"{OPENID}|x"], "must hold openids alone, as WeChat writes them"),
    ],
)
def test_what_is_no_list_of_openids_ends_nothing(
    deployment: Deployment, openids: object, text: str
) -> None:
    said = refusal(deployment, "end_sessions", {"openids": openids})
    assert said == f"invalid_request: openids: {text}"
