"""Phone exchange: one code, one exchange at WeChat, one answer, whatever happens on the way."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import time_machine

from local.simulated_wechat import App, Fault, Phone, SimulatedWeChat
from tests.harness.api import IDEMPOTENCY_KEY as KEY
from tests.harness.api import Answer, Api
from tests.harness.deployment import Asked, Deployment
from wechat_auth import invocation
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError
from wechat_auth.phone import exchange_phone_code
from wechat_auth.wechat import PhoneNumber

NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}
REJECTED = (422, "phone_code_rejected", "authorize_again")


class TestOneExchange:
    def test_the_same_code_gives_the_same_answer_and_wechat_is_asked_once(
        self, api: Api, phone: Phone, asked: Asked, deployment: Deployment
    ) -> None:
        code = phone.tap_phone_number().code
        first = api.phone(code, key=KEY)
        deployment.cold_start()
        again = [api.phone(code, key=KEY) for _ in range(3)]
        assert (first.status, first.json) == (200, NUMBER)
        assert [(answer.status, answer.json) for answer in again] == [(200, NUMBER)] * 3
        assert asked("getPhoneNumber") == 1

    def test_with_a_session_the_same_code_gives_the_same_answer_too(
        self, api: Api, phone: Phone, asked: Asked
    ) -> None:
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        assert [api.phone(code, token=token).json for _ in range(2)] == [NUMBER] * 2
        assert asked("getPhoneNumber") == 1

    def test_those_who_ask_meanwhile_share_the_one_exchange(
        self, api: Api, phone: Phone, asked: Asked, wechat: SimulatedWeChat
    ) -> None:
        api.phone(phone.tap_phone_number().code)
        code = phone.tap_phone_number().code
        wechat.faults.add(Fault("getPhoneNumber", "latency", seconds=0.4))
        answers = at_the_same_time(api, wechat, code, 4)
        assert [(answer.status, answer.json) for answer in answers] == [(200, NUMBER)] * 4
        assert asked("getPhoneNumber") == 2
        assert wechat.billed.exchanges[code] == 1

    def test_when_the_first_is_refused_the_one_that_waited_tries_itself(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat
    ) -> None:
        api.phone(phone.tap_phone_number().code)
        code = phone.tap_phone_number().code
        wechat.faults.add(Fault("getPhoneNumber", "errcode", errcode=45011, seconds=0.4))
        answers = at_the_same_time(api, wechat, code, 2)
        assert [answer.status for answer in answers] == [429, 200]
        assert wechat.billed.exchanges[code] == 1

    def test_an_answer_is_kept_five_minutes_and_not_longer(
        self,
        api: Api,
        phone: Phone,
        asked: Asked,
        deployment: Deployment,
        clock: time_machine.Traveller,
    ) -> None:
        code = phone.tap_phone_number().code
        began = int(time.time())
        assert api.phone(code, key=KEY).status == 200
        (record,) = deployment.items("PhoneExchanges")
        assert int(record["expires_at"]["N"]) - began in {300, 301}
        clock.shift(295)
        assert (api.phone(code, key=KEY).json, asked("getPhoneNumber")) == (NUMBER, 1)
        clock.shift(10)
        assert (api.phone(code, key=KEY).problem, asked("getPhoneNumber")) == (REJECTED, 2)

    def test_the_table_holds_neither_number_nor_code_nor_openid(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        api.phone(code, token=token)
        stored = repr(deployment.items("PhoneExchanges"))
        assert sorted(deployment.items("PhoneExchanges")[0]) == ["expires_at", "id", "sealed"]
        for secret in ("13800138000", code, phone.openid):
            assert secret not in stored

    def test_a_record_moved_to_another_code_gives_no_number(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, deployment: Deployment
    ) -> None:
        codes = [
            phone.tap_phone_number().code,
            wechat.phone(number="13580006666").tap_phone_number().code,
        ]
        for code in codes:
            api.phone(code, key=KEY)
        one, other = deployment.items("PhoneExchanges")
        deployment.put("PhoneExchanges", one | {"sealed": other["sealed"]})
        statuses = sorted(api.phone(code, key=KEY).status for code in codes)
        assert statuses == [200, 503]


class TestIdempotencyKey:
    def test_without_it_and_without_a_session_nothing_is_kept(
        self, api: Api, phone: Phone, asked: Asked, deployment: Deployment
    ) -> None:
        code = phone.tap_phone_number().code
        assert api.phone(code).json == NUMBER
        assert deployment.items("PhoneExchanges") == []
        assert api.phone(code).problem == REJECTED
        assert asked("getPhoneNumber") == 2

    def test_a_stranger_who_has_only_the_used_code_gets_nothing(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat
    ) -> None:
        code, stranger = phone.tap_phone_number().code, api.logged_in(wechat.phone())
        assert api.phone(code, key=KEY).json == NUMBER
        for sent in ({}, {"key": KEY[::-1]}, {"token": stranger}):
            assert api.phone(code, **sent).problem == REJECTED

    def test_it_finds_the_number_again_after_a_login_too(
        self, api: Api, phone: Phone, asked: Asked
    ) -> None:
        code = phone.tap_phone_number().code
        assert api.phone(code, key=KEY).json == NUMBER
        token = api.logged_in(phone)
        assert api.phone(code, token=token).problem == REJECTED
        assert api.phone(code, token=token, key=KEY).json == NUMBER
        assert asked("getPhoneNumber") == 2

    def test_with_a_session_it_is_not_needed(self, api: Api, phone: Phone, asked: Asked) -> None:
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        keys = (KEY, KEY[::-1], None)
        assert [api.phone(code, token=token, key=key).json for key in keys] == [NUMBER] * 3
        assert asked("getPhoneNumber") == 1

    @pytest.mark.parametrize("key", ["k" * 15, "k" * 129, "k" * 16 + ".", "k" * 15 + " k"])
    def test_one_of_another_form_is_refused_before_anything_is_spent(
        self, api: Api, phone: Phone, asked: Asked, key: str
    ) -> None:
        code = phone.tap_phone_number().code
        for token in (None, api.logged_in(phone)):
            answer = api.phone(code, token=token, key=key)
            assert answer.problem == (400, "invalid_request", "fix_request")
            assert answer.json["detail"] == (
                "Idempotency-Key: must be 16 to 128 letters, digits, _ or -"
            )
        assert asked("getPhoneNumber") == 0

    @pytest.mark.parametrize("key", ["k" * 16, "Kk_-09" * 20 + "12345678"])
    def test_its_form_is_16_to_128_letters_digits_and_two_signs(
        self, api: Api, phone: Phone, key: str
    ) -> None:
        code = phone.tap_phone_number().code
        assert [api.phone(code, key=key).json for _ in range(2)] == [NUMBER] * 2


class TestWhoseCode:
    def test_with_a_session_only_its_users_code_is_taken(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat
    ) -> None:
        thief = api.logged_in(wechat.phone())
        code = phone.tap_phone_number().code
        assert api.phone(code, token=thief).problem == REJECTED
        assert api.phone(code, token=api.logged_in(phone)).json == NUMBER

    def test_a_kept_answer_is_for_who_asked_and_for_nobody_else(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat
    ) -> None:
        code = phone.tap_phone_number().code
        assert api.phone(code, token=api.logged_in(phone)).json == NUMBER
        assert api.phone(code, token=api.logged_in(wechat.phone())).problem == REJECTED
        assert api.phone(code).problem == REJECTED

    def test_a_session_may_be_required(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        deployment.configure(PHONE_REQUIRES_LOGIN="true")
        code = phone.tap_phone_number().code
        assert api.phone(code).problem == (401, "session_invalid", "login_again")
        assert api.phone(code, token=api.logged_in(phone)).json == NUMBER

    def test_a_session_that_is_over_is_refused_also_where_none_is_needed(
        self, api: Api, phone: Phone, asked: Asked
    ) -> None:
        token = api.logged_in(phone)
        api.logout(token)
        code = phone.tap_phone_number().code
        answer = api.phone(code, token=token)
        assert answer.problem == (401, "session_invalid", "login_again")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert asked("getPhoneNumber") == 0
        assert api.phone(code).json == NUMBER

    def test_a_code_spent_elsewhere_has_to_be_tapped_again(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        code = phone.tap_phone_number().code
        deployment.backend.wechat.phone_number(
            deployment.backend.access_tokens.get(phone.appid), code, phone.openid
        )
        assert api.phone(code).problem == REJECTED

    def test_a_login_code_is_told_apart_by_its_form(self, api: Api, phone: Phone) -> None:
        answer = api.phone(phone.login())
        assert answer.problem == REJECTED
        assert answer.json["detail"] == (
            "This has the form of a wx.login code: send e.detail.code of the getPhoneNumber "
            "button; the two codes are not interchangeable."
        )
        assert answer.json["rid"]

    def test_a_foreign_number_comes_as_wechat_gives_it(self, api: Api, phone: Phone) -> None:
        tap = phone.tap_phone_number(number="13580006666", country_code="852")
        assert api.phone(tap.code).json == {
            "phoneNumber": "+85213580006666",
            "purePhoneNumber": "13580006666",
            "countryCode": "852",
        }

    def test_each_app_has_codes_of_its_own(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        other = App("wxfedcba9876543210", "0" * 32)
        deployment.serve_apps(*deployment.wechat.apps[:1], other)
        code = phone.tap_phone_number().code
        assert api.phone(code, appid=other.appid).problem == REJECTED
        assert api.phone(code, appid=phone.appid).json == NUMBER
        assert api.phone(phone.tap_phone_number().code).problem[1] == "invalid_request"


class TestStorageDown:
    def test_before_the_exchange_nothing_is_spent(
        self, api: Api, phone: Phone, asked: Asked, deployment: Deployment
    ) -> None:
        api.phone(phone.tap_phone_number().code, key=KEY)
        code = phone.tap_phone_number().code
        deployment.fail("PutItem")
        answer = api.phone(code, key=KEY)
        assert answer.problem == (503, "storage_unavailable", "retry")
        assert answer.headers["Retry-After"] == "1"
        assert asked("getPhoneNumber") == 1
        deployment.heal()
        assert api.phone(code, key=KEY).json == NUMBER

    def test_after_the_exchange_the_number_that_was_paid_for_is_answered(
        self, api: Api, phone: Phone, deployment: Deployment, wechat: SimulatedWeChat
    ) -> None:
        api.phone(phone.tap_phone_number().code, key=KEY)
        deployment.fail("UpdateItem")
        code = phone.tap_phone_number().code
        assert api.phone(code, key=KEY).json == NUMBER
        assert wechat.billed.exchanges[code] == 1

    def test_after_a_refusal_it_is_the_refusal_that_counts(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        code = phone.tap_phone_number().code
        deployment.backend.wechat.phone_number(
            deployment.backend.access_tokens.get(phone.appid), code
        )
        deployment.fail("DeleteItem")
        assert api.phone(code, key=KEY).problem == REJECTED

    def test_a_role_that_lacks_a_permission_is_the_operators_fault(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        deployment.fail("PutItem", "AccessDeniedException")
        answer = api.phone(phone.tap_phone_number().code, key=KEY)
        assert answer.problem == (500, "misconfigured", "contact_support")


class TestDeadWorker:
    """A worker that was killed leaves a record that says "in progress"."""

    def test_killed_before_it_asked_delays_the_code_by_its_time_out_and_no_more(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
    ) -> None:
        code = self.killed(api, phone, deployment, Fault("getPhoneNumber", "drop_before"))
        began = time.time()
        deployment.cold_start(sleep=clock.shift)
        with invoked(seconds=40):
            number = exchanged(deployment, phone, code)
        assert number == PhoneNumber("13800138000", "13800138000", "86")
        assert 18 < time.time() - began < 21
        assert wechat.billed.exchanges[code] == 1

    def test_killed_after_wechat_answered_it_ends_in_authorize_again(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
    ) -> None:
        code = self.killed(api, phone, deployment, Fault("getPhoneNumber", "drop_after"))
        clock.shift(21)
        assert api.phone(code, key=KEY).problem == REJECTED
        assert wechat.billed.exchanges[code] == 1

    def test_while_it_may_still_live_nobody_asks_wechat(
        self,
        api: Api,
        phone: Phone,
        deployment: Deployment,
        asked: Asked,
        clock: time_machine.Traveller,
    ) -> None:
        code = self.killed(api, phone, deployment, Fault("getPhoneNumber", "drop_before"))
        before = asked("getPhoneNumber")
        deployment.cold_start(sleep=clock.shift)
        with invoked(seconds=8), pytest.raises(AuthError) as caught:
            exchanged(deployment, phone, code)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert caught.value.detail == "This code is being exchanged by another request."
        assert asked("getPhoneNumber") == before

    def killed(self, api: Api, phone: Phone, deployment: Deployment, fault: Fault) -> str:
        """Let a worker be lost with the code: neither its answer nor its failure was kept."""
        api.phone(phone.tap_phone_number().code, key=KEY)
        code = phone.tap_phone_number().code
        deployment.wechat.faults.add(fault)
        deployment.fail("DeleteItem")
        assert api.phone(code, key=KEY).status == 503
        deployment.heal()
        records = sorted("sealed" in record for record in deployment.items("PhoneExchanges"))
        assert records == [False, True]
        return code


class TestAccessToken:
    @pytest.fixture(autouse=True)
    def _unhurried(self, deployment: Deployment, clock: time_machine.Traveller) -> None:
        deployment.cold_start(sleep=clock.shift)

    def test_a_young_token_that_is_refused_once_is_tried_again_and_not_replaced(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, asked: Asked
    ) -> None:
        api.phone(phone.tap_phone_number().code)
        wechat.faults.add(Fault("getPhoneNumber", "errcode", errcode=40001))
        began = time.time()
        assert api.phone(phone.tap_phone_number().code).json == NUMBER
        assert time.time() - began > 1
        assert (asked("getPhoneNumber"), asked("getStableAccessToken")) == (3, 1)

    def test_an_older_one_is_replaced_at_once(
        self,
        api: Api,
        phone: Phone,
        wechat: SimulatedWeChat,
        asked: Asked,
        clock: time_machine.Traveller,
    ) -> None:
        api.phone(phone.tap_phone_number().code)
        clock.shift(15)
        wechat.revoke_access_token(phone.appid)
        assert api.phone(phone.tap_phone_number().code).json == NUMBER
        assert (asked("getPhoneNumber"), asked("getStableAccessToken")) == (3, 2)

    @pytest.mark.parametrize("sticky", [False, True])
    @pytest.mark.parametrize("errcode", [40001, 40014, 42001])
    def test_a_refused_token_is_replaced_and_the_code_sent_once_more(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, errcode: int, sticky: bool
    ) -> None:
        api.phone(phone.tap_phone_number().code)
        wechat.revoke_access_token(phone.appid, errcode=errcode, sticky=sticky)
        code = phone.tap_phone_number().code
        assert api.phone(code).json == NUMBER
        # What was sent with the refused token WeChat never looked at.
        assert wechat.billed.arrivals[code] == 1

    def test_tokens_refused_for_good_end_after_two_of_them(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, asked: Asked
    ) -> None:
        api.phone(phone.tap_phone_number().code)
        wechat.refuse_all_tokens(phone.appid)
        answer = api.phone(phone.tap_phone_number().code)
        assert answer.problem == (500, "misconfigured", "contact_support")
        assert asked("getPhoneNumber") == 1 + 2 * 2  # each is young, and tried twice
        assert asked("getStableAccessToken") <= 3


def at_the_same_time(api: Api, wechat: SimulatedWeChat, code: str, requests: int) -> list[Answer]:
    """Send the same code so many times; all but the first while WeChat is at the first."""
    with ThreadPoolExecutor(requests) as crowd:
        asked = threading.Event()
        wechat.on_call = lambda _: asked.set()
        first = crowd.submit(api.phone, code, key=KEY)
        assert asked.wait(5)
        others = [crowd.submit(api.phone, code, key=KEY) for _ in range(requests - 1)]
        return [request.result() for request in (first, *others)]


def exchanged(deployment: Deployment, phone: Phone, code: str) -> PhoneNumber:
    """Exchange a code as the function does, without a session."""
    backend = deployment.backend
    return exchange_phone_code(
        phone.appid,
        code,
        None,
        KEY,
        records=backend.phone_records,
        access_tokens=backend.access_tokens,
        wechat=backend.wechat,
    )


@dataclass(frozen=True, slots=True)
class Context:
    ends: float
    aws_request_id: str = "a-request"

    def get_remaining_time_in_millis(self) -> int:
        return int((self.ends - time.time()) * 1000)


@contextmanager
def invoked(*, seconds: float) -> Iterator[None]:
    """Be inside an invocation that has so much time left."""
    with invocation.serving(Context(time.time() + seconds)):
        yield
