"""Introspection (RFC 7662): what a server of the team's learns of a token, and what it does not."""

import base64
import time
from dataclasses import replace

import pytest
import time_machine

from local import API_CLIENT
from local.simulated_wechat import App, Phone, SimulatedWeChat
from tests.harness.api import Answer, Api
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.deployment import Deployment

WEEK = 7 * 86_400
NAME, SECRET = API_CLIENT
CLIENT_REFUSED = (401, "client_invalid", "fix_request")


def kept(answer: Answer) -> Answer:
    assert_keeps_to_the_contract(answer)
    return answer


def with_authorization(api: Api, authorization: str, body: bytes = b"token=x") -> Answer:
    headers = {
        "Authorization": authorization,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return kept(api.request("POST", "/introspect", body, headers=headers))


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


# ------------------------------------------------------------------------------ the token


def test_an_active_token_tells_user_app_and_times(api: Api, phone: Phone) -> None:
    now = int(time.time())
    answer = kept(api.introspect(api.logged_in(phone)))
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json == {
        "active": True,
        "token_type": "Bearer",
        "sub": phone.openid,
        "client_id": phone.appid,
        "iat": pytest.approx(now, abs=2),
        "exp": answer.json["iat"] + WEEK,
        "openid": phone.openid,
        "unionid": phone.unionid,
    }


def test_it_tells_what_the_account_function_said_of_the_user(
    api: Api, phone: Phone, deployment: Deployment
) -> None:
    account = {"accountId": "u-1", "claims": {"roles": ["buyer"]}}
    deployment.with_account_function(lambda *_: account)
    told = kept(api.introspect(api.logged_in(phone))).json
    assert (told["account_id"], told["claims"]) == ("u-1", {"roles": ["buyer"]})


def test_a_user_without_unionid_has_none(api: Api, wechat: SimulatedWeChat) -> None:
    wechat.put_app(replace(wechat.apps[0], unionid=False))
    assert "unionid" not in kept(api.introspect(api.logged_in(wechat.phone()))).json


def test_a_token_type_hint_is_ignored(api: Api, phone: Phone) -> None:
    token = api.logged_in(phone)
    for hint in ("access_token", "refresh_token", "x"):
        assert api.introspect(token, token_type_hint=hint).json["active"] is True


def test_whatever_is_wrong_with_the_token_the_answer_is_one_and_the_same(
    api: Api, phone: Phone, deployment: Deployment, clock: time_machine.Traveller
) -> None:
    expired = api.logged_in(phone)
    clock.shift(WEEK + 1)
    logged_out, living = api.logged_in(phone), api.logged_in(phone)
    api.logout(logged_out)
    tokens = [
        expired,
        logged_out,
        living[:-1],
        living + "=",
        living[:50] + "A" * 20,
        "",
        "é",
        "x" * 9,
    ]
    answers = [kept(api.introspect(token)) for token in tokens]
    assert {(answer.status, answer.content) for answer in answers} == {(200, b'{"active":false}')}


def test_a_token_of_an_app_that_is_served_no_more_is_not_active(
    api: Api, phone: Phone, deployment: Deployment, wechat: SimulatedWeChat
) -> None:
    token = api.logged_in(phone)
    deployment.serve_apps(App("wxfedcba9876543210", "0" * 32))
    assert api.introspect(token).json == {"active": False}


@pytest.mark.parametrize("state", ["living", "expired", "logged out", "never issued"])
def test_a_question_is_one_read_whatever_became_of_the_token(
    api: Api, phone: Phone, deployment: Deployment, clock: time_machine.Traveller, state: str
) -> None:
    token = api.logged_in(phone)
    api.introspect(token)
    match state:
        case "expired":
            clock.shift(WEEK + 1)
            api.introspect(token)  # reads the ring and the clients again
        case "logged out":
            api.logout(token)
        case "never issued":
            token = base64.urlsafe_b64encode(b"x" * 52).decode().rstrip("=")
    deployment.operations.clear()
    assert api.introspect(token).json["active"] is (state == "living")
    assert deployment.operations == {"GetItem": 1}


# ----------------------------------------------------------------------------- the client


def test_whoever_is_no_client_is_refused_and_does_not_learn_why(api: Api, phone: Phone) -> None:
    token = api.logged_in(phone)
    refused = [
        kept(api.introspect(token, client))
        for client in [(NAME, "wrong"), ("nobody", SECRET), ("nobody", "wrong"), (NAME, ""), None]
    ]
    refused += [
        with_authorization(api, authorization)
        for authorization in (
            *("Basic", "Basic ", "Basic é", "Basic =", basic(NAME), f"Bearer {token}"),
            base64.b64encode(f"{NAME}:{SECRET}".encode()).decode(),
        )
    ]
    for answer in refused:
        assert answer.problem == CLIENT_REFUSED
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="introspection"'
    told = [
        {name: value for name, value in answer.json.items() if name != "requestId"}
        for answer in refused
    ]
    assert [each for each in told if each != told[0]] == []


def test_a_client_is_known_also_if_it_encodes_its_name_as_oauth_asks(
    api: Api, deployment: Deployment, phone: Phone
) -> None:
    hashes = deployment.secret("ApiClients")
    deployment.put_secret("ApiClients", {"order-desk.1": hashes[NAME]})
    for text in (f"order-desk.1:{SECRET}", f"order%2Ddesk%2E1:{SECRET}", "order-desk.1:%6cocal"):
        assert with_authorization(api, basic(text)).json == {"active": False}
    assert with_authorization(api, basic(f"basic:{SECRET}")).problem == CLIENT_REFUSED


def test_a_wrong_client_is_refused_before_anything_else_is_looked_at(
    api: Api, deployment: Deployment
) -> None:
    deployment.operations.clear()
    for body in (b"", b"x" * 17_000, b"token=x&token=y"):
        assert with_authorization(api, basic("nobody:x"), body).problem == CLIENT_REFUSED
    assert deployment.operations["GetItem"] == 0


# ------------------------------------------------------------------------------- the form


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "token: is missing: send a form (application/x-www-form-urlencoded) with token=…"),
        (b'{"token":"x"}', "token: is missing: send a form"),
        (b"token=x&token=x", "body: must not hold a parameter twice"),
        (b"hint=x", "token: is missing"),
    ],
)
def test_what_is_no_form_with_a_token_is_told_so(api: Api, body: bytes, detail: str) -> None:
    answer = with_authorization(api, basic(f"{NAME}:{SECRET}"), body)
    assert answer.problem == (400, "invalid_request", "fix_request")
    assert answer.json["detail"].startswith(detail)


def test_a_form_may_hold_16_kib(api: Api) -> None:
    good = basic(f"{NAME}:{SECRET}")
    assert with_authorization(api, good, b"token=" + b"x" * (16_384 - 6)).status == 200
    assert with_authorization(api, good, b"token=" + b"x" * (16_384 - 5)).status == 413


def test_a_table_that_cannot_be_read_says_nothing_about_the_token(
    api: Api, phone: Phone, deployment: Deployment
) -> None:
    token = api.logged_in(phone)
    deployment.fail("GetItem")
    assert kept(api.introspect(token)).problem == (503, "storage_unavailable", "retry")
