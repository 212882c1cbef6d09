"""Calls of an app with API security: sealed out, proven back, and what a client may believe."""

import json
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import time_machine

from local.simulated_wechat import ApiSecurity, App, Fault, Phone, SimulatedWeChat, serve
from local.simulated_wechat.answer import Answer
from local.simulated_wechat.request import Request
from local.stack import api_security
from tests.harness.api import IDEMPOTENCY_KEY, Api, legacy
from tests.harness.canned import canned, http
from tests.harness.deployment import Asked, Deployment
from tests.harness.leaks import Secrets, all_that_is_written
from wechat_auth.connections import Budget
from wechat_auth.errors import MISCONFIGURED, AuthError, WeChatError, WeChatUnavailableError
from wechat_auth.secured_calls import Envelope
from wechat_auth.wechat import PhoneNumber, WeChat

APPID = "wx0123456789abcdef"
SECRET = "5ec4e7000000000000000000005ec4e7"
NUMBER = PhoneNumber("13800138000", "13800138000", "86")
MISCONFIGURED_ANSWER = (500, "misconfigured", "contact_support")


class Watched(SimulatedWeChat):
    """Keeps what went over the wire."""

    def __init__(self) -> None:
        super().__init__([App(APPID, SECRET)])
        self.wire: list[tuple[Request, Answer]] = []

    def answer(self, request: Request) -> Answer:
        reply = super().answer(request)
        self.wire.append((request, reply))
        return reply


@dataclass
class Caller:
    """A client of an app with API security, and what becomes of its keys."""

    wechat: Watched
    security: ApiSecurity
    url: str
    client: WeChat
    token: str
    phone: Phone
    doubts: int = 0
    stored: dict[str, Any] = field(default_factory=dict)

    def store(self, **previous: Any) -> None:
        """Store what the console hands out now, and what it did before."""
        self.stored = {**api_security(self.security), **previous}
        self.envelope = Envelope(APPID, self.stored, doubt=self.doubt)

    def doubt(self) -> None:
        self.doubts += 1

    def number(self) -> PhoneNumber:
        """Exchange a code; the watermark's time, which is the moment's, is left out."""
        code = self.phone.tap_phone_number().code
        number = self.client.phone_number(self.token, code, self.phone.openid, self.envelope)
        return replace(number, verified_at=None)

    def told(self, call: str = "getPhoneNumber") -> list[int | None]:
        """Return what WeChat answered, call by call."""
        return [each.errcode for each in self.wechat.calls if each.endpoint == call]


@pytest.fixture
def caller() -> Iterator[Caller]:
    wechat = Watched()
    with serve(wechat) as server:
        client = WeChat([server.url])
        token = client.stable_access_token(APPID, SECRET).token
        security = wechat.set_up_api_security()
        caller = Caller(wechat, security, server.url, client, token, wechat.phone())
        caller.store()
        yield caller


def misconfigured(caller: Caller) -> str:
    """Return the remedy of the fault that a call ends with."""
    with pytest.raises(AuthError) as caught:
        caller.number()
    assert caught.value.problem is MISCONFIGURED
    assert caught.value.call == "getPhoneNumber"
    return str(caught.value.remedy)


class TestSealed:
    def test_a_phone_code_gives_the_number(self, caller: Caller) -> None:
        assert caller.number() == NUMBER
        assert caller.told() == [0]
        assert caller.doubts == 0

    def test_what_wechat_encrypted_is_told_from_what_it_did_not(self, caller: Caller) -> None:
        made = caller.phone.tap_phone_number().encrypted_data
        forged, _ = caller.phone.encrypt({"phoneNumber": "13580006666"})
        ask = caller.client.check_encrypted_data
        assert ask(caller.token, made, caller.envelope) is True
        assert ask(caller.token, forged, caller.envelope) is False

    def test_nothing_but_the_sealed_parts_goes_over_the_wire(self, caller: Caller) -> None:
        code = caller.phone.tap_phone_number().code
        caller.client.phone_number(caller.token, code, caller.phone.openid, caller.envelope)
        request, answer = caller.wechat.wire[-1]
        assert request.query.keys() == {"access_token"}
        for body in (request.body, answer.body):
            assert json.loads(body).keys() == {"iv", "data", "authtag"}
        assert answer.sealed
        assert answer.sealed.asked == {"code": code, "openid": caller.phone.openid}
        assert {**answer.sealed.answered}.keys() == {"errcode", "errmsg", "phone_info"}

    def test_an_error_inside_a_sealed_answer_is_wechats(self, caller: Caller) -> None:
        code = caller.phone.tap_phone_number().code
        caller.client.phone_number(caller.token, code, None, caller.envelope)
        with pytest.raises(WeChatError) as caught:
            caller.client.phone_number(caller.token, code, None, caller.envelope)
        assert caught.value.errcode == 40029
        assert json.loads(caller.wechat.wire[-1][1].body).keys() == {"iv", "data", "authtag"}


class TestBelief:
    @pytest.mark.parametrize("errcode", [-1, 40001, 42001, 45011, 48001])
    def test_a_plain_error_is_believed(self, caller: Caller, errcode: int) -> None:
        caller.wechat.faults.add(Fault("getPhoneNumber", "errcode", errcode=errcode))
        with pytest.raises(WeChatError) as caught:
            caller.number()
        assert caught.value.errcode == errcode

    @pytest.mark.parametrize("errcode", ["[]", "{}", '"40234"', "null", "0.5", "40234.0", "true"])
    def test_an_errcode_that_is_no_number_of_an_error_is_one_all_the_same(
        self, caller: Caller, errcode: str
    ) -> None:
        with canned(http(b'{"errcode": %b}' % errcode.encode())) as caller.url:
            caller.client = WeChat([caller.url])
            with pytest.raises(WeChatError) as caught:
                caller.number()
        assert caught.value.errcode == -1

    def test_a_plain_success_is_refused_with_what_to_switch_on(self, caller: Caller) -> None:
        caller.security.on = False
        assert misconfigured(caller) == (
            "WeChat answered a secured call in plain text, which nothing vouches for: switch on "
            "API encryption in the console, see docs/api-security.md"
        )
        assert set(caller.wechat.billed.arrivals.values()) == {1}

    def test_a_plain_yes_about_a_ciphertext_is_refused_too(self, caller: Caller) -> None:
        caller.security.on = False
        made = caller.phone.tap_phone_number().encrypted_data
        with pytest.raises(AuthError) as caught:
            caller.client.check_encrypted_data(caller.token, made, caller.envelope)
        assert caught.value.problem is MISCONFIGURED

    def test_an_answer_that_was_changed_on_the_way_is_refused(self, caller: Caller) -> None:
        caller.wechat.faults.add(Fault("getPhoneNumber", "altered"))
        assert misconfigured(caller).startswith(
            "what answered a secured call is not proven to be WeChat"
        )
        assert set(caller.wechat.billed.arrivals.values()) == {1}
        assert caller.number() == NUMBER

    @pytest.mark.parametrize("kind", ["status", "html", "truncated", "incomplete", "drop_after"])
    def test_what_is_no_answer_is_none_here_either(self, caller: Caller, kind: Any) -> None:
        caller.wechat.faults.add(Fault("getPhoneNumber", kind))
        caller.client = WeChat([caller.url])  # with no connection whose end could be its own
        with pytest.raises(WeChatUnavailableError):
            caller.number()
        assert set(caller.wechat.billed.arrivals.values()) <= {1}

    def test_without_a_connection_no_other_host_is_tried(self, caller: Caller) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            refusing = f"http://127.0.0.1:{closed.getsockname()[1]}"
        caller.client = WeChat([refusing, caller.url])
        with pytest.raises(WeChatUnavailableError) as caught:
            caller.number()
        assert caught.value.sent is False
        assert caller.told() == []


class TestDayOfAChange:
    @pytest.mark.parametrize(
        ("replace", "kind", "refusal"),
        [
            ("replace_key_pair", "privateKey", 40234),
            ("replace_symmetric_key", "symmetricKey", 40235),
        ],
    )
    def test_the_other_key_is_tried_once_and_goes_first_from_then_on(
        self, caller: Caller, replace: str, kind: str, refusal: int
    ) -> None:
        before = caller.stored[kind]
        getattr(caller.security, replace)()
        previous = f"previous{kind[0].upper()}{kind[1:]}"
        now = api_security(caller.security)[kind]
        # Stored the wrong way round: the console has changed already.
        caller.stored = {**caller.stored, kind: before, previous: now}
        caller.envelope = Envelope(APPID, caller.stored, doubt=caller.doubt)

        assert [caller.number(), caller.number()] == [NUMBER, NUMBER]

        assert caller.told() == [refusal, 0, 0]
        assert set(caller.wechat.billed.arrivals.values()) == {1}
        assert caller.doubts == 0

    def test_both_keys_may_have_changed(self, caller: Caller) -> None:
        old = caller.stored
        caller.security.replace_key_pair()
        caller.security.replace_symmetric_key()
        new = api_security(caller.security)
        both = {
            "previousPrivateKey": new["privateKey"],
            "previousSymmetricKey": new["symmetricKey"],
        }
        caller.envelope = Envelope(APPID, {**old, **both}, doubt=caller.doubt)

        assert caller.number() == NUMBER
        assert caller.told() == [40234, 40235, 0]

    @pytest.mark.parametrize(
        ("replace", "refusal", "more"),
        [
            ("replace_key_pair", 40234, False),
            ("replace_key_pair", 40234, True),
            ("replace_symmetric_key", 40235, False),
            ("replace_symmetric_key", 40235, True),
        ],
    )
    def test_keys_that_wechat_does_not_know_are_tried_once_each(
        self, caller: Caller, replace: str, refusal: int, more: bool
    ) -> None:
        previous = {
            f"previous{name[0].upper()}{name[1:]}": value for name, value in caller.stored.items()
        }
        caller.store(**(previous if more else {}))
        getattr(caller.security, replace)()
        with pytest.raises(WeChatError) as caught:
            caller.number()
        assert (caught.value.errcode, caught.value.problem) == (refusal, MISCONFIGURED)
        assert caller.told() == [refusal] * (2 if more else 1)
        assert not caller.wechat.billed.arrivals

    def test_both_tries_share_one_deadline(self, caller: Caller) -> None:
        before = caller.stored["privateKey"]
        caller.security.replace_key_pair()
        now = api_security(caller.security)
        stored = {**now, "privateKey": before, "previousPrivateKey": now["privateKey"]}
        caller.envelope = Envelope(APPID, stored, doubt=caller.doubt)
        caller.client = WeChat([caller.url], budget=Budget(1.5, 0.5, 0.4))
        caller.wechat.faults.add(Fault("getPhoneNumber", "latency", seconds=1.2, times=None))
        with pytest.raises(WeChatUnavailableError) as caught:
            caller.number()
        # Each alone would have come in time; what cannot be answered in time is not sent.
        assert caught.value.reason == "no time left"
        assert caller.told() == [40234]

    def test_an_outdated_certificate_is_good_and_the_operator_is_told_once(
        self, caller: Caller, caplog: pytest.LogCaptureFixture
    ) -> None:
        caller.security.replace_certificate()
        with caplog.at_level(logging.ERROR):
            assert [caller.number(), caller.number()] == [NUMBER, NUMBER]
        (remedy,) = [vars(record)["remedy"] for record in caplog.records]
        assert remedy == (
            "WeChat is about to replace the platform certificate: download the new one from the "
            "console and store it with its number, see docs/api-security.md"
        )
        assert caller.doubts == 1

    def test_with_both_certificates_stored_the_change_is_not_noticed(
        self, caller: Caller, caplog: pytest.LogCaptureFixture
    ) -> None:
        caller.security.replace_certificate()
        caller.store(previousCertificate=caller.stored["certificate"])
        assert caller.number() == NUMBER
        caller.security.retire_old_certificate()
        assert caller.number() == NUMBER
        assert caplog.records == []

    def test_a_certificate_that_is_not_stored_is_asked_for(self, caller: Caller) -> None:
        caller.security.replace_certificate()
        caller.security.retire_old_certificate()
        assert misconfigured(caller).startswith(
            "WeChat signs with a certificate whose number is not stored: download"
        )
        assert caller.doubts == 1


class TestUse:
    def test_an_expired_certificate_is_found_before_a_code_is_spent(self, caller: Caller) -> None:
        then = caller.wechat.clock.now() + 5 * 366 * 86_400
        caller.envelope = Envelope(APPID, caller.stored, doubt=caller.doubt, clock=lambda: then)
        assert misconfigured(caller).startswith(
            f"apiSecurity of {APPID}: certificate: expired on 20"
        )
        assert caller.told() == []

    def test_a_wrong_kind_is_found_with_its_field(self, caller: Caller) -> None:
        caller.stored["privateKey"] = caller.stored["certificate"]
        with pytest.raises(AuthError) as caught:
            Envelope(APPID, caller.stored, doubt=caller.doubt)
        assert caught.value.problem is MISCONFIGURED
        assert str(caught.value.remedy).startswith(
            f"apiSecurity of {APPID}: privateKey.pem: is a certificate: generate"
        )
        assert caller.doubts == 1

    def test_a_wrong_clock_has_a_remedy_of_its_own(self, caller: Caller) -> None:
        caller.wechat.clock.advance(301)
        with pytest.raises(WeChatError) as caught:
            caller.number()
        assert caught.value.errcode == 40240
        assert str(caught.value.remedy).startswith("WeChat finds the time of the call wrong")
        assert caller.doubts == 0


class TestDeployment:
    def test_phone_and_decrypt_work_and_ask_wechat_as_often_as_without(
        self, api: Api, deployment: Deployment, phone: Phone, asked: Asked
    ) -> None:
        deployment.secure()
        token = api.logged_in(phone)
        code, tap = phone.tap_phone_number().code, phone.tap_phone_number()
        answers = [api.phone(code, token=token) for _ in range(2)]
        assert [answer.json["phoneNumber"] for answer in answers] == [phone.number] * 2
        assert api.decrypt(token=token, **legacy(tap)).json["data"]["phoneNumber"] == phone.number
        assert (asked("getPhoneNumber"), asked("checkEncryptedData")) == (1, 1)

    def test_an_app_without_keys_says_that_it_needs_them(
        self, api: Api, deployment: Deployment, phone: Phone, caplog: pytest.LogCaptureFixture
    ) -> None:
        deployment.wechat.set_up_api_security()
        assert api.phone(phone.tap_phone_number().code).problem == MISCONFIGURED_ANSWER
        (fault,) = [record for record in caplog.records if record.message == "operator fault"]
        assert vars(fault)["errcode"] == 40230
        assert "store its keys (docs/api-security.md)" in vars(fault)["remedy"]

    def test_keys_that_were_missing_are_found_within_a_minute(
        self, api: Api, deployment: Deployment, phone: Phone, clock: time_machine.Traveller
    ) -> None:
        security = deployment.wechat.set_up_api_security()
        code = phone.tap_phone_number().code
        assert api.phone(code).problem == MISCONFIGURED_ANSWER
        entry = {"secret": deployment.secret("AppSecrets")[phone.appid]}
        deployment.put_secret(
            "AppSecrets", {phone.appid: entry | {"apiSecurity": api_security(security)}}
        )
        clock.shift(61)
        assert api.phone(code).json == {
            "phoneNumber": phone.number,
            "purePhoneNumber": phone.number,
            "countryCode": "86",
        }

    def test_keys_that_were_mended_are_found_within_a_minute(
        self, api: Api, deployment: Deployment, phone: Phone, clock: time_machine.Traveller
    ) -> None:
        security = deployment.secure()
        code = phone.tap_phone_number().code
        security.replace_key_pair()
        assert api.phone(code, key=IDEMPOTENCY_KEY).problem == MISCONFIGURED_ANSWER
        stored = deployment.secret("AppSecrets")
        stored[phone.appid]["apiSecurity"] = api_security(security)
        deployment.put_secret("AppSecrets", stored)
        clock.shift(61)
        answer = api.phone(code, key=IDEMPOTENCY_KEY)
        assert (answer.status, answer.json.get("phoneNumber")) == (200, phone.number)

    @pytest.mark.usefixtures("clock")
    def test_nothing_written_holds_a_key(
        self, api: Api, deployment: Deployment, phone: Phone, capsys: pytest.CaptureFixture[str]
    ) -> None:
        security = deployment.secure()
        secrets = Secrets()
        good = deployment.secret("AppSecrets")[phone.appid]

        def ask(**changed: Any) -> None:
            """Ask with other keys stored."""
            entry = good | {"apiSecurity": good["apiSecurity"] | changed}
            deployment.put_secret("AppSecrets", {phone.appid: entry})
            deployment.cold_start()
            api.phone(secrets.note("phone code", phone.tap_phone_number().code))

        secrets.note("AppSecret", good["secret"])
        secrets.note("symmetric key", security.symmetric_key.content)
        for line in security.private_key.content.splitlines()[1:-1]:
            secrets.note("private key", line)
        key, private, certificate = good["apiSecurity"].values()
        with all_that_is_written(capsys) as written:
            ask()
            ask(privateKey=private | {"pem": private["pem"][:900]})
            ask(symmetricKey=key | {"key": key["key"][1:]})
            ask(certificate=certificate | {"pem": private["pem"]})
            ask(certificate=private)
            for spoil in (
                security.replace_certificate,
                security.retire_old_certificate,
                security.replace_symmetric_key,
                security.replace_key_pair,
            ):
                spoil()
                ask()
            output = written.output

        assert [answer.status for answer in api.answers] == [200, *[500] * 4, 200, *[500] * 3]
        assert output.count('"remedy"') == 8
        for text in (output, *written.records, *written.exceptions):
            assert secrets.found_in(text) == []
        for answer in api.answers[1:]:
            assert secrets.found_in(answer.content.decode()) == []
