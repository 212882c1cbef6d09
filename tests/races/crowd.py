"""The world of a crowd: DynamoDB Local, the simulated WeChat over HTTP, and the workers."""

import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any
from unittest import mock

from local import dynamodb_local
from local.simulated_wechat import App, SimulatedWeChat, serve
from tests.races import worker as workers
from tests.races.worker import APP_SECRET, Act, Hire, Outcome, Place, Report, What, Worker
from wechat_auth.settings import TokenMode

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

PROCESSES, THREADS = 40, 5
_PATIENCE = 60.0  # seconds after which a process that does not report is an error
_fork = multiprocessing.get_context("forkserver")
_appids = itertools.count(1)

Skew = Callable[[int], float]
"""Seconds that the clock of the worker with this number is ahead."""


def no_skew(_: int) -> float:
    """Let every clock be right."""
    return 0.0


def half_a_minute_each_way(number: int) -> float:
    """Spread the clocks evenly over -30 to +30 s, neighbours far apart."""
    return (number * 37) % 61 - 30.0


def _start_fork_server() -> None:
    """Start the process that all others are forked from, with everything imported already."""
    _fork.set_forkserver_preload(["tests.races.worker"])
    # It is not told sys.path before it imports, and goes on without what it does not find.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        forkserver.ensure_running()


class World:
    """DynamoDB Local with an AccessTokens table, a simulated WeChat, and a clock for all.

    Each case has a mini-program of its own, so that none meets what another left behind.
    """

    def __init__(self, dynamodb_url: str, wechat_url: str, wechat: SimulatedWeChat) -> None:
        self.place = Place(dynamodb_url, "AccessTokens", wechat_url)
        self.wechat = wechat
        self.dynamodb: DynamoDBClient = workers.connect(self.place)
        self._moved: Any = _fork.Value("d", 0.0)

    @classmethod
    @contextmanager
    def start(cls) -> "Iterator[World]":
        """Run a world for the length of a with block.

        Raises:
            DynamoDBLocalError: The engine cannot be had.
        """
        with ExitStack() as stack:
            _start_fork_server()
            dynamodb_url = stack.enter_context(dynamodb_local.serve())
            wechat = SimulatedWeChat([App("wx0000000000000000", APP_SECRET)])
            server = stack.enter_context(serve(wechat))
            world = cls(dynamodb_url, server.url, wechat)
            stack.callback(world.dynamodb.close)
            stack.enter_context(workers.workers_at_work())
            world.dynamodb.create_table(
                TableName=world.place.table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": "appid", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "appid", "KeyType": "HASH"}],
            )
            world.dynamodb.update_time_to_live(
                TableName=world.place.table,
                TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"},
            )
            yield world

    def new_app(self) -> str:
        """Add a mini-program that nobody has asked a token for, and return its appid."""
        appid = f"wx{next(_appids):016x}"
        self.wechat.put_app(App(appid, APP_SECRET))
        return appid

    def worker(
        self,
        *appids: str,
        mode: TokenMode = "stable",
        skew: float = 0.0,
        sleep: Callable[[float], None] | None = None,
    ) -> Worker:
        """Return a worker in this process; where it would sleep everybody's clock moves."""
        return Worker(
            self.place,
            self.dynamodb,
            appids,
            mode=mode,
            clock=partial(self.now, skew),
            sleep=sleep or self.advance,
        )

    def process(self, threads: int = 1) -> "Process":
        """Start a process of workers; it is ready when this returns."""
        process = Process(self.place, threads, self._moved)
        process.ready()
        return process

    def processes(self, count: int, threads: int) -> "list[Process]":
        """Start several, which takes less time than one after the other."""
        started = [Process(self.place, threads, self._moved) for _ in range(count)]
        for process in started:
            process.ready()
        return started

    # The clock

    def now(self, skew: float = 0.0) -> float:
        """Return the time by a clock that is so many seconds ahead."""
        return self.wechat.clock.now() + skew

    def advance(self, seconds: float) -> None:
        """Move everybody's clock, WeChat's included."""
        self.wechat.clock.advance(seconds)
        self._moved.value = self.wechat.clock.offset

    def advance_to_morning(self) -> None:
        """Move it to the next nine o'clock in Beijing, where WeChat's day is young."""
        now = datetime.fromtimestamp(self.now(), UTC)
        morning = now.replace(hour=1, minute=0, second=0, microsecond=0)
        self.advance((morning + timedelta(days=morning <= now) - now).total_seconds())

    # What can be seen

    def item(self, appid: str) -> dict[str, Any]:
        """Return the app's item; empty if there is none."""
        answer = self.dynamodb.get_item(
            TableName=self.place.table, Key={"appid": {"S": appid}}, ConsistentRead=True
        )
        return dict(answer.get("Item") or {})

    def number(self, appid: str, attribute: str) -> float:
        """Return a number of the app's item."""
        return float(self.item(appid)[attribute]["N"])

    def token_calls(self, appid: str) -> int:
        """Return how often WeChat was asked for a token of an app."""
        count = self.wechat.count
        return count("getStableAccessToken", appid=appid) + count("getAccessToken", appid=appid)

    def wait_until(self, happened: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for what another process is about to do."""
        deadline = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > deadline:
                raise TimeoutError("what was waited for did not happen")
            time.sleep(0.005)


class Process:
    """A process of workers, seen from outside."""

    def __init__(self, place: Place, threads: int, moved: Any) -> None:
        self.threads = threads
        self._orders, theirs = _fork.Pipe()
        self._process = _fork.Process(
            target=workers.serve, args=(theirs, place, threads, moved), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def connection(self) -> Connection:
        return self._orders

    def ready(self) -> None:
        self._receive()

    def hire(self, appid: str, mode: TokenMode = "stable", skews: Sequence[float] = ()) -> None:
        """Let new workers take over, as many as there are threads."""
        self._orders.send(Hire(appid, mode, tuple(skews) or (0.0,) * self.threads))

    def start(self, what: What, *, at: float = 0.0, workers: int | None = None) -> None:
        """Tell it to act; `report` waits for what comes of it."""
        self._orders.send(Act(what, at, self.threads if workers is None else workers))

    def report(self) -> Report:
        report = self._receive()
        assert isinstance(report, Report)
        return report

    def act(self, what: What, *, workers: int | None = None) -> tuple[Outcome, ...]:
        self.start(what, workers=workers)
        return self.report().outcomes

    def one(self, what: What) -> Outcome:
        return self.act(what, workers=1)[0]

    def signal(self, number: signal.Signals) -> None:
        assert self._process.pid
        os.kill(self._process.pid, number)

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self._orders.close()

    def _receive(self) -> object:
        if not self._orders.poll(_PATIENCE):
            raise TimeoutError("a process of workers hangs")
        received: object = self._orders.recv()
        return received


@dataclass(slots=True)
class Crowd:
    """Two hundred workers in forty processes.

    Attributes:
        world: Where they live.
        on_progress: Called while they act, with how many have answered, and of how many.
        operations: What they asked of DynamoDB since `hire`.
    """

    world: World
    members: list[Process]
    on_progress: Callable[[int, int], None] = lambda _done, _all: None
    operations: Counter[str] = field(default_factory=Counter)

    @classmethod
    @contextmanager
    def gather(
        cls, world: World, processes: int = PROCESSES, threads: int = THREADS
    ) -> "Iterator[Crowd]":
        """Start the processes, warm the engine up, and end them with the with block."""
        members = world.processes(processes, threads)
        try:
            crowd = cls(world, members)
            # The engine is a Java program: slow until it has done a thing a few hundred times.
            for _ in range(2):
                crowd.hire(world.new_app())
                crowd.all_at_once("get")
            yield crowd
        finally:
            for member in members:
                member.close()

    def hire(self, appid: str, mode: TokenMode = "stable", skew: Skew = no_skew) -> None:
        """Let everybody be a new worker of this app."""
        self.operations.clear()
        numbers = itertools.count()
        for member in self.members:
            skews = [skew(next(numbers)) for _ in range(member.threads)]
            member.hire(appid, mode, skews)

    def all_at_once(
        self,
        what: What,
        workers: int | None = None,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Outcome]:
        """Let everybody, or the first so many, act in the same moment, and do something else."""
        members = self.members
        if workers is not None:
            members = members[: workers // members[0].threads]
        at = time.monotonic() + 0.2
        for member in members:
            member.start(what, at=at)
        meanwhile()
        waiting = {member.connection: member for member in members}
        reports: dict[int, Report] = {}
        total = sum(member.threads for member in members)
        done = 0
        while waiting:
            ready = wait(list(waiting), timeout=_PATIENCE)
            if not ready:
                raise TimeoutError(f"{len(waiting)} processes of workers hang")
            for connection in ready:
                assert isinstance(connection, Connection)
                member = waiting.pop(connection)
                report = reports[id(member)] = member.report()
                self.operations.update(report.operations)
                done += len(report.outcomes)
            self.on_progress(done, total)
        return [outcome for member in members for outcome in reports[id(member)].outcomes]
