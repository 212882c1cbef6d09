"""Login codes, phone codes and the session_key at the simulated WeChat."""

import re
from collections.abc import Iterator

import pytest
import time_machine

from local.simulated_wechat import App, SimulatedWeChat, WeChatError

from .wechat_caller import APPID, OTHER_APPID, SECRET, Caller

NOW = 1_795_219_200


@pytest.fixture(autouse=True)
def _time_stands_still() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


def test_a_login_code_looks_like_wechats(wechat: SimulatedWeChat) -> None:
    assert re.fullmatch(r"0[0-9A-Za-z]{31}", wechat.phone().login())


def test_a_phone_code_looks_like_wechats(wechat: SimulatedWeChat) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", wechat.phone().tap_phone_number().code)


def test_code2session_answers_openid_and_session_key_and_no_errcode(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    phone = wechat.phone()

    reply = api.code2session(phone.login())

    assert reply == {"openid": phone.openid, "session_key": phone.session_key}
    assert re.fullmatch(r"o[0-9A-Za-z_-]{27}", reply["openid"])
    assert re.fullmatch(r"[0-9A-Za-z+/]{22}==", reply["session_key"])


@pytest.mark.parametrize(("age", "errcode"), [(299, None), (300, 40029)])
def test_a_login_code_lives_five_minutes(
    wechat: SimulatedWeChat, api: Caller, age: int, errcode: int | None
) -> None:
    code = wechat.phone().login()
    wechat.clock.advance(age)

    assert api.code2session(code).get("errcode") == errcode


def test_a_spent_login_code_is_merely_invalid_once_it_has_expired(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    code = wechat.phone().login()
    api.code2session(code)
    wechat.clock.advance(300)

    assert api.code2session(code)["errcode"] == 40029


def test_a_login_code_of_another_app_is_invalid(wechat: SimulatedWeChat, api: Caller) -> None:
    assert api.code2session(wechat.phone(OTHER_APPID).login())["errcode"] == 40029


def test_a_phone_code_is_exchanged_for_the_number(wechat: SimulatedWeChat, api: Caller) -> None:
    tap = wechat.phone(number="13580006666").tap_phone_number()

    assert api.phone_number(api.token(), tap.code) == {
        "errcode": 0,
        "errmsg": "ok",
        "phone_info": {
            "phoneNumber": "13580006666",
            "purePhoneNumber": "13580006666",
            "countryCode": 86,
            "watermark": {"timestamp": NOW, "appid": APPID},
        },
    }


def test_a_phone_code_works_once(wechat: SimulatedWeChat, api: Caller) -> None:
    token, code = api.token(), wechat.phone().tap_phone_number().code
    api.phone_number(token, code)

    assert api.phone_number(token, code)["errcode"] == 40029


def test_a_phone_code_sent_with_another_users_openid_is_refused_and_not_spent(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    token, code = api.token(), wechat.phone().tap_phone_number().code

    assert api.phone_number(token, code, openid=wechat.phone().openid)["errcode"] == 40029
    assert api.phone_number(token, code)["errcode"] == 0


def test_an_app_without_the_phone_api_is_refused_before_its_code_is_spent(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    token, code = api.token(), wechat.phone().tap_phone_number().code
    wechat.put_app(App(APPID, SECRET, phone_api=False))
    assert api.phone_number(token, code)["errcode"] == 48001
    assert api.check_encrypted(token, "x")["errcode"] == 48001
    wechat.put_app(App(APPID, SECRET))
    assert api.phone_number(token, code)["errcode"] == 0


def test_taps_and_exchanges_are_counted(wechat: SimulatedWeChat, api: Caller) -> None:
    token, phone = api.token(), wechat.phone()
    exchanged, kept = phone.tap_phone_number().code, phone.tap_phone_number().code
    api.phone_number(token, exchanged)
    api.phone_number(token, exchanged)

    assert wechat.billed.taps == 2
    assert wechat.billed.exchanges == {exchanged: 1}
    assert wechat.billed.arrivals == {exchanged: 2}
    assert kept not in wechat.billed.arrivals


def test_a_code_sent_with_a_refused_token_has_not_arrived(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    code = wechat.phone().tap_phone_number().code
    api.phone_number("made-up", code)

    assert wechat.billed.arrivals == {}


def test_a_code_can_be_spent_by_another_server(wechat: SimulatedWeChat, api: Caller) -> None:
    login, tap = wechat.phone().login(), wechat.phone().tap_phone_number()
    wechat.spend_code(login)
    wechat.spend_code(tap.code)

    assert api.code2session(login)["errcode"] == 40163
    assert api.phone_number(api.token(), tap.code)["errcode"] == 40029
    with pytest.raises(WeChatError, match="40029 invalid code"):
        wechat.spend_code("0" * 32)
