"""Processes that work for a test, which can freeze and kill them: execution environments, for one.

They are forked from one process that has imported everything already.
"""

import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast
from unittest import mock
from urllib.parse import urlsplit

import time_machine
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

from local import runtime
from local.runtime import Context, FunctionError, Handler, Runtime
from local.simulated_wechat.endpoints import BY_PATH
from local.template import Application
from wechat_auth.connections import Answer, Connections
from wechat_auth.settings import Settings
from wechat_auth.storage import Aws
from wechat_auth.wechat import WeChat

Event = dict[str, Any]
Moment = Literal["before", "after"]
T = TypeVar("T")
Breakage = Callable[[runtime.Environment], None]
"""Spoils a new environment, so that it is to be found out."""
CallHandler = Callable[[runtime.Environment, Handler, Any, Context], Any]
"""Calls a handler in an environment."""

_fork = multiprocessing.get_context("forkserver")
_PATIENCE = 60.0  # seconds after which a process that says nothing is an error
_THREADS = 16


class Killed(Exception):  # noqa: N818 - nothing went wrong: it was to die
    """The process died of SIGKILL in the middle of its work."""


class Process:
    """A process that answers orders, one after the other, until it is closed.

    Args:
        work: Runs in the process and gives what answers an order.
        arguments: What `work` takes.
    """

    def __init__(
        self,
        work: Callable[..., AbstractContextManager[Callable[[Any], object]]],
        *arguments: object,
    ) -> None:
        _start_fork_server(work.__module__)
        self.connection, theirs = _fork.Pipe()
        self._process = _fork.Process(target=_serve, args=(theirs, work, arguments), daemon=True)
        self._process.start()
        theirs.close()

    @classmethod
    @contextmanager
    def several(cls, count: int, *arguments: Any) -> Iterator[list[Self]]:
        """Run so many for the length of a with block; all are ready when it begins."""
        with ExitStack() as stack:
            processes = [cls(*arguments) for _ in range(count)]
            for process in processes:
                stack.callback(process.close)
            for process in processes:
                process.hear()
            yield processes

    @classmethod
    @contextmanager
    def start(cls, *arguments: Any) -> Iterator[Self]:
        """Run one for the length of a with block."""
        with cls.several(1, *arguments) as (process,):
            yield process

    def tell(self, order: object) -> None:
        """Give an order; `hear` waits for the answer."""
        self.connection.send(order)

    def hear(self) -> Any:
        """Return the answer.

        Raises:
            Killed: The process was killed.
        """
        if not self.connection.poll(_PATIENCE):
            raise TimeoutError("a process hangs")
        try:
            return self.connection.recv()
        except EOFError:
            self._process.join()
            assert self._process.exitcode == -signal.SIGKILL
            raise Killed from None

    def ask(self, order: object) -> Any:
        """Give an order and return the answer."""
        self.tell(order)
        return self.hear()

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.connection.close()


@cache
def _start_fork_server(module: str) -> None:
    _fork.set_forkserver_preload([__name__, module])
    # It is not told sys.path before it imports, and goes on without what it does not find.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        forkserver.ensure_running()


def _serve(orders: Connection, work: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    with work(*arguments) as answer:
        orders.send("ready")
        while True:
            try:
                order = orders.recv()
            except EOFError:  # nobody is left to give any
                return
            orders.send(answer(order))


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
        call: How it calls its handlers.
        failing: Part of the calls to DynamoDB that fail, half of them after the work was done.
        logs: The folder where what it prints goes, in a file of each process.
    """

    application: Application
    variables: dict[str, str] = field(repr=False)
    now: float = field(default_factory=time.time)
    breakage: Breakage | None = None
    call: CallHandler = runtime.Environment.call
    failing: float = 0
    logs: Path | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """Call a function so many times at once, at a moment of the performance counter."""

    function: str
    event: object = field(repr=False)
    ahead: float
    times: int = 1
    at: float = 0.0
    death: Death | None = None


class Environment(Process):
    """One process with all functions, as cold as a new execution environment.

    Attributes:
        ahead: Seconds by which its clock was moved.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(_functions, place)
        self.ahead = 0.0

    def invoke(self, function: str, event: object, *, death: Death | None = None) -> Any:
        """Call a function.

        Raises:
            FunctionError: The function raised.
            Killed: The process died, as it was told to.
        """
        self.begin(function, event, death=death)
        (answer,) = self.answers()
        if isinstance(answer, FunctionError):
            raise answer
        return answer

    def begin(
        self,
        function: str,
        event: object,
        *,
        times: int = 1,
        at: float = 0.0,
        death: Death | None = None,
    ) -> None:
        """Start to call a function, so many times at once; `answers` waits for what comes."""
        self.tell(_Order(function, event, self.ahead, times, at, death))

    def answers(self) -> list[Any]:
        """Return what was answered, or the FunctionError, for each of the calls."""
        answers: list[Any] = self.hear()
        return answers

    def calls(self) -> list[str]:
        """Return what it called outside since it began, in this order."""
        calls: list[str] = self.ask("calls")
        return calls

    def peak_memory(self) -> int:
        """Return its peak resident size in KiB."""
        kibibytes: int = self.ask("memory")
        return kibibytes


class WatchedConnections(Connections):
    """Connections to WeChat, each call of which goes through `around`, on a fresh one.

    On a kept one a call could be repeated whose connection ended in the moment of reuse.

    Args:
        around: Takes WeChat's name of the call, its body and what makes it.
    """

    def __init__(self, around: Callable[[str, Any, Callable[[], Any]], Any]) -> None:
        super().__init__()
        self._around = around

    def request(self, method: str, url: str, **more: Any) -> Answer:
        send = partial(Connections().request, method, url, **more)
        answer: Answer = self._around(BY_PATH[urlsplit(url).path].name, more.get("body"), send)
        return answer


@contextmanager
def _functions(place: Place) -> Iterator[Callable[[Any], object]]:
    """Be an execution environment."""
    path = place.logs / f"{os.getpid()}.log" if place.logs else Path(os.devnull)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2) if place.logs else (1,):
        os.dup2(log, stream)
    os.environ.clear()
    os.environ.update(place.variables)
    outside = _Outside(place.failing)
    urls = Settings.from_env(place.variables).wechat_base_urls
    wechat = WeChat(urls, WatchedConnections(outside.to_wechat))
    environment = runtime.Environment(place.variables, Aws(), wechat=wechat)
    if place.breakage:
        place.breakage(environment)
    outside.watch(environment.aws)
    moved = 0.0
    with (
        Runtime(place.application, partial(place.call, environment)) as functions,
        time_machine.travel(place.now, tick=True) as clock,
        ThreadPoolExecutor(_THREADS) as pool,
    ):

        def answer(order: _Order | str) -> object:
            nonlocal moved
            if order == "calls":
                return outside.calls
            if not isinstance(order, _Order):
                return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            clock.shift(order.ahead - moved)
            moved, outside.death = order.ahead, order.death
            time.sleep(max(0.0, order.at - time.perf_counter()))
            begun = [pool.submit(_outcome, functions, order) for _ in range(order.times)]
            return [each.result() for each in begun]

        yield answer


def _outcome(functions: Runtime, order: _Order) -> object:
    try:
        return functions.invoke(order.function, order.event)
    except FunctionError as error:
        return error


class _Outside:
    """Writes down each call that leaves the process; some fail, and one may end the process."""

    def __init__(self, failing: float) -> None:
        self.calls: list[str] = []
        self.death: Death | None = None
        self._failing = failing
        self._random = random.Random(1)  # noqa: S311 - the same faults every time

    def watch(self, aws: Aws) -> None:
        for client in (aws.dynamodb, aws.secrets_manager):
            client.meta.events.register_first("before-send", cast("Any", self._to_aws))
            client.meta.events.register_first("response-received", cast("Any", self._from_aws))
        fail = cast("Any", partial(self._fail_at_times, aws.dynamodb))
        aws.dynamodb.meta.events.register("before-send", fail)

    def to_wechat(self, name: str, _: object, send: Callable[[], T]) -> T:
        self._note(name)
        response = send()
        self._die_if_it_is_time("after")
        return response

    def _to_aws(self, event_name: str, **_: object) -> None:
        self._note(event_name.rpartition(".")[2])

    def _from_aws(self, **_: object) -> None:
        self._die_if_it_is_time("after")

    def _fail_at_times(self, client: Any, request: AWSPreparedRequest, **_: object) -> None:
        """Fail on the way there, and as often on the way back."""
        chance = self._random.random()
        if chance < self._failing / 2:
            raise ConnectionClosedError(endpoint_url=request.url)
        if chance < self._failing:
            client._endpoint.http_session.send(request)
            raise ReadTimeoutError(endpoint_url=request.url)

    def _note(self, name: str) -> None:
        self.calls.append(name)
        self._die_if_it_is_time("before")

    def _die_if_it_is_time(self, moment: Moment) -> None:
        if self.death == Death(len(self.calls), moment):
            os.kill(os.getpid(), signal.SIGKILL)
