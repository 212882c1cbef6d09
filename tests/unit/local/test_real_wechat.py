"""`make run APPID=wx…`: the stack with the real WeChat, for which a second simulation stands."""

import io
import json

import pytest
import urllib3

from local import __main__ as run
from local.runtime import functions_write_to
from local.simulated_wechat import App, SimulatedWeChat, serve
from local.stack import RealApp, Stack
from tests.harness.api import Api

APP = RealApp("wx00000000000000aa", "0123456789abcdef" * 2)


def test_a_login_and_a_number_come_from_the_wechat_that_is_asked() -> None:
    real = SimulatedWeChat([App(APP.appid, APP.secret)])
    with (
        serve(real) as server,
        Stack.start(wechat=APP, parameters={"WeChatBaseUrls": server.url}) as stack,
    ):
        phone = real.phone(number="13800138000")
        token = Api(stack.url).logged_in(phone)
        reply = Api(stack.url).phone(phone.tap_phone_number().code, token=token)
        assert (reply.status, reply.json["phoneNumber"]) == (200, "13800138000")
        welcome = run.welcome(stack, "log")
    assert f"the real one, for {APP.appid}" in welcome
    assert f"baseUrl: '{stack.url}'" in welcome
    assert APP.secret not in welcome + repr(stack)


def test_without_an_address_of_its_own_it_asks_wechats() -> None:
    with Stack.start(wechat=APP) as stack:
        assert stack.application.environment["WECHAT_BASE_URLS"].startswith(
            "https://api.weixin.qq.com,"
        )


def test_the_app_secret_is_within_reach_of_this_machine_alone() -> None:
    with Stack.start(wechat=APP, host="0.0.0.0") as stack:  # noqa: S104 - what LISTEN may say
        assert stack.aws_url.startswith("http://127.0.0.1:")
        assert urllib3.request("GET", stack.url.replace("0.0.0.0", "127.0.0.1")).status == 404  # noqa: S104


def test_on_the_network_the_api_is_told_by_an_address_that_a_phone_can_open() -> None:
    with Stack.start(wechat=APP, host="0.0.0.0") as stack:  # noqa: S104 - what LISTEN may say
        welcome = run.welcome(stack, "log")
    assert "//0.0.0.0" not in welcome
    assert run.on_network(stack.url) in welcome
    assert f"    In a browser       {stack.url.replace('0.0.0.0', '127.0.0.1')}/ " in welcome  # noqa: S104
    assert "\nWhoever reaches this address can call: the API.\n" in welcome


def test_an_address_that_wechat_does_not_let_in_is_explained_on_the_terminal() -> None:
    real = SimulatedWeChat([App(APP.appid, APP.secret, ip_whitelist=("192.0.2.1",))])
    said: list[str] = []
    log = io.StringIO()
    with (
        serve(real) as server,
        functions_write_to(run.Explained(log, said.append)),
        Stack.start(wechat=APP, parameters={"WeChatBaseUrls": server.url}) as stack,
    ):
        code = real.phone(number="13800138000").tap_phone_number().code
        assert Api(stack.url).phone(code).status == 500
    assert "".join(said) == (
        "          WeChat 40164: WeChat's IP whitelist does not hold the address this call came "
        "from: add it in the console, or switch the whitelist off, or deploy with a fixed egress "
        "address (the address is 127.0.0.1)"
    )
    assert any("remedy" in json.loads(line) for line in log.getvalue().splitlines())


def test_the_app_secret_is_asked_for_and_shown_nowhere() -> None:
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return f"{APP.secret}\n"

    assert run.real_app(APP.appid, ask) == APP
    assert asked == [f"AppSecret of {APP.appid} (not shown, and kept in memory only): "]
    assert APP.secret not in repr(run.real_app(APP.appid, ask))
    assert run.real_app("", ask) is None


@pytest.mark.parametrize(
    ("appid", "secret", "message"),
    [
        ("wx123", APP.secret, "APPID must be wx and 16"),
        (APP.appid, "0123", "an AppSecret is 32"),
    ],
)
def test_what_is_no_appid_or_no_app_secret_is_refused(
    appid: str, secret: str, message: str
) -> None:
    with pytest.raises(run.NoAppError, match=message):
        run.real_app(appid, lambda _: secret)
