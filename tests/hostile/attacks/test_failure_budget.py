"""The day's budget of failures stops an attack even where there is an oracle to attack."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
import time_machine

from local.simulated_wechat import Phone, SimulatedWeChat
from local.simulated_wechat.answer import Call
from tests.harness.api import Answer, Api, legacy
from tests.harness.deployment import Asked, Deployment
from tests.harness.figures import Say
from tests.harness.runtime import Serve
from tests.hostile.attacks.at_once import MANY, at_the_same_time
from tests.hostile.attacks.forging import BLOCK, decipher
from tests.hostile.attacks.leak_watch import Watch
from tests.hostile.attacks.leaky import LEAKS, leaking
from tests.hostile.attacks.observing import as_fields
from wechat_auth.backend import Backend
from wechat_auth.errors import TOO_MANY_FAILURES, AuthError
from wechat_auth.failure_budget import FailureBudget, Spent
from wechat_auth.storage import Item, Table

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
    deployment: Deployment,
    phone: Phone,
    clock: time_machine.Traveller,
    asked: Asked,
    watch: Watch,
    say: Say,
) -> None:
    def leaky(name: str, serve: Serve) -> Serve:
        key = lambda: str(phone.session_key)  # noqa: E731
        return leaking(serve, LEAKS["status"], key) if name == "decrypt" else serve

    attacker = Attacker(api, phone)
    for day in range(1, 4):
        deployment.wrap(leaky)
        with pytest.raises(BudgetSpentError):
            decipher(attacker, bytes(BLOCK))
        assert attacker.answered == day * BUDGET
        api.answers.clear()  # a leaky answer need not keep to the contract
        deployment.wrap(None)

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
        other = watch.person(deployment.wechat.phone(number="13580006666"))
        answer = api.decrypt(token=api.logged_in(other), **legacy(other.tap_phone_number()))
        assert answer.json["data"]["phoneNumber"] == other.number
        clock.shift(DAY - int(time.time()) % DAY)  # midnight, UTC
    say(
        f"budget: {BUDGET} guesses a day, whatever the session; the forging above would take "
        f"{20_000 // BUDGET} days at a leak that is not ours"
    )


def test_requests_at_the_same_time_do_not_overrun_it(
    api: Api,
    deployment: Deployment,
    phone: Phone,
    wechat: SimulatedWeChat,
    real_dynamodb: "DynamoDBClient",
    asked: Asked,
    say: Say,
) -> None:
    limit, at_once = 5, MANY
    deployment.configure(DECRYPT_FAILURES_PER_DAY=str(limit))
    token = api.logged_in(phone)
    bad = as_fields(bytes(16), bytes(16))
    assert api.decrypt(token=token, **bad).problem == UNDECRYPTABLE

    # The worst case: whoever may ask asks before any answer of WeChat's.
    together = threading.Barrier(limit - 1)

    def hold(call: Call) -> None:
        if call.endpoint == "checkEncryptedData":
            together.wait(10)

    deployment.cold_start(wechat=deployment.impatient_wechat(15))
    wechat.on_call = hold
    answers = at_the_same_time(lambda body: api.decrypt(token=token, **body), [bad] * at_once)
    wechat.on_call = None
    statuses = Counter(answer.status for answer in answers)
    assert statuses == {422: limit - 1, 429: at_once - limit + 1}
    assert asked("checkEncryptedData") == limit
    assert counted(real_dynamodb, deployment) == limit
    assert api.decrypt(token=token, **legacy(phone.tap_phone_number())).problem == TOO_MANY
    say(f"budget of {limit}, {at_once} requests at the same time: {limit} guesses answered in all")


class InStep(Table):
    """Lets the first update of each thread happen at the same time as the others'; counts them."""

    def __init__(self, table: Table, client: "DynamoDBClient", tries: int) -> None:
        super().__init__(table.name, client, table.try_seconds)
        self._together = threading.Barrier(MANY)
        self._mine = threading.local()
        self._tries = tries

    def update_if(self, condition: str, key: Item, update: str, values: Item) -> bool:
        self._mine.tries = getattr(self._mine, "tries", 0) + 1
        if self._mine.tries > self._tries:
            return False
        if self._mine.tries > 1:
            return super().update_if(condition, key, update, values)
        self._together.wait(10)
        try:
            return super().update_if(condition, key, update, values)
        finally:
            self._together.wait(10)


@pytest.mark.parametrize(("tries", "refused"), [(2, 0), (1, MANY - 1)])
def test_the_first_failures_of_a_day_all_count_though_they_come_together(
    api: Api,
    deployment: Deployment,
    phone: Phone,
    real_dynamodb: "DynamoDBClient",
    tries: int,
    refused: int,
) -> None:
    """Each looks again if another request has begun the day; without that only one counts."""
    user = deployment.backend.sessions.find(api.logged_in(phone)).user
    plain = deployment.backend.aws.table(deployment.table("Sessions"))
    budget = FailureBudget(
        InStep(plain, real_dynamodb, tries), deployment.backend.secrets, limit=BUDGET
    )
    outcomes = at_the_same_time(lambda _: count_failure(budget, user), range(MANY))
    assert outcomes.count(False) == refused
    assert counted(real_dynamodb, deployment) == MANY - refused


def test_a_clock_behind_midnight_does_not_start_the_old_day_again(
    api: Api, deployment: Deployment, phone: Phone
) -> None:
    midnight = (int(time.time()) // DAY + 1) * DAY

    def backend_at(now: float) -> Backend:
        settings = replace(deployment.backend.settings, decrypt_failures_per_day=4)
        return Backend(settings, aws=deployment.backend.aws, clock=lambda: now)

    behind, ahead = backend_at(midnight - 0.01), backend_at(midnight + 0.01)
    session = deployment.backend.sessions.find(api.logged_in(phone))
    for each in (behind, ahead, behind, ahead, behind):
        each.failure_budget.count(Spent(session.user))
    for each in (behind, ahead):
        assert each.sessions.history(session).spent.failures == 4
        with pytest.raises(AuthError):
            each.failure_budget.count(Spent(session.user))


def count_failure(budget: FailureBudget, user: bytes) -> bool:
    try:
        budget.count(Spent(user))
    except AuthError as error:
        return error.problem is not TOO_MANY_FAILURES
    return True


def counted(dynamodb: "DynamoDBClient", deployment: Deployment) -> int:
    items = dynamodb.scan(TableName=deployment.table("Sessions"), ConsistentRead=True)["Items"]
    (count,) = [int(item["failures"]["N"]) for item in items if "failures" in item]
    return count
