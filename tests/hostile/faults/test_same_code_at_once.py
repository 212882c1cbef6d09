"""One phone code in many requests at the same moment, in processes on a real DynamoDB engine.

A code may arrive at WeChat once more only after a call that failed, which its own request is told
(503). It once arrived three times on a loaded machine: either such a call had timed
out, or the SDK had repeated a DeleteItem and so freed the code under the worker that had taken it
over. The second cannot happen any more (each worker gives back only what is its own, see
`test_a_give_back_that_is_repeated_frees_nothing`), and the first is counted.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from local.simulated_wechat import Fault, SimulatedWeChat
from tests.harness.deployment import Deployment
from tests.harness.engine import tables
from tests.harness.environment import Breakage, Environment, Place
from tests.hostile.faults.sabotage import lets_everybody_in
from tests.hostile.faults.test_killed import event

PROCESSES, THREADS, CODES = 4, 4, 8

Gather = Callable[[Breakage | None], list[Environment]]


@pytest.fixture
def gather(engine: str, deployment: Deployment) -> Iterator[Gather]:
    """Environments with the tables of the template, empty, in the engine."""
    with ExitStack() as stack:
        stack.enter_context(tables(engine, deployment.stack.application))

        def environments(breakage: Breakage | None) -> list[Environment]:
            variables = {**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": engine}
            place = Place(deployment.stack.application, variables, breakage=breakage)
            return stack.enter_context(Environment.several(PROCESSES, place))

        yield environments


def test_a_code_sent_many_times_at_once_is_exchanged_once(
    gather: Gather, wechat: SimulatedWeChat
) -> None:
    for arrivals, answers in race(gather(None), wechat):
        assert arrivals == 1 + answers[503]
        assert answers[200] == PROCESSES * THREADS - answers[503]


def test_when_the_exchange_fails_one_that_waited_takes_over(
    gather: Gather, wechat: SimulatedWeChat
) -> None:
    for arrivals, answers in race(gather(None), wechat, Fault("getPhoneNumber", "drop_before")):
        assert arrivals == 1 + answers[503]  # what broke had arrived too
        assert answers[503] >= 1
        assert answers[200] == PROCESSES * THREADS - answers[503]


def test_if_the_record_is_overlooked_all_of_them_send_it(
    gather: Gather, wechat: SimulatedWeChat
) -> None:
    raced = race(gather(lets_everybody_in), wechat)
    assert max(arrivals - answers[503] for arrivals, answers in raced) > 1
    assert sum(answers[422] for _, answers in raced) > 0


def race(
    environments: list[Environment], wechat: SimulatedWeChat, fault: Fault | None = None
) -> list[tuple[int, Counter[int]]]:
    """Send each of some codes in all environments at once, the first of them into a fault.

    Returns:
        For each code, how often it arrived at WeChat, and how many answers had which status.
    """
    phone = wechat.phone()
    environments[0].invoke("phone", event(phone.tap_phone_number().code))  # the access_token
    raced = []
    for _ in range(CODES):
        code = phone.tap_phone_number().code
        if fault:
            wechat.faults.add(fault)
        at = time.perf_counter() + 0.05
        for environment in environments:
            environment.begin("phone", event(code), times=THREADS, at=at)
        statuses: Counter[int] = Counter()
        for environment in environments:
            statuses.update(answer["statusCode"] for answer in environment.answers())
        raced.append((wechat.billed.arrivals[code], statuses))
    return raced
