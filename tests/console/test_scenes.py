"""What each button shows: the text on the phone, and every message in its order.

Each test begins with a backend that has nothing in memory and a mini-program just opened.
"""

import pytest
from playwright.sync_api import Browser

from tests.console.window import Window
from tests.harness.api import Api
from tests.harness.deployment import Deployment

LOGIN = ["→ POST /login", "code2Session", "PutItem Sessions", "← POST /login (200)"]
COLD_LOGIN = [
    "phone wx.login",
    "→ POST /login",
    "GetSecretValue KeyRing",
    "GetSecretValue AppSecrets",
    "code2Session",
    "PutItem Sessions",
    "← POST /login (200)",
]
RENEWAL = ["UpdateItem AccessTokens", "getStableAccessToken", "UpdateItem AccessTokens"]
FIRST_TOKEN = ["GetItem AccessTokens", *RENEWAL]
ASKED = ["→ POST /phone", "GetItem Sessions", "PutItem PhoneExchanges"]
EXCHANGED = ["getPhoneNumber", "UpdateItem PhoneExchanges", "← POST /phone (200)"]
KEPT = [
    "→ POST /phone",
    "GetItem Sessions",
    "PutItem PhoneExchanges ConditionalCheckFailedException",
    "GetItem PhoneExchanges",  # was consent withdrawn since?
    "← POST /phone (200)",
]
TAP = "phone getPhoneNumber"
NUMBER = "138****8000"


def exchanges(window: Window) -> str | None:
    return window.text(".part:last-child .part__fact")


def shows_the_number(window: Window) -> bool:
    return (window.text(".number"), window.text(".problem")) == (NUMBER, None)


@pytest.fixture
def warm(window: Window) -> Window:
    """After a first tap: an access_token is in memory."""
    window.scene("new")
    return window


def test_opening_logs_in_silently(window: Window) -> None:
    assert window.part() == COLD_LOGIN
    assert (window.text(".login") or "").startswith("已登录，")
    assert window.text(".number") == "未获取"
    assert "不离开后端" in window.why("code2Session")

    window.scene("open")
    assert window.part() == ["phone wx.login", *LOGIN]


def test_a_new_clients_tap(window: Window) -> None:
    window.scene("new")
    assert window.part() == [TAP, *ASKED, *FIRST_TOKEN, *EXCHANGED]
    assert shows_the_number(window)
    assert exchanges(window) == "向微信兑换 1 次（计费 1 次）"
    assert "计费一次" in window.why("getPhoneNumber")

    window.press(".new")
    assert window.part() == [TAP, *ASKED, *EXCHANGED]


def test_an_old_clients_tap(warm: Window) -> None:
    warm.scene("old")
    assert warm.part() == [
        TAP,
        "→ POST /decrypt",
        "Query Sessions",
        "UpdateItem Sessions",  # a failure is counted before WeChat is asked
        "checkEncryptedData",
        "UpdateItem Sessions",  # and given back after its yes
        "← POST /decrypt (200)",
    ]
    assert shows_the_number(warm)
    assert exchanges(warm) is None
    label = ".row[data-name=checkEncryptedData] .back .chip__name"
    assert warm.text(label) == "vaild（微信原文如此）"
    warm.page.click(".language")
    assert warm.text(label) == "vaild (WeChat's spelling)"
    warm.page.click(".language")


def test_a_refusal_sends_nothing(window: Window) -> None:
    window.scene("refuse")
    assert window.part() == ["! refused"]
    assert window.text(".problem__title") == "已取消授权"
    assert window.text(".problem__hint") == "user_denied"
    assert window.text(".toast") == "已取消授权"

    window.scene("new")
    assert shows_the_number(window)


def test_tapping_twice_is_one_exchange(warm: Window) -> None:
    warm.scene("twice")
    assert warm.part() == [TAP, "! tapped_twice", *ASKED, *EXCHANGED]
    assert exchanges(warm) == "向微信兑换 1 次（计费 1 次）"
    assert shows_the_number(warm)


def test_a_lost_reply_is_one_exchange(warm: Window) -> None:
    warm.scene("lost")
    assert warm.part() == [TAP, *ASKED, *EXCHANGED, "! reply_lost", *KEPT]
    assert exchanges(warm) == "向微信兑换 1 次（计费 1 次）"
    assert shows_the_number(warm)
    assert "只兑换一次" in warm.why("← POST /phone (200)")
    assert warm.text(".row_lost .lost") == "✕ 手机没收到"
    assert len(warm.page.query_selector_all(".row_lost")) == 1


def test_with_a_kit_that_does_not_ask_again_the_scene_shows_that_nothing_more_came(
    browser: Browser, deployment: Deployment
) -> None:
    broken_kit = ("{ logins: 1, repeats: 1 }", "{ logins: 1 }")
    with Window.open(browser, deployment.stack.url, broken_kit=broken_kit) as window:
        window.scene("new")
        window.scene("lost")
        assert window.part() == [TAP, *ASKED, *EXCHANGED, "! reply_lost"]
        assert window.text(".problem__title") == "网络不可用，请检查后重试"


def test_with_a_kit_that_sends_twice_it_still_is_one_exchange(
    browser: Browser, deployment: Deployment
) -> None:
    broken_kit = ("if (!exchanging[key]) {", "{")
    with Window.open(browser, deployment.stack.url, broken_kit=broken_kit) as window:
        window.scene("new")
        window.scene("twice")
        assert window.part().count("← POST /phone (200)") == 2
        assert exchanges(window) == "向微信兑换 1 次（计费 1 次）"


def test_an_expired_session_is_renewed_silently(warm: Window) -> None:
    warm.scene("expired")
    assert warm.part() == [
        "! session_expired",
        TAP,
        "→ POST /phone",
        "GetItem Sessions",
        "← POST /phone session_invalid (401)",
        "phone wx.login",
        *LOGIN,
        *ASKED,
        *EXCHANGED,
    ]
    assert "静默登录一次" in warm.why("← POST /phone session_invalid (401)")
    assert shows_the_number(warm)
    assert warm.page.is_hidden(".toast")


def test_a_replaced_session_key_takes_one_more_tap(warm: Window) -> None:
    warm.scene("replaced")
    assert warm.part() == [
        "! session_key_replaced",
        TAP,
        "→ POST /decrypt",
        "Query Sessions",
        "UpdateItem Sessions",
        "checkEncryptedData",
        "← POST /decrypt undecryptable (422)",
        "phone wx.login",
        *LOGIN,
    ]
    assert warm.text(".problem__title") == "登录已更新，请再点一次"
    assert "再点一次" in warm.why("← POST /decrypt undecryptable (422)")

    warm.press(".old")
    assert warm.part()[-1] == "← POST /decrypt (200)"
    assert shows_the_number(warm)


def test_busy_wechat_leaves_the_code_for_another_try(warm: Window) -> None:
    warm.scene("busy")
    busy = ["getPhoneNumber -1", "DeleteItem PhoneExchanges"]
    assert warm.part() == [
        "! wechat_busy", TAP, *ASKED, *busy, "← POST /phone wechat_unavailable (503)",
    ]  # fmt: skip
    assert warm.text(".problem__title") == "微信服务繁忙，请稍后再试"
    assert warm.page.get_attribute(".scene[data-scene=busy]", "aria-pressed") == "true"

    warm.press(".retry")
    assert warm.part() == [*ASKED, *busy, "← POST /phone wechat_unavailable (503)"]

    warm.scene("heal")
    assert warm.part() == ["! healed"]
    assert warm.page.get_attribute(".scene[data-scene=busy]", "aria-pressed") == "false"
    warm.press(".retry")
    assert warm.part() == [*ASKED, *EXCHANGED]
    assert shows_the_number(warm)


def test_api_security_shows_the_sealed_bytes_and_what_is_in_them(warm: Window) -> None:
    warm.scene("secured")
    assert warm.part() == [
        "! api_security_on",
        TAP,
        "→ POST /phone",
        "GetItem Sessions",
        "GetSecretValue KeyRing",  # it runs anew, with the keys
        "PutItem PhoneExchanges",
        "GetSecretValue AppSecrets",
        "GetItem AccessTokens",
        *EXCHANGED,
    ]
    assert shows_the_number(warm)
    assert "验签" in warm.why("getPhoneNumber")
    row = ".part:last-child .row[data-name=getPhoneNumber][data-kind=call]"
    warm.page.click(f"{row} .message")
    details = warm.text(f"{row} .details") or ""
    for shown in ("authtag", "opened", "phone_info", NUMBER):
        assert shown in details
    assert warm.page.get_attribute(".scene[data-scene=secured]", "aria-pressed") == "true"

    warm.scene("secured")
    assert warm.part()[0] == "! api_security_off"
    assert shows_the_number(warm)
    assert "计费一次" in warm.why("getPhoneNumber")


def test_consent_that_is_withdrawn_is_pushed_checked_queued_and_acted_on(warm: Window) -> None:
    warm.scene("withdrawn")
    assert warm.part() == [
        "! consent_withdrawn",
        "⇒ POST /wechat-push/{appid}",
        "SendMessage UserEvents",
        "⇐ POST /wechat-push/{appid} (200)",
        "λ user_events",
        "PutItem PhoneExchanges",
    ]
    assert "先验签，再解密" in warm.why("⇒ POST /wechat-push/{appid}")
    assert "不再给出" in warm.why("PutItem PhoneExchanges")


PUSHED = [
    "⇒ POST /wechat-push/{appid}",
    "SendMessage PlatformEvents",
    "⇐ POST /wechat-push/{appid} (200)",
    "λ platform_events",
]


def test_a_merchant_authorises_the_platform_and_withdraws_that_again(
    warm: Window, deployment: Deployment
) -> None:
    deployment.wechat.clock.advance(600)
    deployment.wechat.deliver()  # a ticket
    warm.scene("merchant")
    assert warm.part() == [
        "! merchant_authorizes",
        *PUSHED,
        "UpdateItem Platform",
        "GetItem AccessTokens",
        "UpdateItem AccessTokens",
        "GetItem Platform",
        "getComponentAccessToken",
        "UpdateItem AccessTokens",
        "getAuthorizerRefreshToken",
        "UpdateItem Platform",
    ]
    assert warm.page.get_attribute(".scene[data-scene=merchant]", "aria-pressed") == "true"

    deployment.wechat.clock.advance(1)
    warm.scene("merchant")
    assert warm.part() == [
        "! merchant_withdraws",
        *PUSHED,
        "UpdateItem Platform",
        "DeleteItem AccessTokens",
    ]
    assert warm.page.get_attribute(".scene[data-scene=merchant]", "aria-pressed") == "false"


def test_a_dead_access_token_is_replaced_on_the_way(warm: Window) -> None:
    warm.scene("dead")
    assert warm.part() == [
        "! access_token_dead",
        TAP,
        *ASKED,
        "getPhoneNumber 40001",
        "getPhoneNumber 40001",  # a young token is tried twice
        "GetItem AccessTokens",
        "UpdateItem AccessTokens",  # the lease
        "UpdateItem AccessTokens",  # a forced refresh is counted, since it was asked just now
        "getStableAccessToken",
        "UpdateItem AccessTokens",
        *EXCHANGED,
    ]
    assert shows_the_number(warm)
    assert exchanges(warm) == "向微信兑换 1 次（计费 1 次）"
    assert "还没有检查 code" in warm.why("getPhoneNumber 40001")


def test_a_new_phone_begins_anew(warm: Window, deployment: Deployment) -> None:
    warm.scene("busy")
    warm.scene("reset")
    assert [heading.get_attribute("data-scene") for heading in
            warm.page.query_selector_all(".part")] == ["open"]  # fmt: skip
    assert warm.part() == ["phone wx.login", *LOGIN]
    assert warm.text(".number") == "未获取"
    assert list(deployment.wechat.faults) == []


def test_checking_and_logging_out_on_the_phone(warm: Window) -> None:
    warm.press(".check")
    assert warm.part() == [
        "→ GET /session", "GetItem Sessions",
        "UpdateItem Sessions ConditionalCheckFailedException", "UpdateItem Sessions",
        "checkSessionKey", "← GET /session (200)",
    ]  # fmt: skip
    assert warm.text(".toast") == "登录有效"
    warm.press(".logout")
    assert warm.part()[0] == "→ DELETE /session"
    assert warm.part()[-1] == "← DELETE /session (204)"
    assert warm.text(".login") == "未登录"


def test_a_message_of_another_client_appears_too(window: Window, deployment: Deployment) -> None:
    Api(deployment.stack.url).request("GET", "/session", token="x" * 70)
    window.page.wait_for_selector(".row[data-name='GET /session'][data-kind=answer]")
    assert window.part()[-2:] == ["→ GET /session", "← GET /session session_invalid (401)"]


def test_only_where_the_kit_logs_in_does_the_page_say_so(
    window: Window, deployment: Deployment
) -> None:
    api = Api(deployment.stack.url)
    for method, sentence in (
        ("GET", "会话已失效：kit 删除本机的会话，不会重新登录。"),
        ("DELETE", "会话本来就已失效，登出完成。"),
    ):
        api.request(method, "/session", token="x" * 70)
        window.page.wait_for_selector(f".row[data-name='{method} /session'][data-kind=answer]")
        assert window.why(f"← {method} /session session_invalid (401)") == sentence


def test_a_server_that_asks_whose_token_it_is_has_sentences_of_its_own(
    window: Window, deployment: Deployment
) -> None:
    api = Api(deployment.stack.url)
    api.introspect(api.logged_in(deployment.wechat.phone()))
    answer = ".row[data-name='POST /introspect'][data-kind=answer]"
    window.page.wait_for_selector(answer)
    assert window.why("→ POST /introspect") == "你的服务器来问：这个 token 属于谁？"
    assert window.why("← POST /introspect (200)") == "token 有效：服务器得知是哪个用户。"
    api.introspect("x" * 70)
    window.page.wait_for_selector(f"{answer} >> nth=1")
    assert window.why("← POST /introspect (200)") == "token 无效：不说明原因。"
    api.introspect("x" * 70, ("local", "wrong"))
    window.page.wait_for_selector(f"{answer}[data-outcome=client_invalid]")
    assert window.why("← POST /introspect client_invalid (401)") == (
        "请求须带 HTTP Basic 认证：用 `make api-client` 创建的客户端的名称和密钥"
    )


def test_of_a_route_of_ones_own_nothing_is_said(window: Window) -> None:
    said = window.page.evaluate(
        "import('/_console/why.js').then(({ why }) => ['request', 'answer'].map(kind => "
        "why({ kind, lane: 'api', name: 'GET /orders', outcome: '', got: { orders: [] } }, [])))"
    )
    assert said == [["", ""], ["", ""]]
