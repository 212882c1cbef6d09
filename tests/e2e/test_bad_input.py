"""Bad input, once for each route: nobody is asked, and nothing stored changes.

What each field may hold is in tests/unit/auth.
"""

import base64
from collections.abc import Callable

import pytest
import time_machine

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Answer, Api, Document
from tests.harness.deployment import Deployment

INVALID = (400, "invalid_request", "fix_request")
TOO_LARGE = (413, "request_too_large", "fix_request")
SESSION_INVALID = (401, "session_invalid", "login_again")

OTHER_APPID = "wxfedcba9876543210"
OPEN_DATA = {
    "encryptedData": base64.b64encode(bytes(32)).decode(),
    "iv": base64.b64encode(bytes(16)).decode(),
}
MADE_UP = base64.urlsafe_b64encode(bytes(52)).decode().rstrip("=")

A_FORM = "body: is a form: set content-type to application/json; send a JSON object"

each_post = pytest.mark.parametrize("route", ["/login", "/phone", "/decrypt"])

Untouched = Callable[[], None]


@pytest.fixture
def token(api: Api, phone: Phone) -> str:
    """A session, in a backend that has its access_token already."""
    token = api.logged_in(phone)
    assert api.phone(phone.tap_phone_number().code).status == 200
    return token


@pytest.fixture
def untouched(token: str, deployment: Deployment, wechat: SimulatedWeChat) -> Untouched:
    """Check that nothing stored has changed, and that WeChat was asked nothing."""
    stored, calls = deployment.dump(), wechat.counts()

    def check() -> None:
        assert deployment.dump() == stored
        assert wechat.counts() == calls

    return check


@each_post
@pytest.mark.parametrize(
    ("body", "problem", "detail"),
    [
        (b"code=0123", INVALID, A_FORM),
        (b"[]", INVALID, "body: must be a JSON object"),
        (b"{}".ljust(16_385), TOO_LARGE, "The body may hold 16 KiB at most."),
    ],
)
def test_a_body_that_cannot_be_read(
    api: Api,
    token: str,
    untouched: Untouched,
    route: str,
    body: bytes,
    problem: tuple[int, str, str],
    detail: str,
) -> None:
    answer = api.request("POST", route, body, token=token)
    assert (answer.problem, answer.json["detail"]) == (problem, detail)
    untouched()


@each_post
def test_a_code_that_wx_cannot_have_given(api: Api, untouched: Untouched, route: str) -> None:
    answer = api.request("POST", route, OPEN_DATA | {"code": "a&appid=wxfedcba9876543210"})
    assert answer.problem == INVALID
    assert answer.json["detail"] == (
        "code: must be the code from wx.login or getPhoneNumber, unmodified"
    )
    untouched()


def test_a_code_that_wechat_does_not_know(api: Api, token: str, deployment: Deployment) -> None:
    stored = deployment.dump()
    for code in ("x", "x" * 256, "1" + "A" * 31, "-_"):
        assert api.login(code).problem == (422, "login_code_rejected", "login_again")
        assert api.phone(code).problem == (422, "phone_code_rejected", "authorize_again")
        answer = api.decrypt(token=token, **OPEN_DATA, code=code)
        assert answer.problem == (422, "login_code_rejected", "login_again")
    assert deployment.dump() == stored


@each_post
def test_an_app_that_is_not_served(
    api: Api, phone: Phone, untouched: Untouched, route: str
) -> None:
    body = OPEN_DATA | {"code": phone.login(), "appid": OTHER_APPID}
    answer = api.request("POST", route, body)
    assert answer.problem == INVALID
    assert answer.json["detail"] == "appid: must be the appid of a mini-program that is served here"
    untouched()


def test_another_app_than_the_sessions(api: Api, token: str, untouched: Untouched) -> None:
    for answer in (
        api.phone("x", token=token, appid=OTHER_APPID),
        api.decrypt(token=token, **OPEN_DATA, appid=OTHER_APPID),
        api.decrypt(token=token, **OPEN_DATA, code="x", appid=OTHER_APPID),
    ):
        assert answer.problem == INVALID
        assert answer.json["detail"] == "appid: must be the app that the Bearer token belongs to"
    untouched()


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"iv": "AA=="}, "iv: must be base64 of 16 bytes (24 characters)"),
        ({"cloudID": "39 x"}, "cloudID: must be the cloudID from wx, unmodified"),
        ({"rawData": "{}"}, "signature: is missing"),
    ],
)
def test_open_data_that_the_phone_cannot_have_given_spends_no_code(
    api: Api, phone: Phone, token: str, untouched: Untouched, changes: Document, detail: str
) -> None:
    code, body = phone.login(), OPEN_DATA | changes
    for answer in (api.decrypt(token=token, **body), api.decrypt(code=code, **body)):
        assert (answer.problem, answer.json["detail"]) == (INVALID, detail)
    untouched()
    assert api.login(code).status == 200


Ask = Callable[[Api, dict[str, str]], Answer]
WITH_A_SESSION: dict[str, Ask] = {
    "POST /phone": lambda api, headers: api.request(
        "POST", "/phone", {"code": "x"}, headers=headers
    ),
    "POST /decrypt": lambda api, headers: api.request(
        "POST", "/decrypt", OPEN_DATA, headers=headers
    ),
    "POST /decrypt with code": lambda api, headers: api.request(
        "POST", "/decrypt", OPEN_DATA | {"code": "x"}, headers=headers
    ),
    "GET /session": lambda api, headers: api.request("GET", "/session", headers=headers),
    "DELETE /session": lambda api, headers: api.request("DELETE", "/session", headers=headers),
    "DELETE /session?all=true": lambda api, headers: api.request(
        "DELETE", "/session?all=true", headers=headers
    ),
}


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", MADE_UP, f"Token {MADE_UP}", "null"])
def test_an_authorization_that_is_no_bearer(api: Api, untouched: Untouched, header: str) -> None:
    for ask in WITH_A_SESSION.values():
        answer = ask(api, {"Authorization": header})
        assert answer.problem == INVALID
        assert answer.json["detail"].startswith("Authorization: must be Bearer")
    untouched()


@pytest.mark.parametrize("header", ["", f"Bearer {MADE_UP}", "Bearer {token}x"])
def test_a_bearer_that_is_no_token_of_ours(
    api: Api, token: str, untouched: Untouched, header: str
) -> None:
    headers = {"Authorization": header.replace("{token}", token)}
    for ask in WITH_A_SESSION.values():
        answer = ask(api, headers)
        assert answer.problem == SESSION_INVALID
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    untouched()


def test_no_bearer_where_one_is_needed(api: Api, untouched: Untouched) -> None:
    for route, ask in WITH_A_SESSION.items():
        if route not in {"POST /phone", "POST /decrypt with code"}:
            assert ask(api, {}).problem == SESSION_INVALID
    untouched()


def test_a_bearer_that_has_expired(
    api: Api, token: str, untouched: Untouched, clock: time_machine.Traveller
) -> None:
    clock.shift(7 * 86_400)
    for ask in WITH_A_SESSION.values():
        assert ask(api, {"Authorization": f"Bearer {token}"}).problem == SESSION_INVALID
    untouched()


def test_a_query_that_is_neither_true_nor_false(api: Api, token: str, untouched: Untouched) -> None:
    for name, ask in (("all", api.logout), ("verify", api.session)):
        for value in ("", "TRUE", f"true&{name}=false"):
            answer = ask(token, f"?{name}={value}")
            assert answer.problem == INVALID
            assert answer.json["detail"] == f"{name}: must be true or false"
    untouched()


def test_what_nobody_asked_for_is_ignored(api: Api, phone: Phone, token: str) -> None:
    assert api.session(token, "?appid=x&verify=false&code=%00").status == 200
    assert api.login(phone.login(), fromANewerClient=[1]).status == 200
