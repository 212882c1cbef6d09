"""A function that is killed in the middle of a phone exchange: really, by SIGKILL.

Whatever it was doing, the same code is then tried again by another process: at once, when the dead
one's time is over, and after five minutes, when the code itself is dead.
"""

import os
from typing import get_args

import pytest
import time_machine

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import IDEMPOTENCY_KEY, Api
from tests.harness.deployment import Deployment
from tests.harness.environment import Death, Environment, Event, Killed, Moment, Place
from tests.hostile.faults.cases import outcome
from tests.hostile.faults.integrity import assert_nothing_is_half_written
from tests.hostile.faults.sabotage import Overlooking, Tables

NUMBER = "200"
AUTHORIZE_AGAIN = "422 phone_code_rejected authorize_again"
WAIT_FOR_THE_DEAD = "503 wechat_unavailable retry"

CALLS = (
    "GetSecretValue",  # the key ring
    "PutItem",  # the code is in progress
    "GetSecretValue",  # the AppSecrets, which say whether the app has API security
    "GetItem",  # the access_token
    "UpdateItem",  # its lease
    "getStableAccessToken",
    "UpdateItem",  # the access_token
    "getPhoneNumber",
    "UpdateItem",  # the answer is kept
)
DEATHS = [Death(n, moment) for n in range(1, len(CALLS) + 1) for moment in get_args(Moment)]


@pytest.fixture
def hurried(deployment: Deployment) -> None:
    """Let whoever waits for the dead one have little more than a second for it in place of 22."""
    timeout = deployment.stack.application.functions["phone"].timeout
    aws = Tables(deployment.stack.environment.aws, try_seconds=timeout - 2)
    deployment.cold_start(aws=aws)


def test_nothing_else_is_called_than_what_is_killed_here(
    deployment: Deployment, phone: Phone
) -> None:
    with Environment.start(here(deployment)) as environment:
        environment.invoke("phone", event(phone.tap_phone_number().code))
        assert tuple(environment.calls()) == CALLS


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("death", DEATHS, ids=lambda each: f"{each.moment}-{each.number}")
def test_whenever_it_dies_the_code_is_exchanged_once_or_asked_for_again(
    api: Api,
    deployment: Deployment,
    phone: Phone,
    wechat: SimulatedWeChat,
    clock: time_machine.Traveller,
    death: Death,
) -> None:
    code, other = killed(deployment, phone, death), killed(deployment, phone, death)
    answers = [outcome(api.phone(code, key=IDEMPOTENCY_KEY))]
    assert wechat.billed.arrivals[code] <= 1, "sent while the dead one might have lived"
    assert_nothing_is_half_written(deployment)
    clock.shift(26)
    answers.append(outcome(api.phone(code, key=IDEMPOTENCY_KEY)))
    clock.shift(275)
    answers.append(outcome(api.phone(other, key=IDEMPOTENCY_KEY)))
    assert answers == expected(death)
    assert max(wechat.billed.exchanges[each] for each in (code, other)) <= 1


def test_where_the_record_is_overlooked_the_code_is_sent_while_the_dead_one_might_live(
    api: Api,
    deployment: Deployment,
    phone: Phone,
    wechat: SimulatedWeChat,
) -> None:
    code = killed(deployment, phone, Death(8, "after"))
    deployment.cold_start(aws=Tables(deployment.stack.environment.aws, Overlooking))
    assert outcome(api.phone(code, key=IDEMPOTENCY_KEY)) == AUTHORIZE_AGAIN
    assert wechat.billed.arrivals[code] == 2


def expected(death: Death) -> list[str]:
    """Return the answers at once, after the dead one's time, and when the code is dead too."""
    if not past(death, "PutItem") or past(death, "UpdateItem", 3):
        return [NUMBER, NUMBER, AUTHORIZE_AGAIN]
    spent = past(death, "getPhoneNumber")
    return [WAIT_FOR_THE_DEAD, AUTHORIZE_AGAIN if spent else NUMBER, AUTHORIZE_AGAIN]


def past(death: Death, call: str, number: int = 1) -> bool:
    """Tell whether it died when this call's work was done."""
    at = [n for n, each in enumerate(CALLS, start=1) if each == call][number - 1]
    return death.number > at or death == Death(at, "after")


def killed(deployment: Deployment, phone: Phone, death: Death) -> str:
    """Return a code in whose exchange a process was killed."""
    deployment.clear("AccessTokens")
    code = phone.tap_phone_number().code
    with Environment.start(here(deployment)) as environment, pytest.raises(Killed):
        environment.invoke("phone", event(code), death=death)
    return code


def here(deployment: Deployment) -> Place:
    return Place(deployment.stack.application, dict(os.environ))


def event(code: str) -> Event:
    """Return API Gateway's event of POST /phone."""
    return {
        "version": "2.0",
        "routeKey": "POST /phone",
        "headers": {"content-type": "application/json", "idempotency-key": IDEMPOTENCY_KEY},
        "requestContext": {"http": {"method": "POST"}, "requestId": "id"},
        "body": f'{{"code":"{code}"}}',
    }
