"""What is sent to WeChat, whatever the values; and its replies, whatever they hold."""

import json
import string
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wechat_auth.connections import Answer, Connections
from wechat_auth.errors import WeChatError, WeChatUnavailableError
from wechat_auth.wechat import AccessToken, WeChat

any_text = st.text(st.characters(codec=None, exclude_categories=()))
texts = any_text | st.text(st.sampled_from(string.ascii_letters + "&=?#%+;/ \r\n\0"), min_size=1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=5,
)


class Wire(Connections):
    """Takes down what would be sent, and replies what it was given."""

    def __init__(self, reply: bytes = b"{}") -> None:
        super().__init__()
        self.reply = reply
        self.targets: list[str] = []
        self.bodies: list[Any] = []

    def request(self, method: str, url: str, **sent: Any) -> Answer:  # noqa: ARG002
        self.targets.append(url)
        self.bodies.append(sent["body"])
        return Answer(200, {}, self.reply)

    @property
    def query(self) -> list[tuple[str, str]]:
        """The last query as WeChat would read it."""
        parts = urlsplit(self.targets[-1])
        assert not parts.fragment
        assert self.targets[-1].isascii()
        return parse_qsl(
            parts.query, keep_blank_values=True, strict_parsing=True, errors="surrogatepass"
        )


def ask(call: Callable[[WeChat], object], reply: bytes = b"{}") -> tuple[Wire, object]:
    wire = Wire(reply)
    try:
        answer = call(WeChat(["http://wechat.test"], wire))
    except (WeChatError, WeChatUnavailableError) as refused:
        answer = refused
    return wire, answer


# ---------------------------------------------------------------------- what is sent


@given(texts, texts, texts)
@example("a&appid=wxfedcba9876543210", "b#c", "%26secret=x")
@example("\ud800", "ä", "\r\nHost: x")
def test_no_value_becomes_another_parameter(appid: str, secret: str, code: str) -> None:
    wire, _ = ask(lambda wechat: wechat.code2session(appid, secret, code))

    assert wire.query == [
        ("appid", appid),
        ("secret", secret),
        ("js_code", code),
        ("grant_type", "authorization_code"),
    ]


@given(texts, texts)
def test_no_openid_becomes_another_parameter(token: str, openid: str) -> None:
    wire, _ = ask(lambda wechat: wechat.check_session_key(token, openid, "session_key"))

    assert [name for name, _ in wire.query] == [
        "access_token", "openid", "signature", "sig_method",
    ]  # fmt: skip
    assert dict(wire.query)["openid"] == openid
    assert dict(wire.query)["access_token"] == token


@given(texts, texts, texts)
def test_a_body_is_json_of_just_what_was_given(token: str, code: str, openid: str) -> None:
    wire, _ = ask(lambda wechat: wechat.phone_number(token, code, openid))

    assert wire.query == [("access_token", token)]
    assert json.loads(wire.bodies[-1]) == {"code": code, "openid": openid}


# ---------------------------------------------------------------------- what is replied

CALLS: dict[str, Callable[[WeChat], object]] = {
    "code2Session": lambda wechat: wechat.code2session("a", "b", "c"),
    "getStableAccessToken": lambda wechat: wechat.stable_access_token("a", "b"),
    "getPhoneNumber": lambda wechat: wechat.phone_number("a", "b"),
    "checkSessionKey": lambda wechat: wechat.check_session_key("a", "b", "c"),
    "resetUserSessionKey": lambda wechat: wechat.reset_user_session_key("a", "b", "c"),
    "checkEncryptedData": lambda wechat: wechat.check_encrypted_data("a", "b"),
    "getOpenData": lambda wechat: wechat.open_data("a", "b", "c"),
}
names = st.sampled_from(
    ["errcode", "errmsg", "openid", "session_key", "unionid", "access_token", "expires_in",
     "phone_info", "vaild", "data_list"]
)  # fmt: skip
inner = st.dictionaries(
    st.sampled_from(["phoneNumber", "purePhoneNumber", "countryCode", "json", "data", "cloud_id"]),
    json_values,
)
replies = st.dictionaries(names, json_values | inner | st.lists(inner, max_size=2))


@given(replies)
def test_any_reply_is_an_answer_or_a_known_error(reply: dict[str, Any]) -> None:
    for call in CALLS.values():
        ask(call, json.dumps(reply).encode())  # anything else would be raised


@given(content=st.binary() | any_text.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(content=b"[" * 100_000)
@example(content=b'{"a":' * 100_000)
@example(content=b'{"errcode":' + b"9" * 5_000 + b"}")
@example(content=b'{"errcode":NaN}')
@example(content=b'\xef\xbb\xbf{"errcode":0}')
@example(content="{}".encode("utf-16"))
def test_anything_else_is_a_known_error(content: bytes) -> None:
    for call in CALLS.values():
        ask(call, content)


@pytest.mark.parametrize("life", ["7200", "7201", "9" * 400])
def test_no_token_is_kept_longer_than_wechat_says(life: str) -> None:
    reply = b'{"access_token":"a","expires_in":%s}' % life.encode()

    assert ask(CALLS["getStableAccessToken"], reply)[1] == AccessToken("a", 7200)


@pytest.mark.parametrize("life", ["1e400", "1e3", "true", "-1", "0", '"7200"', "9" * 5_000])
def test_a_token_with_another_life_is_no_token(life: str) -> None:
    reply = b'{"access_token":"a","expires_in":%s}' % life.encode()

    assert isinstance(ask(CALLS["getStableAccessToken"], reply)[1], WeChatUnavailableError)


@pytest.mark.parametrize("number", ["1e400", "-1e400"])
def test_open_data_with_a_number_that_no_answer_can_hold_is_none(number: str) -> None:
    inside = f'{{"data":{{"steps":{number}}}}}'
    reply = json.dumps({"data_list": [{"json": inside}]})

    assert ask(CALLS["getOpenData"], reply.encode())[1] is None
