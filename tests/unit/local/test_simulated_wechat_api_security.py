"""API security at the simulated WeChat: what it refuses, and with which errcode."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from local.simulated_wechat import App, SimulatedWeChat
from local.simulated_wechat.request import Request
from local.stack import api_security
from wechat_crypto.api_security import ApiKeys, seal_call

APPID, OTHER = "wx0123456789abcdef", "wxfedcba9876543210"
HOST, PATH = "api.weixin.qq.com", "/wxa/business/getuserphonenumber"

Change = Callable[[dict[str, Any]], Mapping[str, Any]]


@pytest.fixture
def wechat() -> SimulatedWeChat:
    wechat = SimulatedWeChat([App(APPID, "5" * 32), App(OTHER, "6" * 32)])
    wechat.set_up_api_security()
    return wechat


def call(wechat: SimulatedWeChat, change: Change = lambda _: {}) -> int:
    """Send a phone code in a sealed call that was changed in one way; return the errcode."""
    keys = ApiKeys.from_document(api_security(wechat.api_security[APPID]))
    parts: dict[str, Any] = {
        "url": f"https://{HOST}{PATH}",
        "appid": APPID,
        "symmetric": keys.symmetric[0],
        "private": keys.private[0],
        "now": wechat.clock.now(),
    }
    changed = dict(change(parts))
    headers, body = changed.pop("headers", {}), changed.pop("body", None)
    query = {"access_token": token(wechat), **changed.pop("query", {})}
    code = wechat.phone(APPID).tap_phone_number().code
    sealed = seal_call(parameters={"code": code}, **{**parts, **changed})
    given = {name: value for name, value in {**sealed.headers, **headers}.items() if value}
    headers = {name.lower(): value for name, value in given.items()}
    content = body or sealed.body
    request = Request("POST", PATH, query, content, headers=headers, base_url=f"https://{HOST}")
    wechat.answer(request)
    return wechat.calls[-1].errcode or 0


def token(wechat: SimulatedWeChat, appid: str = APPID) -> str:
    secret = next(app.secret for app in wechat.apps if app.appid == appid)
    query = {"grant_type": "client_credential", "appid": appid, "secret": secret}
    wechat.answer(Request("GET", "/cgi-bin/token", query))
    return wechat.access_tokens[-1]


def test_a_sealed_call_is_answered(wechat: SimulatedWeChat) -> None:
    assert call(wechat) == 0


@pytest.mark.parametrize(
    ("errcode", "change"),
    [
        (40230, lambda _: {"headers": {"Wechatmp-Serial": None}}),
        (40231, lambda _: {"headers": {"Wechatmp-TimeStamp": None}}),
        (40232, lambda _: {"headers": {"Wechatmp-Signature": None}}),
        (40233, lambda _: {"headers": {"Wechatmp-Appid": None}}),
        (40234, lambda _: {"headers": {"Wechatmp-Signature": "c2lnbmF0dXJl"}}),
        (40234, lambda _: {"headers": {"Wechatmp-Signature": "*"}}),
        (40234, lambda parts: {"url": parts["url"] + "/"}),
        (40234, lambda _: {"body": b"{}"}),
        (40237, lambda _: {"appid": OTHER}),
        (40240, lambda parts: {"now": parts["now"] - 301}),
        (40240, lambda parts: {"now": parts["now"] + 302}),
        (40014, lambda _: {"query": {"access_token": "another"}}),
    ],
)
def test_what_is_wrong_with_a_call_has_its_errcode(
    wechat: SimulatedWeChat, errcode: int, change: Change
) -> None:
    assert call(wechat, change) == errcode
    assert not wechat.billed.exchanges


@pytest.mark.parametrize(
    ("replace", "errcode"), [("replace_key_pair", 40234), ("replace_symmetric_key", 40235)]
)
def test_a_key_that_was_replaced_ends_at_once(
    wechat: SimulatedWeChat, replace: str, errcode: int
) -> None:
    def change(_: dict[str, Any]) -> Mapping[str, Any]:
        getattr(wechat.api_security[APPID], replace)()
        return {}

    assert call(wechat, change) == errcode
    assert call(wechat) == 0


def test_while_the_switch_is_off_calls_may_be_plain_and_answers_are(
    wechat: SimulatedWeChat,
) -> None:
    wechat.api_security[APPID].on = False
    assert call(wechat) == 0
    plain = dict.fromkeys(("Serial", "TimeStamp", "Signature", "Appid"))
    headers = {f"Wechatmp-{name}": value for name, value in plain.items()}
    code = wechat.phone(APPID).tap_phone_number().code
    body = f'{{"code":"{code}"}}'.encode()
    assert call(wechat, lambda _: {"headers": headers, "body": body}) == 0


def test_an_app_that_never_set_it_up_is_as_before(wechat: SimulatedWeChat) -> None:
    wechat.remove_api_security(APPID)
    code = wechat.phone(APPID).tap_phone_number().code
    body = f'{{"code":"{code}"}}'.encode()
    wechat.answer(Request("POST", PATH, {"access_token": token(wechat)}, body))
    assert wechat.calls[-1].errcode == 0
