"""The day's budget of failures stops an attack even where there is an oracle to attack."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from local.runtime import Runtime
from local.simulated_wechat import Phone, SimulatedWeChat
from local.simulated_wechat.answer import Call
from tests.harness.api import Answer, Api, legacy
from tests.harness.backend import Asked, Backend
from tests.harness.figures import Say
from tests.hostile.attacks.at_once import MANY, at_the_same_time
from tests.hostile.attacks.forging import BLOCK, decipher
from tests.hostile.attacks.leak_watch import Watch
from tests.hostile.attacks.leaky import LEAKS, leaking
from tests.hostile.attacks.observing import as_fields
from wechat_auth import aws, services
from wechat_auth import wechat as wechat_client
from wechat_auth.errors import TOO_MANY_FAILURES, AuthError
from wechat_auth.sessions import Session, Sessions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


DAY = 86_400
BUDGET = 50
TOO_MANY = (429, "too_many_failures", "wait")
UNDECRYPTABLE = (422, "undecryptable", "login_again")
NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}


class BudgetSpentError(Exception):
    """The backend answers no more today."""


@dataclass(slots=True)
class Attacker:
    """Guesses through whatever way is open: several sessions, new logins, logins in one shot."""

    api: Api
    phone: Phone
    tokens: list[str] = field(default_factory=list)
    answered: int = 0

    def __call__(self, iv: bytes, ciphertext: bytes) -> bool:
        """Ask whether the padding is right."""
        match self.answered % 5:
            case 0:
                self.tokens.append(self.api.logged_in(self.phone))
                answer = self.send(iv, ciphertext, token=self.tokens[-1])
            case 1:
                answer = self.send(iv, ciphertext, code=self.phone.login())
            case _:
                answer = self.send(iv, ciphertext, token=self.tokens[0])
        if answer.status == 429:
            raise BudgetSpentError
        self.answered += 1
        return answer.status == 422  # the leak says 400 of wrong padding

    def send(
        self, iv: bytes, ciphertext: bytes, *, token: str | None = None, **code: str
    ) -> Answer:
        return self.api.decrypt(token=token, **as_fields(iv, ciphertext), **code)


def test_it_stops_the_attack_across_sessions_and_logins_until_the_next_day(
    api: Api,
    backend: Backend,
    phone: Phone,
    clock: time_machine.Traveller,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    watch: Watch,
    say: Say,
) -> None:
    runtime = backend.stack._functions
    assert isinstance(runtime, Runtime)
    ours = runtime._handlers["decrypt"]
    leaky = leaking(ours, LEAKS["status"], lambda: str(phone.session_key))
    attacker = Attacker(api, phone)
    for day in range(1, 4):
        monkeypatch.setitem(runtime._handlers, "decrypt", leaky)
        with pytest.raises(BudgetSpentError):
            decipher(attacker, bytes(BLOCK))
        assert attacker.answered == day * BUDGET
        api.answers.clear()  # a leaky answer need not keep to the contract
        monkeypatch.setitem(runtime._handlers, "decrypt", ours)

        # Nothing is answered any more, true or false, and WeChat is not asked.
        checks = asked("checkEncryptedData")
        tap = watch.tap(watch.person(phone).tap_phone_number())
        fresh = watch.token(api.logged_in(watch.person(phone)))
        for token in (attacker.tokens[0], fresh):
            answer = api.decrypt(token=token, **legacy(tap))
            assert answer.problem == TOO_MANY
            assert int(answer.headers["Retry-After"]) == DAY - int(time.time()) % DAY
        assert api.decrypt(code=phone.login(), **legacy(tap)).problem == TOO_MANY
        assert asked("checkEncryptedData") == checks

        # Others do not notice.
        other = watch.person(backend.wechat.phone(number="13580006666"))
        answer = api.decrypt(token=api.logged_in(other), **legacy(other.tap_phone_number()))
        assert answer.json["data"]["phoneNumber"] == other.number
        clock.shift(DAY - int(time.time()) % DAY)  # midnight, UTC
    say(
        f"budget: {BUDGET} guesses a day, whatever the session; the forging above would take "
        f"{20_000 // BUDGET} days at a leak that is not ours"
    )


def test_requests_at_the_same_time_overrun_it_by_as_many_as_were_let_in_before_it_was_spent(
    api: Api,
    backend: Backend,
    phone: Phone,
    wechat: SimulatedWeChat,
    engine: "DynamoDBClient",
    monkeypatch: pytest.MonkeyPatch,
    say: Say,
) -> None:
    limit, at_once = 5, MANY
    backend.configure(DECRYPT_FAILURES_PER_DAY=str(limit))
    token = api.logged_in(phone)
    bad = as_fields(bytes(16), bytes(16))
    for _ in range(limit - 1):
        assert api.decrypt(token=token, **bad).problem == UNDECRYPTABLE

    # The worst case: all are past the check of the budget before the first of them is counted.
    together = threading.Barrier(at_once)

    def hold(call: Call) -> None:
        if call.endpoint == "checkEncryptedData":
            together.wait(10)

    monkeypatch.setattr(wechat_client, "CALL_TIMEOUT", 15)
    wechat.on_call = hold
    bodies = [bad] * (at_once - 1) + [legacy(phone.tap_phone_number())]
    answers = at_the_same_time(lambda body: api.decrypt(token=token, **body), bodies)
    wechat.on_call = None
    assert Counter(answer.status for answer in answers) == {200: 1, 422: 1, 429: at_once - 2}
    assert answers[-1].json == {"data": NUMBER}
    assert counted(engine, backend) == limit
    assert api.decrypt(token=token, **legacy(phone.tap_phone_number())).problem == TOO_MANY
    assert together.n_waiting == 0
    say(
        f"budget of {limit}, {at_once} requests at the same time: {limit - 1 + at_once} guesses "
        "answered and no more (budget - 1 + requests in flight), the count never above it"
    )


class OneTry(Sessions):
    """Does not look again where another request has begun the day."""

    def _update_failures(self, user: bytes, update: str, condition: str, values: Any) -> bool:
        tries = self.__dict__.setdefault("tries", Counter())
        tries[threading.get_ident()] += 1
        if tries[threading.get_ident()] > 2:
            return False
        return super()._update_failures(user, update, condition, values)


@pytest.mark.parametrize(("kind", "refused"), [(Sessions, 0), (OneTry, MANY - 1)])
def test_the_first_failures_of_a_day_all_count_though_they_come_together(
    api: Api,
    backend: Backend,
    phone: Phone,
    engine: "DynamoDBClient",
    kind: type[Sessions],
    refused: int,
) -> None:
    sessions = kind(aws.dynamodb, backend.table("Sessions"), services.secret_store(), life=7 * DAY)
    session = services.sessions().find(api.logged_in(phone))
    together = threading.Barrier(MANY)
    update, first = engine.update_item, threading.local()

    def in_step(**request: Any) -> object:
        if not hasattr(first, "done"):
            first.done = True
            together.wait(10)
            try:
                return update(**request)
            finally:
                together.wait(10)
        return update(**request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "update_item", in_step)
        outcomes = at_the_same_time(lambda _: count_failure(sessions, session), range(MANY))
    assert outcomes.count(False) == refused
    assert counted(engine, backend) == MANY - refused


def test_a_clock_behind_midnight_does_not_start_the_old_day_again(
    api: Api, backend: Backend, phone: Phone
) -> None:
    midnight = (int(time.time()) // DAY + 1) * DAY

    def sessions_at(now: float) -> Sessions:
        return Sessions(
            aws.dynamodb,
            backend.table("Sessions"),
            services.secret_store(),
            life=7 * DAY,
            clock=lambda: now,
        )

    behind, ahead = sessions_at(midnight - 0.01), sessions_at(midnight + 0.01)
    session = services.sessions().find(api.logged_in(phone))
    for sessions in (behind, ahead, behind, ahead, behind):
        sessions.count_failure(session, 4)
    assert ahead.history(session).failures == behind.history(session).failures == 4
    for sessions in (behind, ahead):
        with pytest.raises(AuthError):
            sessions.count_failure(session, 4)


def count_failure(sessions: Sessions, session: Session) -> bool:
    try:
        sessions.count_failure(session, BUDGET)
    except AuthError as error:
        return error.problem is not TOO_MANY_FAILURES
    return True


def counted(engine: "DynamoDBClient", backend: Backend) -> int:
    items = engine.scan(TableName=backend.table("Sessions"), ConsistentRead=True)["Items"]
    (count,) = [int(item["failures"]["N"]) for item in items if "failures" in item]
    return count
