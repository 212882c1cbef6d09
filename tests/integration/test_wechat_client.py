"""The client of WeChat's API against the simulated WeChat, over HTTP and its breakdowns."""

import json
import logging
import re
import socket
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from local.simulated_wechat import App, Fault, Phone, SimulatedWeChat, serve
from tests.harness.canned import canned, http
from tests.harness.counting import counted
from wechat_auth.connections import Budget, Connections
from wechat_auth.errors import (
    LOGIN_CODE_REJECTED,
    MISCONFIGURED,
    WECHAT_UNAVAILABLE,
    AuthError,
    WeChatError,
    WeChatUnavailableError,
)
from wechat_auth.wechat import PhoneNumber, WeChat

APPID = "wx0123456789abcdef"
SECRET = "5ec4e7000000000000000000005ec4e7"
RID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}")


@pytest.fixture
def wechat() -> SimulatedWeChat:
    return SimulatedWeChat([App(APPID, SECRET, cloud=True, unionid=True)])


@pytest.fixture
def url(wechat: SimulatedWeChat) -> Iterator[str]:
    with serve(wechat) as server:
        yield server.url


@dataclass(slots=True)
class Caller:
    """A client, and a person whose phone gives out what its calls need."""

    client: WeChat
    phone: Phone
    token: str
    session_key: str
    sent: list[str]

    def fresh(self, secret: str) -> str:
        """Note what must never be seen again."""
        self.sent.append(secret)
        return secret


@pytest.fixture
def caller(wechat: SimulatedWeChat, url: str) -> Caller:
    client = WeChat([url])
    phone = wechat.phone()
    session_key = client.code2session(APPID, SECRET, phone.login()).session_key
    token = client.stable_access_token(APPID, SECRET).token
    return Caller(client, phone, token, session_key, [SECRET, token, session_key, phone.openid])


CALLS: dict[str, Callable[[Caller], Any]] = {
    "code2Session": lambda c: c.client.code2session(APPID, SECRET, c.fresh(c.phone.login())),
    "getStableAccessToken": lambda c: c.client.stable_access_token(APPID, SECRET),
    "getAccessToken": lambda c: c.client.classic_access_token(APPID, SECRET),
    "getPhoneNumber": lambda c: c.client.phone_number(
        c.token, c.fresh(c.phone.tap_phone_number().code), c.phone.openid
    ),
    "checkSessionKey": lambda c: c.client.check_session_key(c.token, c.phone.openid, c.session_key),
    "resetUserSessionKey": lambda c: c.client.reset_user_session_key(
        c.token, c.phone.openid, c.session_key
    ),
    "checkEncryptedData": lambda c: c.client.check_encrypted_data(
        c.token, c.fresh(c.phone.tap_phone_number().encrypted_data)
    ),
    "getOpenData": lambda c: c.client.open_data(
        c.token, c.phone.openid, c.fresh(c.phone.tap_phone_number().cloud_id or "")
    ),
}
each_call = pytest.mark.parametrize("call", CALLS)


class TestEightCalls:
    def test_code2session_tells_who_a_login_code_stands_for(self, caller: Caller) -> None:
        who = caller.client.code2session(APPID, SECRET, caller.phone.login())
        assert who.openid == caller.phone.openid
        assert who.unionid == caller.phone.unionid
        assert who.session_key == caller.phone.session_key

    def test_unionid_is_none_where_the_app_is_bound_to_no_open_platform(
        self, wechat: SimulatedWeChat, url: str
    ) -> None:
        wechat.put_app(App(APPID, SECRET))
        assert WeChat([url]).code2session(APPID, SECRET, wechat.phone().login()).unionid is None

    def test_a_login_code_works_once(self, caller: Caller) -> None:
        code = caller.phone.login()
        caller.client.code2session(APPID, SECRET, code)
        with pytest.raises(WeChatError) as caught:
            caller.client.code2session(APPID, SECRET, code)
        assert (caught.value.errcode, caught.value.problem) == (40163, LOGIN_CODE_REJECTED)

    def test_the_stable_token_stays_the_same_until_it_is_forced(self, caller: Caller) -> None:
        again = caller.client.stable_access_token(APPID, SECRET)
        forced = caller.client.stable_access_token(APPID, SECRET, force=True)
        assert again.token == caller.token
        assert 7190 <= again.expires_in <= 7200
        assert forced.token != caller.token
        assert forced.expires_in == 7200

    def test_each_classic_token_is_another(self, caller: Caller) -> None:
        first = caller.client.classic_access_token(APPID, SECRET)
        second = caller.client.classic_access_token(APPID, SECRET)
        assert first.token != second.token
        assert second.expires_in == 7200

    @pytest.mark.parametrize("as_number", [True, False])
    def test_a_phone_code_gives_the_number_and_its_country_code_as_text(
        self, wechat: SimulatedWeChat, caller: Caller, as_number: bool
    ) -> None:
        wechat.settings.country_code_as_number = as_number
        code = caller.phone.tap_phone_number().code
        before = int(wechat.clock.now())
        number = caller.client.phone_number(caller.token, code)
        assert number.verified_at in {before, before + 1}  # by the watermark
        assert number == PhoneNumber("13800138000", "13800138000", "86", number.verified_at)

    def test_a_foreign_number_comes_with_its_country_code(self, caller: Caller) -> None:
        code = caller.phone.tap_phone_number(number="13580006666", country_code="852").code
        number = caller.client.phone_number(caller.token, code, caller.phone.openid)
        assert number == PhoneNumber("+85213580006666", "13580006666", "852", number.verified_at)

    def test_with_the_openid_another_users_phone_code_is_refused(
        self, wechat: SimulatedWeChat, caller: Caller
    ) -> None:
        code = wechat.phone().tap_phone_number().code
        with pytest.raises(WeChatError) as caught:
            caller.client.phone_number(caller.token, code, caller.phone.openid)
        assert caught.value.errcode == 40029

    def test_check_session_key_tells_a_live_key_from_a_replaced_and_an_expired_one(
        self, caller: Caller
    ) -> None:
        def live() -> bool:
            openid, key = caller.phone.openid, caller.session_key
            return caller.client.check_session_key(caller.token, openid, key)

        assert live()
        caller.phone.login()
        assert not live()
        caller.phone.expire_session_key()
        assert not live()

    def test_reset_user_session_key_answers_the_new_key(self, caller: Caller) -> None:
        openid, key = caller.phone.openid, caller.session_key
        new = caller.client.reset_user_session_key(caller.token, openid, key)
        assert new == caller.phone.session_key != key

    @pytest.mark.parametrize("errcode", [1, 0])
    def test_check_encrypted_data_knows_what_wechat_encrypted(
        self, wechat: SimulatedWeChat, caller: Caller, errcode: int
    ) -> None:
        wechat.settings.unknown_ciphertext_errcode = errcode
        made_by_wechat = caller.phone.tap_phone_number().encrypted_data
        forged, _ = caller.phone.encrypt({"phoneNumber": "13580006666"})
        assert caller.client.check_encrypted_data(caller.token, made_by_wechat) is True
        assert caller.client.check_encrypted_data(caller.token, forged) is False

    @pytest.mark.parametrize("as_object", [True, False])
    def test_open_data_gives_what_a_cloud_id_stands_for_as_text_or_object(
        self, wechat: SimulatedWeChat, caller: Caller, as_object: bool
    ) -> None:
        wechat.settings.open_data_as_object = as_object
        cloud_id = caller.phone.tap_phone_number().cloud_id or ""
        data = caller.client.open_data(caller.token, caller.phone.openid, cloud_id)
        assert data is not None
        assert data["purePhoneNumber"] == "13800138000"
        assert data["watermark"]["appid"] == APPID

    def test_another_users_cloud_id_gives_nothing(
        self, wechat: SimulatedWeChat, caller: Caller
    ) -> None:
        cloud_id = wechat.phone().tap_phone_number().cloud_id or ""
        assert caller.client.open_data(caller.token, caller.phone.openid, cloud_id) is None

    def test_what_is_sent_cannot_inject_another_parameter(
        self, wechat: SimulatedWeChat, caller: Caller
    ) -> None:
        wechat.put_app(App("wxfedcba9876543210", SECRET))
        with pytest.raises(WeChatError) as caught:
            caller.client.code2session(APPID, SECRET, 'x"&appid=wxfedcba9876543210&js_code=y #%')
        assert caught.value.errcode == 40029
        assert wechat.calls[-1].appid == APPID


SPOILT_ANSWERS = {
    "a gateway's 502": Fault("*", "status"),
    "a 500 after the work": Fault("*", "status", status=500, work_done=True),
    "a page of HTML": Fault("*", "html"),
    "half a document": Fault("*", "truncated"),
    "a body that ends early": Fault("*", "incomplete"),
    "a reset before the work": Fault("*", "drop_before"),
    "a reset after the work": Fault("*", "drop_after"),
    "an answer after the time-out": Fault("*", "latency", seconds=30),
}


class TestBreakdowns:
    @each_call
    @pytest.mark.parametrize("spoilt", SPOILT_ANSWERS)
    def test_is_unavailable_asked_once_and_works_the_next_time(
        self,
        wechat: SimulatedWeChat,
        url: str,
        caller: Caller,
        call: str,
        spoilt: str,
    ) -> None:
        caller.client = WeChat([url], budget=Budget(1, 0.5, 0.3))
        wechat.faults.add(SPOILT_ANSWERS[spoilt])
        before = wechat.count(call)
        with pytest.raises(WeChatUnavailableError) as caught:
            CALLS[call](caller)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert caught.value.call == call
        assert wechat.count(call) == before + 1
        assert_says_nothing_of(caught.value, caller.sent)
        # What the lost answer did: a reset session_key is not the caller's any more.
        caller.session_key = caller.phone.session_key or ""
        CALLS[call](caller)
        assert wechat.calls[-1].errcode == 0

    @each_call
    def test_a_code_that_may_have_arrived_is_never_sent_again(
        self, wechat: SimulatedWeChat, url: str, caller: Caller, call: str
    ) -> None:
        caller.client = WeChat([url, url])  # there would be another address to try
        wechat.faults.add(Fault("*", "drop_after"))
        with pytest.raises(WeChatUnavailableError):
            CALLS[call](caller)
        assert set(wechat.billed.arrivals.values()) <= {1}

    @each_call
    def test_the_next_address_is_tried_where_no_connection_was_made(
        self, url: str, caller: Caller, call: str
    ) -> None:
        caller.client = WeChat([refusing_url(), url])
        assert CALLS[call](caller)

    @each_call
    def test_where_no_address_can_be_connected_to_it_is_unavailable(
        self, caller: Caller, call: str
    ) -> None:
        caller.client = WeChat([refusing_url(), "http://nowhere.invalid"])
        with pytest.raises(WeChatUnavailableError) as caught:
            CALLS[call](caller)
        assert caught.value.reason in {"no connection", "the name has no address"}
        assert_says_nothing_of(caught.value, caller.sent)

    def test_the_next_address_is_tried_where_connecting_takes_too_long(
        self, url: str, caller: Caller
    ) -> None:
        with deaf_url() as deaf:
            caller.client = WeChat([deaf, url], budget=Budget(5, 0.2, 2.5))
            assert CALLS["code2Session"](caller).openid == caller.phone.openid

    def test_no_second_address_is_tried_when_the_time_is_up(
        self, wechat: SimulatedWeChat, url: str, caller: Caller
    ) -> None:
        before = wechat.count("code2Session")
        with deaf_url() as deaf:
            caller.client = WeChat([deaf, url], budget=Budget(0.3, 0.2, 0.2))
            with pytest.raises(WeChatUnavailableError) as caught:
                CALLS["code2Session"](caller)
        assert caught.value.reason == "no time left"
        assert wechat.count("code2Session") == before

    @pytest.mark.parametrize(
        "reply",
        [
            b"[]",
            b'"openid"',
            b"null",
            b"",
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"openid": "o", "session_key": ""}',
            b'{"openid": 7, "session_key": "k"}',
            b'{"session_key": "k"}',
            b"{}",
        ],
    )
    def test_json_that_is_not_the_answer_is_no_answer(self, reply: bytes) -> None:
        with canned(http(reply)) as url, pytest.raises(WeChatUnavailableError) as caught:
            WeChat([url]).code2session(APPID, SECRET, "code")
        assert caught.value.problem is WECHAT_UNAVAILABLE

    @pytest.mark.parametrize("expires_in", ["0", "-1", "true", '"7200"', "72.5", "null"])
    def test_a_token_without_a_life_is_no_token(self, expires_in: str) -> None:
        reply = f'{{"access_token": "t", "expires_in": {expires_in}}}'.encode()
        with canned(http(reply)) as url, pytest.raises(WeChatUnavailableError) as caught:
            WeChat([url]).stable_access_token(APPID, SECRET)
        assert caught.value.reason == "a reply without expires_in"

    @pytest.mark.parametrize("phone_info", ["[]", "null", '{"phoneNumber": 13800138000}'])
    def test_a_phone_number_that_is_no_text_is_no_number(self, phone_info: str) -> None:
        reply = f'{{"errcode": 0, "phone_info": {phone_info}}}'.encode()
        with canned(http(reply)) as url, pytest.raises(WeChatUnavailableError):
            WeChat([url]).phone_number("t", "code")

    @pytest.mark.parametrize("country_code", ["86", '"86"'])
    def test_a_country_code_is_a_text_also_where_wechat_sends_a_number(
        self, country_code: str
    ) -> None:
        with canned(http(phone_reply(country_code))) as url:
            number = WeChat([url]).phone_number("t", "code")
        assert number == PhoneNumber("13800138000", "13800138000", "86")

    def test_a_country_code_that_is_null_is_what_the_numbers_say(self) -> None:
        with canned(http(phone_reply("null"))) as url:
            number = WeChat([url]).phone_number("t", "code")
        assert number == PhoneNumber("13800138000", "13800138000", "86")

    @pytest.mark.parametrize(
        ("written", "read"),
        [(b"a\x14b", "a\x14b"), (b"a\nb", "a\nb"), (b"a\xffb", "a\ufffdb"), (b"\\ud83d", "\ud83d")],
    )
    @pytest.mark.parametrize("within", ["a text", "an object"])
    def test_what_rfc_8259_refuses_is_read_all_the_same(
        self, written: bytes, read: str, within: str
    ) -> None:
        data = b'{"data":{"nickName":"#"}}'
        if within == "a text":
            data = json.dumps(data.decode()).encode()
        reply = (
            b'\xef\xbb\xbf{"errcode":0,"errmsg":"\xe9\x07","data_list":[{"json":' + data + b"}]}"
        )
        with canned(http(reply.replace(b"#", written))) as url:
            assert WeChat([url]).open_data("t", "o", "cloud") == {"nickName": read}

    @pytest.mark.parametrize("country_code", ["true", '""', "[86]", "8.6"])
    def test_a_number_without_its_country_code_is_no_answer(self, country_code: str) -> None:
        with (
            canned(http(phone_reply(country_code))) as url,
            pytest.raises(WeChatUnavailableError) as caught,
        ):
            WeChat([url]).phone_number("t", "code")
        assert caught.value.reason == "a reply without countryCode"

    @pytest.mark.parametrize(
        "data_list", ["{}", "[]", "[7]", '[{"json": "["}]', '[{"json": {"data": "x"}}]']
    )
    def test_open_data_of_another_form_is_none(self, data_list: str) -> None:
        reply = f'{{"errcode": 0, "data_list": {data_list}}}'.encode()
        with canned(http(reply)) as url:
            assert WeChat([url]).open_data("t", "o", "cloud") is None

    def test_a_reply_of_more_than_a_mebibyte_is_not_read_to_its_end(self) -> None:
        with canned(http(b'{"openid": "' + b"o" * 20_000_000)) as url:
            started = time.perf_counter()
            with pytest.raises(WeChatUnavailableError) as caught:
                WeChat([url]).code2session(APPID, SECRET, "code")
            assert time.perf_counter() - started < 5
        assert caught.value.reason == "the connection ended without a whole answer"

    def test_a_reply_that_trickles_in_ends_with_the_time_out(self) -> None:
        with canned(http(b"{" + b" " * 100), trickle=0.01) as url:
            started = time.perf_counter()
            with pytest.raises(WeChatUnavailableError):
                WeChat([url], budget=Budget(0.3, 0.2, 0.1)).code2session(APPID, SECRET, "code")
            assert 0.3 <= time.perf_counter() - started < 5

    def test_a_redirect_is_not_followed(self, wechat: SimulatedWeChat, url: str) -> None:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {url}/\r\nContent-Length: 2\r\n\r\n{{}}"
        with canned(moved.encode()) as elsewhere, pytest.raises(WeChatUnavailableError) as caught:
            WeChat([elsewhere]).code2session(APPID, SECRET, "code")
        assert caught.value.reason == "HTTP 302 without JSON"
        assert wechat.calls == ()

    def test_headers_that_are_none_put_no_url_into_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = b'{"openid": "o", "session_key": "k"}'
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nno header\r\nA: b\r\n\r\n"
        with canned(head.encode() + body) as url, caplog.at_level(logging.DEBUG):
            WeChat([url]).code2session(APPID, SECRET, "the-code")
        assert SECRET not in caplog.text
        assert "the-code" not in caplog.text

    def test_a_kept_connection_that_wechat_closed_meanwhile_costs_no_request(
        self, wechat: SimulatedWeChat
    ) -> None:
        with serve(wechat) as server:
            client = WeChat([server.url])
            client.stable_access_token(APPID, SECRET)
            port = server.port
        with serve(wechat, port):
            assert client.stable_access_token(APPID, SECRET).expires_in > 7000

    @pytest.mark.parametrize(("idle", "kept"), [(19, True), (21, False)])
    def test_a_connection_unused_for_20_seconds_is_not_trusted(
        self, url: str, idle: float, kept: bool
    ) -> None:
        now = 0.0
        with counted(url) as (counting, made):
            client = WeChat([counting], Connections(clock=lambda: now))
            client.stable_access_token(APPID, SECRET)
            now += idle
            client.stable_access_token(APPID, SECRET)
            assert made.qsize() == (1 if kept else 2)


class TestErrcodes:
    @each_call
    def test_every_errcode_keeps_its_rid_and_no_secret(
        self, wechat: SimulatedWeChat, caller: Caller, call: str
    ) -> None:
        wechat.faults.add(Fault(call, "errcode", errcode=45009))
        with pytest.raises(WeChatError) as caught:
            CALLS[call](caller)
        error = caught.value
        assert (error.call, error.errcode, error.problem.code) == (call, 45009, "quota_exhausted")
        assert RID.fullmatch(error.rid or "")
        assert_says_nothing_of(error, caller.sent)

    @each_call
    def test_an_errcode_that_nobody_knows_is_unavailable_and_worth_a_look(
        self, wechat: SimulatedWeChat, caller: Caller, call: str
    ) -> None:
        wechat.faults.add(Fault(call, "errcode", errcode=12345, errmsg=f"odd {SECRET}"))
        with pytest.raises(WeChatError) as caught:
            CALLS[call](caller)
        error = caught.value
        assert error.errcode == 12345
        assert error.problem is WECHAT_UNAVAILABLE
        assert error.remedy == "an errcode that is not in the table: look it up with its rid"
        assert_says_nothing_of(error, caller.sent)

    @pytest.mark.parametrize(
        ("reply", "errcode", "rid"),
        [
            ('{"errcode": 40029, "errmsg": "invalid code"}', 40029, None),
            ('{"errcode": 40029}', 40029, None),
            (
                '{"errcode": 40029, "errmsg": "invalid code, rid: 6123abcd-0a1b2c3d-0000ffff"}',
                40029,
                "6123abcd-0a1b2c3d-0000ffff",
            ),
            (
                '{"errcode": 40029, "errmsg": "invalid code, hints: [ req_id: AbCd-1f_0gh45 ]"}',
                40029,
                "AbCd-1f_0gh45",
            ),
            ('{"errcode": "40029", "errmsg": "a text"}', -1, None),
            ('{"errcode": null}', -1, None),
        ],
    )
    def test_an_errcode_counts_whatever_its_message(
        self, reply: str, errcode: int, rid: str | None
    ) -> None:
        with canned(http(reply.encode())) as url, pytest.raises(WeChatError) as caught:
            WeChat([url]).code2session(APPID, SECRET, "code")
        assert (caught.value.errcode, caught.value.rid) == (errcode, rid)

    def test_an_address_that_is_not_whitelisted_is_named_to_the_operator(
        self, wechat: SimulatedWeChat, url: str
    ) -> None:
        wechat.put_app(App(APPID, SECRET, ip_whitelist=("198.51.100.7",)))
        with pytest.raises(WeChatError) as caught:
            WeChat([url]).stable_access_token(APPID, SECRET)
        assert (caught.value.errcode, caught.value.problem) == (40164, MISCONFIGURED)
        assert (caught.value.remedy or "").endswith("(the address is 127.0.0.1)")
        assert "127.0.0.1" not in str(caught.value)

    @pytest.mark.parametrize(
        ("errmsg", "address"),
        [
            ("invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist", "203.0.113.7"),
            ("invalid ip 2001:db8::7 ipv6 2001:db8::7, not in whitelist", "2001:db8::7"),
            ("invalid ip [2001:DB8:0:0:1:0:0:1], not in whitelist", "2001:DB8:0:0:1:0:0:1"),
            ("not in whitelist rid: 6123abcd-0a1b2c3d-0000ffff", None),
        ],
    )
    def test_of_either_version_of_ip(self, errmsg: str, address: str | None) -> None:
        reply = json.dumps({"errcode": 40164, "errmsg": errmsg}).encode()
        with canned(http(reply)) as url, pytest.raises(WeChatError) as caught:
            WeChat([url]).stable_access_token(APPID, SECRET)
        remedy = caught.value.remedy or ""
        assert remedy.endswith(f"(the address is {address})" if address else "egress address")

    @pytest.mark.parametrize("errcode", [40125, 40001])
    def test_a_wrong_app_secret_is_the_operators_to_mend(
        self, wechat: SimulatedWeChat, url: str, errcode: int
    ) -> None:
        wechat.settings.wrong_secret_errcode = errcode
        with pytest.raises(WeChatError) as caught:
            WeChat([url]).stable_access_token(APPID, "f" * 32)
        assert caught.value.errcode == errcode
        assert (caught.value.remedy or "").startswith("the AppSecret is wrong or was reset")

    @pytest.mark.parametrize("call", ["checkSessionKey", "checkEncryptedData"])
    def test_a_refusal_of_the_call_itself_is_no_answer_to_its_question(
        self, wechat: SimulatedWeChat, caller: Caller, call: str
    ) -> None:
        wechat.faults.add(Fault(call, "errcode", errcode=48001))
        with pytest.raises(WeChatError) as caught:
            CALLS[call](caller)
        assert caught.value.problem is MISCONFIGURED

    def test_a_code_older_than_five_minutes_is_refused(
        self, wechat: SimulatedWeChat, caller: Caller
    ) -> None:
        code = caller.phone.login()
        wechat.clock.advance(301)
        with pytest.raises(WeChatError) as caught:
            caller.client.code2session(APPID, SECRET, code)
        assert caught.value.errcode == 40029


def test_the_search_for_secrets_finds_one_where_it_stands(caller: Caller) -> None:
    for leaking in (
        RuntimeError(f"GET /sns/jscode2session?secret={SECRET}"),
        AuthError(WECHAT_UNAVAILABLE, f"token {caller.token}"),
        AuthError(WECHAT_UNAVAILABLE, rid=caller.session_key),
    ):
        with pytest.raises(AssertionError):
            assert_says_nothing_of(leaking, caller.sent)


def assert_says_nothing_of(error: BaseException, secrets: list[str]) -> None:
    """Search an exception's text, repr, attributes and traceback."""
    said = "".join(traceback.format_exception(error))
    said += f"{error} {error!r} {vars(error)!r} {error.args!r}"
    assert [secret for secret in secrets if secret in said] == []


def refusing_url() -> str:
    """Return an address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def deaf_url() -> Iterator[str]:
    """Give an address that takes no connection: its queue is full, as a lost packet would be."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)  # noqa: FBT003
            client.connect_ex(address)
            waiting.append(client)
        yield f"http://127.0.0.1:{address[1]}"
        for client in waiting:
            client.close()


def phone_reply(country_code: str) -> bytes:
    number = '"phoneNumber": "13800138000", "purePhoneNumber": "13800138000"'
    info = f'{{{number}, "countryCode": {country_code}}}'
    return f'{{"errcode": 0, "phone_info": {info}}}'.encode()
