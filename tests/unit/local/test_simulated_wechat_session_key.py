"""The one live session_key of a user at the simulated WeChat."""

import pytest

from local.simulated_wechat import SimulatedWeChat

from .wechat_caller import Caller


def test_an_expired_session_key_is_gone(wechat: SimulatedWeChat, api: Caller) -> None:
    phone = wechat.phone()
    old = api.code2session(phone.login())["session_key"]
    phone.expire_session_key()

    assert api.check_session(api.token(), phone.openid, old)["errcode"] == 87007


@pytest.mark.parametrize(
    ("changes", "errcode"),
    [({"sig_method": "md5"}, 87008), ({"signature": ""}, 40097), ({"openid": ""}, 40097)],
)
def test_a_malformed_session_check_is_refused(
    wechat: SimulatedWeChat, api: Caller, changes: dict[str, str], errcode: int
) -> None:
    phone = wechat.phone()
    key = api.code2session(phone.login())["session_key"]

    assert api.check_session(api.token(), phone.openid, key, **changes)["errcode"] == errcode


def test_resetting_answers_a_new_session_key_and_ends_the_old(
    wechat: SimulatedWeChat, api: Caller
) -> None:
    token, phone = api.token(), wechat.phone()
    old = api.code2session(phone.login())["session_key"]

    reply = api.reset_session(token, phone.openid, old)

    assert reply == {
        "errcode": 0,
        "errmsg": "ok",
        "openid": phone.openid,
        "session_key": phone.session_key,
    }
    assert phone.session_key != old
    assert api.reset_session(token, phone.openid, old)["errcode"] == 87009
