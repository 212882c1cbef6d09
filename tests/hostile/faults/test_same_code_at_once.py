"""One phone code in many requests at the same moment, in processes on a real DynamoDB engine."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import boto3
import pytest

from local import dynamodb_local, embedded_aws
from local.simulated_wechat import Fault, SimulatedWeChat
from local.template import REGION
from tests.harness.backend import Backend
from tests.harness.engine import engine_or_skip
from tests.hostile.faults.environment import Environment, Place, start_fork_server
from tests.hostile.faults.sabotage import Breakage, lets_everybody_in
from tests.hostile.faults.test_killed import event

PROCESSES, THREADS, CODES = 4, 4, 8

Gather = Callable[[Breakage | None], list[Environment]]


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with ExitStack() as stack:
        with engine_or_skip():
            url = stack.enter_context(dynamodb_local.serve())
        yield url


@pytest.fixture
def gather(engine: str, backend: Backend) -> Iterator[Gather]:
    """Environments with the tables of the template, empty, in the engine."""
    start_fork_server()
    with ExitStack() as stack:
        stack.enter_context(_tables(engine, backend))

        def environments(breakage: Breakage | None) -> list[Environment]:
            variables = {**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": engine}
            place = Place(backend.stack.application, variables, time.time(), breakage)
            return [stack.enter_context(Environment.start(place)) for _ in range(PROCESSES)]

        yield environments


def test_a_code_sent_many_times_at_once_is_exchanged_once(
    gather: Gather, wechat: SimulatedWeChat
) -> None:
    arrivals, answers = race(gather(None), wechat)
    assert arrivals == Counter({1: CODES})
    assert answers == Counter({200: CODES * PROCESSES * THREADS})


def test_so_it_is_where_the_exchange_fails_and_one_who_waited_takes_over(
    gather: Gather, wechat: SimulatedWeChat
) -> None:
    fault = Fault("getPhoneNumber", "drop_before")
    arrivals, answers = race(gather(None), wechat, fault)
    assert arrivals == Counter({2: CODES})  # what broke had arrived too
    assert answers == Counter({200: CODES * (PROCESSES * THREADS) - CODES, 503: CODES})


def test_where_the_record_is_overlooked_all_of_them_send_it(
    gather: Gather, wechat: SimulatedWeChat
) -> None:
    arrivals, answers = race(gather(lets_everybody_in), wechat)
    assert max(arrivals) > 1
    assert answers[422] > 0


def race(
    environments: list[Environment], wechat: SimulatedWeChat, fault: Fault | None = None
) -> tuple[Counter[int], Counter[int]]:
    """Send each of some codes in all environments at once, the first of them into a fault.

    Returns:
        How many codes arrived at WeChat how often, and how many answers had which status.
    """
    phone = wechat.phone()
    environments[0].invoke("phone", event(phone.tap_phone_number().code))  # the access_token
    statuses: Counter[int] = Counter()
    codes = [phone.tap_phone_number().code for _ in range(CODES)]
    for code in codes:
        if fault:
            wechat.faults.add(fault)
        at = time.perf_counter() + 0.05
        for environment in environments:
            environment.begin("phone", event(code), times=THREADS, at=at)
        for environment in environments:
            statuses.update(answer["statusCode"] for answer in environment.answers())
    return Counter(wechat.billed.arrivals[code] for code in codes), statuses


@contextmanager
def _tables(engine: str, backend: Backend) -> Iterator[None]:
    client = boto3.Session("local", "local", region_name=REGION).client(
        "dynamodb", endpoint_url=engine
    )
    tables = backend.stack.application.tables
    for table in tables:
        # It deletes what has expired by its own clock, which is not the test's.
        embedded_aws.create_table(client, replace(table, ttl=None))
    yield
    for table in tables:
        client.delete_table(TableName=table.name)
    client.close()
