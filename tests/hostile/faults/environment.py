"""An execution environment in a process of its own, which can be killed at any call it makes."""

import multiprocessing
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal, cast
from unittest import mock
from urllib.parse import urlsplit

import time_machine
import urllib3

from local.runtime import FunctionError, Runtime
from local.simulated_wechat.endpoints import BY_PATH
from local.template import Application
from tests.hostile.faults.sabotage import Breakage
from wechat_auth import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

_fork = multiprocessing.get_context("forkserver")
_PATIENCE = 60.0  # seconds after which an environment that says nothing is an error

Event = dict[str, Any]
Moment = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Death:
    """Where a process ends: right before or right after a call, by the number of the call."""

    number: int
    moment: Moment


@dataclass(frozen=True, slots=True)
class Place:
    """Where an environment runs.

    Attributes:
        application: What template.yaml says.
        variables: The environment variables, with the addresses of everything.
        now: The time there, which goes on.
        breakage: What is wrong with it, if anything is.
    """

    application: Application
    variables: dict[str, str] = field(repr=False)
    now: float
    breakage: Breakage | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """Call a function so many times at once, at a moment of the performance counter."""

    function: str
    event: Event = field(repr=False)
    times: int
    at: float
    death: Death | None


class Killed(Exception):  # noqa: N818 - nothing went wrong: it was to die
    """The process died of SIGKILL in the middle of its work."""


class Environment:
    """One process with all functions, as cold as a new execution environment."""

    def __init__(self, place: Place) -> None:
        self._orders, theirs = _fork.Pipe()
        self._process = _fork.Process(target=_serve, args=(theirs, place), daemon=True)
        self._process.start()
        theirs.close()

    @classmethod
    @contextmanager
    def start(cls, place: Place) -> "Iterator[Environment]":
        """Run one for the length of a with block; it is ready at once."""
        environment = cls(place)
        try:
            assert environment._receive() == "ready"
            yield environment
        finally:
            environment.close()

    def invoke(self, function: str, event: Event, *, death: Death | None = None) -> Any:
        """Call a function.

        Raises:
            Killed: The process died, as it was told to.
        """
        self.begin(function, event, death=death)
        return self.answers()[0]

    def begin(
        self,
        function: str,
        event: Event,
        *,
        times: int = 1,
        at: float = 0.0,
        death: Death | None = None,
    ) -> None:
        """Start to call a function, so many times at once; `answers` waits for what comes."""
        self._orders.send(_Order(function, event, times, at, death))

    def answers(self) -> list[Any]:
        """Return what was answered, or the `FunctionError`, for each of the calls."""
        answers: list[Any] = self._receive()
        return answers

    def calls(self) -> list[str]:
        """Return what it called outside since it began, in this order."""
        self._orders.send(None)
        calls: list[str] = self._receive()
        return calls

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._orders.close()

    def _receive(self) -> Any:
        if not self._orders.poll(_PATIENCE):
            raise TimeoutError("an execution environment hangs")
        try:
            return self._orders.recv()
        except EOFError:
            self._process.join()
            assert self._process.exitcode == -signal.SIGKILL
            raise Killed from None


def start_fork_server() -> None:
    """Start the process that all others are forked from, with everything imported already."""
    _fork.set_forkserver_preload([__name__])
    # It is not told sys.path before it imports, and goes on without what it does not find.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        forkserver.ensure_running()


def _serve(orders: Connection, place: Place) -> None:
    """Be an execution environment until the process is ended."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - what the functions log
        os.dup2(nowhere.fileno(), 1)
    os.environ.clear()
    os.environ.update(place.variables)
    with (
        Runtime(place.application) as functions,
        time_machine.travel(place.now, tick=True),
        ThreadPoolExecutor(16) as pool,
    ):
        outside = _Outside()
        if place.breakage:
            place.breakage()
        orders.send("ready")
        while True:
            order = orders.recv()
            if order is None:
                orders.send(outside.calls)
                continue
            outside.death = order.death
            time.sleep(max(0.0, order.at - time.perf_counter()))
            begun = [pool.submit(_answer, functions, order) for _ in range(order.times)]
            orders.send([each.result() for each in begun])


def _answer(functions: Runtime, order: _Order) -> object:
    try:
        return functions.invoke(order.function, order.event)
    except FunctionError as error:
        return str(error)


class _Outside:
    """Writes down each call that leaves the process, and ends the process at one of them."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.death: Death | None = None
        for client in (aws.dynamodb(), aws.secrets_manager()):
            client.meta.events.register_first("before-send", cast("Any", self._to_aws))
            client.meta.events.register_first("response-received", cast("Any", self._from_aws))
        request = urllib3.PoolManager.request

        def to_wechat(pool: urllib3.PoolManager, method: str, url: str, **more: Any) -> Any:
            endpoint = BY_PATH[urlsplit(url).path]
            self._note(endpoint.name)
            response = request(pool, method, url, **more)
            self._answered()
            return response

        urllib3.PoolManager.request = to_wechat  # type: ignore[method-assign,assignment]

    def _to_aws(self, event_name: str, **_: object) -> None:
        self._note(event_name.rpartition(".")[2])

    def _from_aws(self, **_: object) -> None:
        self._answered()

    def _note(self, name: str) -> None:
        self.calls.append(name)
        self._die_if_it_is_time("before")

    def _answered(self) -> None:
        self._die_if_it_is_time("after")

    def _die_if_it_is_time(self, moment: Moment) -> None:
        if self.death == Death(len(self.calls), moment):
            os.kill(os.getpid(), signal.SIGKILL)
