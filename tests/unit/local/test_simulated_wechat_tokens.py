"""access_token at the simulated WeChat: its life, its refusal, and what getting one may cost."""

from collections.abc import Iterator

import pytest
import time_machine

from local.simulated_wechat import App, Quota, SimulatedWeChat
from local.simulated_wechat.request import Request

from .wechat_caller import APPID, OTHER_APPID, SECRET, Caller

MORNING_IN_BEIJING = "2026-11-21T00:00:00Z"


@pytest.fixture(autouse=True)
def _time_stands_still() -> Iterator[None]:
    with time_machine.travel(MORNING_IN_BEIJING, tick=False):
        yield


def refusal(wechat: SimulatedWeChat, api: Caller, token: str) -> int:
    """What WeChat says to a token; 0 if it is accepted."""
    errcode: int = api.phone_number(token, wechat.phone().tap_phone_number().code)["errcode"]
    return errcode


def test_a_token_is_longer_than_a_hundred_characters_and_lives_two_hours(api: Caller) -> None:
    reply = api.stable_token()

    assert set(reply) == {"access_token", "expires_in"}
    assert 100 < len(reply["access_token"]) <= 512
    assert reply["expires_in"] == 7200


def test_stable_mode_hands_out_the_living_token(wechat: SimulatedWeChat, api: Caller) -> None:
    first = api.stable_token()
    wechat.clock.advance(6899)

    assert api.stable_token() == {"access_token": first["access_token"], "expires_in": 301}


def test_stable_mode_makes_a_new_token_in_the_last_five_minutes_and_both_work_for_five(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    old = api.token()
    wechat.clock.advance(7000)
    new = api.stable_token()
    assert new["access_token"] != old
    assert new["expires_in"] == 7200

    wechat.clock.advance(299)
    assert [refusal(wechat, api, each) for each in (old, new["access_token"])] == [0, 0]
    wechat.clock.advance(1)
    assert [refusal(wechat, api, each) for each in (old, new["access_token"])] == [42001, 0]


def test_force_kills_the_last_token_at_once(wechat: SimulatedWeChat, api: Caller) -> None:
    old = api.token()
    new = api.stable_token(force=True)

    assert new["expires_in"] == 7200
    assert refusal(wechat, api, old) == 40001
    assert refusal(wechat, api, new["access_token"]) == 0
    assert api.token() == new["access_token"]


def test_a_second_force_within_thirty_seconds_does_nothing(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    first = api.stable_token(force=True)["access_token"]
    wechat.clock.advance(29)
    assert api.stable_token(force=True) == {"access_token": first, "expires_in": 7171}
    wechat.clock.advance(1)
    assert api.stable_token(force=True)["access_token"] != first


def test_force_works_twenty_times_a_day(wechat: SimulatedWeChat, api: Caller) -> None:
    for _ in range(20):
        assert "access_token" in api.stable_token(force=True)
        wechat.clock.advance(30)
    assert api.stable_token(force=True)["errcode"] == 45009
    assert "access_token" in api.stable_token()

    wechat.clock.advance(86400)
    assert "access_token" in api.stable_token(force=True)


def test_each_classic_call_makes_a_new_token_and_the_last_lives_five_more_minutes(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    old, new = api.classic_token()["access_token"], api.classic_token()["access_token"]
    assert new != old

    wechat.clock.advance(299)
    assert [refusal(wechat, api, each) for each in (old, new)] == [0, 0]
    wechat.clock.advance(1)
    assert [refusal(wechat, api, each) for each in (old, new)] == [42001, 0]


def test_stable_and_classic_tokens_do_not_affect_one_another(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    stable, classic = api.token(), api.classic_token()["access_token"]
    forced = api.stable_token(force=True)["access_token"]
    assert refusal(wechat, api, stable) == 40001
    assert refusal(wechat, api, classic) == 0

    api.classic_token()
    wechat.clock.advance(300)
    assert refusal(wechat, api, classic) == 42001
    assert refusal(wechat, api, forced) == 0


def test_a_made_up_token_is_illegal(wechat: SimulatedWeChat, api: Caller) -> None:
    assert refusal(wechat, api, "made-up") == 40014


def test_an_unknown_appid_is_invalid(wechat: SimulatedWeChat, api: Caller) -> None:
    assert api.stable_token(appid="wx0")["errcode"] == 40013
    assert api.classic_token(appid="wx0")["errcode"] == 40013
    assert api.code2session(wechat.phone().login(), appid="wx0")["errcode"] == 40013


def test_a_new_secret_replaces_the_old_one(wechat: SimulatedWeChat, api: Caller) -> None:
    wechat.put_app(App(APPID, "new"))

    assert api.stable_token()["errcode"] == 40125
    assert "access_token" in api.stable_token(secret="new")


def test_an_address_off_the_whitelist_gets_no_token_and_is_named(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    wechat.put_app(App(APPID, SECRET, ip_whitelist=("203.0.113.7",)))
    for reply in (api.stable_token(), api.classic_token()):
        assert reply["errcode"] == 40164
        assert reply["errmsg"].startswith(
            "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: "
        )
    assert "errcode" not in api.code2session(wechat.phone().login())

    wechat.put_app(App(APPID, SECRET, ip_whitelist=("203.0.113.7", "127.0.0.1")))
    assert "access_token" in api.stable_token()


def test_the_minute_quota_ends_with_the_minute(wechat: SimulatedWeChat, api: Caller) -> None:
    wechat.set_quota("getStableAccessToken", Quota(per_minute=2))
    api.token()
    api.token()
    assert api.stable_token()["errcode"] == 45011
    assert "access_token" in api.stable_token(appid=OTHER_APPID)
    wechat.clock.advance(60)
    assert "access_token" in api.stable_token()


def test_the_daily_quota_ends_with_the_day_in_beijing(wechat: SimulatedWeChat, api: Caller) -> None:
    wechat.set_quota("code2Session", Quota(per_day=1))
    phone = wechat.phone()
    api.code2session(phone.login())
    wechat.clock.advance(16 * 3600 - 1)
    assert api.code2session(phone.login())["errcode"] == 45009
    wechat.clock.advance(1)
    assert "errcode" not in api.code2session(phone.login())


def test_classic_tokens_can_be_had_two_thousand_times_a_day(wechat: SimulatedWeChat) -> None:
    query = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
    request = Request("GET", "/cgi-bin/token", query)
    for _ in range(2000):
        assert b"access_token" in wechat.answer(request).body

    assert b'"errcode":45009' in wechat.answer(request).body
