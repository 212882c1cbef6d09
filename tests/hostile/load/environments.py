"""Execution environments as Lambda has them: processes that serve one request at a time."""

import multiprocessing
import os
import queue
import random
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

import time_machine
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from local.runtime import FunctionError, Runtime
from local.template import Application
from wechat_auth import aws

Breakage = Callable[[str, Any], Any]
"""Spoils the answer of the function with this name, so that it is to be found out."""

_spawn = multiprocessing.get_context("spawn")
_PATIENCE = 60.0  # seconds after which an environment that does not answer is an error


@dataclass(frozen=True, slots=True)
class Place:
    """Where an environment runs.

    Attributes:
        application: What template.yaml says.
        dynamodb_url: The engine that holds the tables.
        log: Where what its functions print goes.
        failing: Part of the calls to DynamoDB that fail, half of them after the work was done.
        breakage: What is wrong with it, if anything is.
    """

    application: Application
    dynamodb_url: str
    log: Path
    failing: float
    breakage: Breakage | None


@dataclass(frozen=True, slots=True)
class _Order:
    """Call a function, or tell the memory where it has no name, with the clock so far ahead."""

    name: str
    event: object
    ahead: float


class Environments:
    """The functions of an application in a few processes; a context manager."""

    def __init__(self, places: list[Place]) -> None:
        """Take one place for each environment; nothing runs yet."""
        self._places = places
        self._idle: queue.Queue[_Environment] = queue.Queue()
        self._all: list[_Environment] = []
        self._ahead = 0.0

    def __enter__(self) -> Self:
        """Start the processes."""
        self._all = [_Environment(place) for place in self._places]
        for environment in self._all:
            environment.receive()
            self._idle.put(environment)
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        for environment in self._all:
            environment.close()

    def invoke(self, name: str, event: object) -> Any:
        """Call a function in whichever environment is idle, or will be next."""
        environment = self._idle.get()
        try:
            return environment.answer(_Order(name, event, self._ahead))
        finally:
            self._idle.put(environment)

    def advance(self, seconds: float) -> None:
        """Move the clock of all."""
        self._ahead += seconds

    def memory(self) -> list[int]:
        """Return the peak resident size of each in KiB; waits until none is in use."""
        idle = [self._idle.get() for _ in self._all]
        try:
            return [int(str(each.answer(_Order("", None, self._ahead)))) for each in idle]
        finally:
            for each in idle:
                self._idle.put(each)


class _Environment:
    """One process, seen from outside."""

    def __init__(self, place: Place) -> None:
        self._orders, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(theirs, place), daemon=True)
        self._process.start()
        theirs.close()

    def answer(self, order: _Order) -> object:
        self._orders.send(order)
        answer = self.receive()
        if isinstance(answer, FunctionError):
            raise answer
        return answer

    def receive(self) -> object:
        if not self._orders.poll(_PATIENCE):
            raise TimeoutError("an execution environment hangs")
        received: object = self._orders.recv()
        return received

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._orders.close()


def _serve(orders: Connection, place: Place) -> None:
    """Be an execution environment until the process is ended."""
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = place.dynamodb_url
    with Runtime(place.application) as functions, time_machine.travel(time.time()) as clock:
        _fail_at_times(place.failing)
        moved = 0.0
        orders.send("ready")
        while True:
            order = orders.recv()
            clock.shift(order.ahead - moved)
            moved = order.ahead
            orders.send(_answer(functions, order, place.breakage))


def _answer(functions: Runtime, order: _Order, breakage: Breakage | None) -> object:
    if not order.name:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        answer = functions.invoke(order.name, order.event)
    except FunctionError as error:
        return error
    return breakage(order.name, answer) if breakage else answer


def _fail_at_times(share: float) -> None:
    """Let calls to DynamoDB fail on their way there, and as often on their way back."""
    client = aws.dynamodb()
    way_there_or_back = random.Random(1)  # noqa: S311 - the same faults every time

    def fail(request: AWSPreparedRequest, **_: object) -> None:
        chance = way_there_or_back.random()
        if chance < share / 2:
            raise ConnectionClosedError(endpoint_url=request.url)
        if chance < share:
            client._endpoint.http_session.send(request)  # type: ignore[attr-defined]
            raise ReadTimeoutError(endpoint_url=request.url)

    client.meta.events.register("before-send", fail)
