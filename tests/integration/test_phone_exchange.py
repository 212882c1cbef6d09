"""Phone exchange: one code, one exchange at WeChat, one answer, whatever happens on the way."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import pytest
import time_machine

from local.simulated_wechat import App, Fault, Phone, SimulatedWeChat
from tests.harness.api import IDEMPOTENCY_KEY as KEY
from tests.harness.api import Answer, Api, Document
from tests.harness.deployment import Asked, Deployment
from wechat_auth import invocation
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError
from wechat_auth.phone_records import PhoneRecords
from wechat_auth.wechat import PhoneNumber

NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}
MOBILE = PhoneNumber("13800138000", "13800138000", "86")
REJECTED = (422, "phone_code_rejected", "authorize_again")
INVALID = (400, "invalid_request", "fix_request")
PAUSES = [0.1, 0.15, 0.225, 0.3375, 0.50625, 0.759375, 0.8, 0.8]
"""Seconds between two looks of one who waits, at most."""


def never(_: float) -> None:
    raise AssertionError("nobody waits")


def never_exchanged() -> PhoneNumber:
    raise AssertionError("another worker exchanges the code")


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


@dataclass(frozen=True, slots=True)
class Record:
    """The record of one code, to which workers come."""

    deployment: Deployment

    def once(
        self, exchange: Callable[[], PhoneNumber], *, sleep: Callable[[float], None] = never
    ) -> PhoneNumber:
        """Let a new worker come with the code."""
        backend = self.deployment.backend
        table = backend.aws.table(backend.settings.phone_exchanges_table)
        records = PhoneRecords(table, backend.secrets, sleep=sleep)
        appid = self.deployment.stack.appid
        return records.once(appid, None, "a-code", exchange, idempotency_key=KEY).number

    @property
    def item(self) -> Document | None:
        """What the table holds; ``None`` if nothing."""
        items = self.deployment.items("PhoneExchanges")
        return items[0] if items else None


@pytest.fixture
def record(deployment: Deployment) -> Record:
    return Record(deployment)


class TestRecord:
    """What a worker does with what it finds, one state after the other, and with what it did."""

    def test_nothing_or_what_has_expired_is_taken_until_the_workers_own_time_is_over(
        self, record: Record, clock: time_machine.Traveller
    ) -> None:
        taken: list[Document | None] = []

        def exchange() -> PhoneNumber:
            taken.append(record.item)
            return MOBILE

        for _ in range(2):
            ends = time.time() + 15
            with invoked(seconds=15):
                assert record.once(exchange) == MOBILE
            assert taken[-1]
            assert float(taken[-1]["in_progress_until"]["N"]) == pytest.approx(ends, abs=1)
            clock.shift(301)
        assert len(taken) == 2

    def test_in_progress_it_is_read_again_slower_and_slower_until_it_is_something_else(
        self, record: Record, deployment: Deployment
    ) -> None:
        pauses: list[float] = []

        def until_it_is_given_back(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == len(PAUSES):
                deployment.clear("PhoneExchanges")

        assert record.once(lambda: record.once(lambda: MOBILE, sleep=until_it_is_given_back))
        assert grow(pauses)
        assert deployment.operations["GetItem"] == len(PAUSES)

    def test_in_progress_while_its_worker_may_live_nobody_else_exchanges_it(
        self, record: Record, clock: time_machine.Traveller
    ) -> None:
        def another() -> PhoneNumber:
            with invoked(seconds=8), pytest.raises(AuthError) as caught:
                record.once(never_exchanged, sleep=clock.shift)
            assert caught.value.problem is WECHAT_UNAVAILABLE
            assert caught.value.detail == "This code is being exchanged by another request."
            return MOBILE

        with invoked(seconds=15):
            assert record.once(another) == MOBILE

    def test_in_progress_after_its_workers_time_it_is_taken_over(
        self, record: Record, clock: time_machine.Traveller
    ) -> None:
        def another() -> PhoneNumber:
            clock.shift(16)
            with invoked(seconds=15):
                return record.once(lambda: MOBILE)

        with invoked(seconds=15):
            assert record.once(another) == MOBILE

    def test_an_answer_is_given_and_nothing_exchanged(
        self, record: Record, clock: time_machine.Traveller
    ) -> None:
        assert record.once(lambda: MOBILE) == MOBILE
        clock.shift(295)
        assert record.once(never_exchanged) == MOBILE

    def test_whose_exchange_fails_gives_the_code_back(self, record: Record) -> None:
        def fail() -> PhoneNumber:
            raise AuthError(WECHAT_UNAVAILABLE)

        with pytest.raises(AuthError):
            record.once(fail)
        assert record.item is None

    def test_a_give_back_that_is_repeated_frees_nothing(
        self, record: Record, deployment: Deployment
    ) -> None:
        """The SDK repeats a delete whose reply was lost: another may have the code by then."""
        theirs: Document = {}

        def fail() -> PhoneNumber:
            assert record.item
            theirs.update(record.item | {"worker": {"S": "another"}})
            raise AuthError(WECHAT_UNAVAILABLE)

        def repeat_as_if_the_reply_was_lost(**_: object) -> int | None:
            if record.item:
                return None
            deployment.put("PhoneExchanges", theirs)
            return 0

        events = deployment.backend.aws.dynamodb.meta.events
        repeat = cast("Callable[..., None]", repeat_as_if_the_reply_was_lost)
        events.register("needs-retry.dynamodb.DeleteItem", repeat)
        with pytest.raises(AuthError):
            record.once(fail)
        events.unregister("needs-retry.dynamodb.DeleteItem", repeat)
        assert deployment.repeats["DeleteItem"] == 1
        assert record.item == theirs

    def test_ten_who_wait_write_once_each_read_slower_and_slower_and_get_the_answer(
        self, record: Record, deployment: Deployment
    ) -> None:
        everybody, answered = threading.Barrier(11, timeout=10), threading.Event()
        waited: list[list[float]] = []

        def wait_for_the_answer() -> PhoneNumber:
            waited.append(pauses := [])

            def pause(seconds: float) -> None:
                pauses.append(seconds)
                if len(pauses) == len(PAUSES):
                    everybody.wait()
                    assert answered.wait(10)

            return record.once(never_exchanged, sleep=pause)

        with ThreadPoolExecutor(10) as pool:

            def exchange() -> PhoneNumber:
                waiting.extend(pool.submit(wait_for_the_answer) for _ in range(10))
                everybody.wait()
                return MOBILE

            waiting: list[Future[PhoneNumber]] = []
            assert record.once(exchange) == MOBILE
            answered.set()
            assert [each.result() for each in waiting] == [MOBILE] * 10
        assert all(map(grow, waited))
        assert deployment.operations["PutItem"] == 11
        assert deployment.operations["GetItem"] == 10 * len(PAUSES)


def grow(pauses: list[float]) -> bool:
    """Tell whether these are the pauses of one who waits, each half to all of what it may be."""
    return all(most / 2 <= each <= most for each, most in zip(pauses, PAUSES, strict=True))


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

    def test_a_login_code_is_told_apart_by_its_form(self, api: Api, phone: Phone) -> None:
        answer = api.phone(phone.login())
        assert answer.problem == INVALID
        assert answer.json["detail"] == (
            "This has the form of a wx.login code: send e.detail.code of the getPhoneNumber "
            "button; the two codes are not interchangeable."
        )
        assert answer.json["rid"]

    def test_each_app_has_codes_of_its_own(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        other = App("wxfedcba9876543210", "0" * 32)
        deployment.serve_apps(*deployment.wechat.apps[:1], other)
        code = phone.tap_phone_number().code
        answer = api.phone(code, appid=other.appid)
        assert answer.problem == INVALID
        assert answer.json["detail"].startswith("This phone code was made in another mini-program")
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
