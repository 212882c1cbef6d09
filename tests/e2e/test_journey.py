"""What takes the whole stack: headers, languages, apps side by side, the schedule."""

import time

import pytest
import time_machine

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Api, legacy
from tests.harness.deployment import Asked, Deployment

NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}


def test_login(api: Api, phone: Phone) -> None:
    answer = api.login(phone.login())
    assert answer.status == 200
    assert set(answer.json) == {"token", "expiresAt"}
    assert answer.json["expiresAt"] == pytest.approx(time.time() + 7 * 86_400, abs=2)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"


def test_data_from_before_a_login_decrypts_where_wechat_replaces_the_key_only_at_the_exchange(
    api: Api, phone: Phone, wechat: SimulatedWeChat
) -> None:
    wechat.settings.login_replaces_session_key = False
    api.logged_in(phone)
    code, tap = phone.login(), phone.tap_phone_number()
    token = api.login(code).json["token"]
    assert api.decrypt(token=token, **legacy(tap)).json == {"data": NUMBER}


def test_session_check(api: Api, phone: Phone, asked: Asked) -> None:
    login = api.login(phone.login()).json
    answer = api.session(login["token"])
    assert (answer.status, answer.json) == (200, {"expiresAt": login["expiresAt"]})
    assert asked("checkSessionKey") == 0


def test_a_phone_code_sent_as_a_login_code_is_told_so(api: Api, phone: Phone) -> None:
    answer = api.login(phone.tap_phone_number().code)
    assert answer.problem == (400, "invalid_request", "fix_request")
    assert answer.json["detail"].startswith("This has the form of a phone code")


def test_logout_then_401(api: Api, phone: Phone) -> None:
    token, other_device = api.logged_in(phone), api.logged_in(phone)
    assert api.logout(token).status == 204
    for answer in (
        api.session(token),
        api.decrypt(token=token, **legacy(phone.tap_phone_number())),
        api.phone(phone.tap_phone_number().code, token=token),
        api.logout(token),
    ):
        assert answer.problem == (401, "session_invalid", "login_again")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert api.session(other_device).status == 200


def test_two_mini_programs_in_one_deployment(
    api: Api, phone: Phone, deployment: Deployment, wechat: SimulatedWeChat
) -> None:
    ours = wechat.apps[0]
    deployment.serve_apps(ours, other := type(ours)("wxfedcba9876543210", "0" * 32))
    stranger = wechat.phone(other.appid, number="13580006666")
    assert api.login(phone.login()).json["detail"] == (
        "appid: is needed, since more than one mini-program is served here"
    )
    ours_token = api.login(phone.login(), appid=ours.appid).json["token"]
    other_token = api.login(stranger.login(), appid=other.appid).json["token"]
    theirs = api.phone(stranger.tap_phone_number().code, token=other_token)
    assert theirs.json["purePhoneNumber"] == "13580006666"
    mixed = api.phone(phone.tap_phone_number().code, token=ours_token, appid=other.appid)
    assert mixed.problem == (400, "invalid_request", "fix_request")
    crossed = api.decrypt(token=ours_token, **legacy(stranger.tap_phone_number()))
    assert crossed.problem == (422, "undecryptable", "login_again")


@pytest.mark.parametrize(
    ("accept_language", "language", "title"),
    [
        (None, "zh-CN", "登录已过期\uff0c请重新登录"),
        ("en-GB, zh;q=0.5", "en", "Your login has expired, please log in again"),
        ("zh-CN, en;q=0.9", "zh-CN", "登录已过期\uff0c请重新登录"),
    ],
)
def test_an_error_has_a_title_in_the_users_language(
    api: Api, accept_language: str | None, language: str, title: str
) -> None:
    headers = {"Accept-Language": accept_language} if accept_language else {}
    answer = api.request("GET", "/session", headers=headers)
    assert answer.status == 401
    assert (answer.headers["Content-Language"], answer.json["title"]) == (language, title)
    assert answer.json["requestId"] == answer.headers["apigw-requestid"]


def test_the_schedule_keeps_users_from_waiting_for_a_token(
    api: Api, phone: Phone, deployment: Deployment, clock: time_machine.Traveller, asked: Asked
) -> None:
    deployment.stack.invoke("refresh_access_token", {})
    clock.shift(7200 - 240)
    deployment.stack.invoke("refresh_access_token", {})
    assert asked("getStableAccessToken") == 2
    clock.shift(245)
    assert api.phone(phone.tap_phone_number().code).json == NUMBER
    assert asked("getStableAccessToken") == 2
