"""The world of a crowd: DynamoDB Local, the simulated WeChat over HTTP, and the workers."""

import itertools
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from local import embedded_aws
from local.simulated_wechat import App, SimulatedWeChat, serve
from local.stack import TEMPLATE
from local.template import read_template
from tests.harness.environment import Process
from tests.races.worker import (
    APP_SECRET,
    Act,
    Engine,
    Hire,
    Outcome,
    Place,
    Report,
    Sleep,
    What,
    Worker,
    team,
)
from wechat_auth.settings import TokenMode
from wechat_auth.storage import Aws, Item, Table

PROCESSES, THREADS = 40, 5
_PLATFORM = {"WeChatAppIds": "", "ComponentAppId": "wx0000000000000000"}
_PATIENCE = 60.0  # seconds after which a process that does not report is an error
_appids = itertools.count(1)

Skew = Callable[[int], float]
"""Seconds that the clock of the worker with this number is ahead."""


def no_skew(_: int) -> float:
    """Let every clock be right."""
    return 0.0


def half_a_minute_each_way(number: int) -> float:
    """Spread the clocks evenly over -30 to +30 s, neighbours far apart."""
    return (number * 37) % 61 - 30.0


class World:
    """DynamoDB Local with an AccessTokens table, a simulated WeChat, and a clock for all.

    Each case has a mini-program of its own, so that none meets what another left behind.
    """

    def __init__(self, place: Place, wechat: SimulatedWeChat) -> None:
        self.place = place
        self.wechat = wechat
        self.aws = Engine(place)
        self.table: Table = self.aws.table(place.table)
        self._moved: Any = multiprocessing.get_context("forkserver").Value("d", 0.0)

    @classmethod
    @contextmanager
    def start(cls, dynamodb_url: str) -> "Iterator[World]":
        """Run a world around an engine for the length of a with block."""
        application = read_template(TEMPLATE, _PLATFORM)
        tables = {table.logical_id: table for table in application.tables}
        tokens, platform = tables["AccessTokens"], tables["Platform"]
        wechat = SimulatedWeChat([])
        with serve(wechat) as server:
            world = cls(Place(dynamodb_url, tokens.name, server.url, platform.name), wechat)
            for table in (tokens, platform):
                embedded_aws.create_table(world.aws.dynamodb, table)
            yield world
            world.aws.dynamodb.close()

    def new_app(self) -> str:
        """Add a mini-program that nobody has asked a token for, and return its appid."""
        appid = f"wx{next(_appids):016x}"
        self.wechat.put_app(App(appid, APP_SECRET))
        return appid

    def new_merchant(self) -> tuple[str, str]:
        """Let a new app's owner authorise a new platform; return the appids of both.

        The platform has a ticket, and nobody has asked for a token.
        """
        component, appid = f"wxc{next(_appids):015x}", self.new_app()
        platform = self.wechat.set_up_platform(component)
        platform.secret = APP_SECRET
        platform.ticket()
        platform.authorize(appid)
        table = self.worker(appid, component=component).backend.platform_table
        now, granted = int(self.now()), platform.authorizations[appid]
        table.keep_ticket(platform.newest_ticket, now)
        table.authorize(appid, granted.refresh_token, frozenset(granted.permissions), now)
        return component, appid

    def worker(
        self,
        *appids: str,
        mode: TokenMode = "stable",
        sleep: Sleep | None = None,
        aws: Aws | None = None,
        component: str = "",
    ) -> Worker:
        """Return a worker in this process; when it would sleep everybody's clock moves."""
        return Worker(
            self.place,
            aws or self.aws,
            appids,
            mode=mode,
            clock=self.now,
            sleep=sleep or self.advance,
            component=component,
        )

    def teams(self, count: int = 1, threads: int = 1) -> "AbstractContextManager[list[Team]]":
        """Run so many processes, each of so many workers, for the length of a with block."""
        return Team.several(count, self.place, threads, self._moved)

    # The clock

    def now(self) -> float:
        return self.wechat.clock.now()

    def advance(self, seconds: float) -> None:
        """Move everybody's clock, WeChat's included."""
        self.wechat.clock.advance(seconds)
        self._moved.value = self.wechat.clock.offset

    # What can be seen

    def row(self, appid: str) -> Item:
        """Return the app's row; empty if there is none."""
        return self.table.get({"appid": appid}) or {}

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


class Team(Process):
    """A process of workers, seen from outside."""

    def __init__(self, place: Place, threads: int, moved: Any) -> None:
        super().__init__(team, place, threads, moved)
        self.threads = threads

    def hire(
        self,
        appid: str,
        mode: TokenMode = "stable",
        skews: Sequence[float] = (),
        component: str = "",
    ) -> None:
        """Let new workers take over, as many as there are threads."""
        self.ask(Hire(appid, mode, tuple(skews) or (0.0,) * self.threads, component))

    def start_to(self, what: What, *, at: float = 0.0, workers: int | None = None) -> None:
        """Tell it to act; `report` waits for what comes of it."""
        self.tell(Act(what, at, self.threads if workers is None else workers))

    def report(self) -> Report:
        report = self.hear()
        assert isinstance(report, Report)
        return report


@dataclass(slots=True)
class Crowd:
    """Two hundred workers in forty processes.

    Attributes:
        world: Where they live.
        members: The processes.
        on_progress: Called while they act, with how many have answered, and of how many.
        operations: What they asked of DynamoDB since `hire`.
    """

    world: World
    members: list[Team]
    on_progress: Callable[[int, int], None] = lambda _done, _all: None
    operations: Counter[str] = field(default_factory=Counter)

    @classmethod
    @contextmanager
    def gather(cls, world: World) -> "Iterator[Crowd]":
        """Start the processes, warm the engine up, and end them with the with block."""
        with world.teams(PROCESSES, THREADS) as members:
            crowd = cls(world, members)
            # The engine is a Java program: slow until it has done a thing a few hundred times.
            for _ in range(2):
                crowd.hire(world.new_app())
                crowd.all_at_once("get")
            yield crowd

    def hire(
        self,
        appid: str,
        mode: TokenMode = "stable",
        skew: Skew = no_skew,
        component: str = "",
    ) -> None:
        """Let everybody be a new worker of this app."""
        self.operations.clear()
        numbers = itertools.count()
        for member in self.members:
            skews = [skew(next(numbers)) for _ in range(member.threads)]
            member.hire(appid, mode, skews, component)

    def all_at_once(
        self,
        what: What,
        workers: int = PROCESSES * THREADS,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> list[Outcome]:
        """Let everybody, or the first so many, act in the same moment, and do something else."""
        members = self.members[: workers // THREADS]
        at = time.monotonic() + 0.2
        for member in members:
            member.start_to(what, at=at)
        meanwhile()
        waiting: dict[object, Team] = {member.connection: member for member in members}
        outcomes: dict[Team, tuple[Outcome, ...]] = {}
        while waiting:
            ready = wait([member.connection for member in waiting.values()], timeout=_PATIENCE)
            if not ready:
                raise TimeoutError(f"{len(waiting)} processes of workers hang")
            for member in map(waiting.pop, ready):
                report = member.report()
                outcomes[member] = report.outcomes
                self.operations.update(report.operations)
            self.on_progress(len(outcomes) * THREADS, workers)
        return [outcome for member in members for outcome in outcomes[member]]
