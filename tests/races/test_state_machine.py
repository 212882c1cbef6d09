"""Workers interleaved call by call with everything that WeChat, time and death can do to them.

Each worker's request runs in a thread that stands still before each of its calls to DynamoDB and
WeChat and before each sleep; hypothesis decides who goes next and what happens meanwhile. After
every step the invariants hold, and in the end everybody recovers.
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import time_machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.simulated_wechat import Fault
from tests.harness.environment import WatchedConnections
from tests.races.crowd import World
from tests.races.scenarios import ENDPOINT
from tests.races.stepped import Stepped
from tests.races.worker import APP_SECRET, CountedWeChat, Engine, Worker
from wechat_auth.errors import TOKEN_REFUSED, AuthError, WeChatError
from wechat_auth.settings import TokenMode
from wechat_auth.storage import Item, Table
from wechat_auth.tokens.access_tokens import FORCED_APART, MAX_WAIT
from wechat_auth.tokens.table import LEASE_SECONDS

NOON = 4_102_459_200.0  # in Beijing, 2100-01-01: long after the engine's own clock, which runs TTL
WORKERS = 3
_MANY = 80  # steps that no request needs

numbers = st.integers(0, WORKERS - 1)


@dataclass(slots=True)
class Lease:
    """A lease that was taken, until when, and whether its holder has given it back."""

    until: float
    over: bool = False


@dataclass(frozen=True, slots=True)
class Protocol:
    """The protocol as it is, unless a test breaks it.

    Attributes:
        read: Makes a row into what a worker sees.
        write: Makes the condition and the values of an update into those that are sent.
    """

    read: Callable[[Item | None], Item | None] = lambda row: row
    write: Callable[[str, Item], tuple[str, Item]] = lambda condition, values: (condition, values)


class Environment:
    """One execution environment: a worker, what it is doing, and what that has done so far."""

    def __init__(self, machine: "AccessTokenMachine") -> None:
        self.machine = machine
        self.doing: Stepped | None = None
        self.worker = Worker(
            machine.world.place,
            _GatedEngine(self),
            [machine.appid],
            mode=machine.mode,
            clock=machine.world.now,
            sleep=self._sleep,
            connections=WatchedConnections(self._to_wechat),
            jitter=random.uniform,  # which hypothesis seeds: the same decisions are the same run
        )
        self.used: list[str] = []
        self.began = 0.0
        self.slept = 0.0
        self.calls_before = 0
        self.lease: Lease | None = None
        self.refused_requests = 0  # in a row, since WeChat last turned on a token
        self.ended_in: AuthError | None = None

    def ask(self) -> None:
        """Begin a request, and stand before its first call."""
        self.used, self.ended_in = [], None
        self.began, self.slept = self.machine.now, 0.0
        self.calls_before = self.worker.wechat.token_calls
        self.doing = Stepped(self._request)
        self.step()

    def step(self) -> None:
        doing = self.doing
        assert doing
        doing.step()
        if doing.over:
            self.doing = None
            self._check_request()

    def finish(self) -> None:
        for _ in range(_MANY):
            if self.doing is None:
                return
            self.step()
        raise AssertionError("a request hangs")

    def gate(self, call: str) -> None:
        if self.doing:
            self.doing.gate(call)

    def took_lease(self, before: Item, until: float) -> None:
        """Check that a lease just taken was free, and that a renewal was called for."""
        machine = self.machine
        for lease in machine.leases:
            assert lease.over or machine.now >= lease.until, "two renew at the same time"
        self.lease = Lease(round(until, 3))
        machine.leases.append(self.lease)
        token = machine.stored(before)
        left = before.get("token_expires_at", 0) - machine.now
        if self.began >= machine.deleted_at:  # a request frozen for days may take it for its own
            assert not token or left <= 300 or token in self.used, "a needless renewal"

    def _request(self) -> None:
        def call(token: str) -> None:
            assert not self.machine.world.wechat.has_expired(token), "a dead token was handed out"
            self.used.append(token)
            self.worker.wechat.check_encrypted_data(token, "AAAA")

        try:
            self.worker.tokens.using(self.machine.appid, call)
        except AuthError as error:
            self.ended_in = error

    def _check_request(self) -> None:
        error = self.ended_in
        refused = isinstance(error, WeChatError) and error.errcode in TOKEN_REFUSED
        assert len(set(self.used)) <= 2, "a request is replayed once, with another token"
        assert max(Counter(self.used).values(), default=0) <= 2, "and a young one is tried twice"
        if self.machine.now - self.began < LEASE_SECONDS:
            calls = self.worker.wechat.token_calls - self.calls_before
            assert calls <= 2, "a request makes two token calls at most"
        assert self.slept <= 2 * MAX_WAIT, "nobody waits longer than its time"
        self.refused_requests = self.refused_requests + 1 if refused else 0
        if not self.machine.all_refused:
            # Once with the table's token, once with one that was on its way when WeChat turned.
            assert self.refused_requests <= 2, "the third request recovers"

    def _sleep(self, seconds: float) -> None:
        self.gate("sleep")
        self.slept += seconds
        self.machine.passes(seconds)

    def _to_wechat(self, call: str, body: bytes | None, send: Callable[[], Any]) -> Any:
        self.gate(call)
        if call in ENDPOINT.values():
            assert self.lease, "nobody calls WeChat without a lease"
            self.machine.token_calls += 1
            if json.loads(body or b"{}").get("force_refresh"):
                self._forces(self.lease)
        return send()

    def _forces(self, lease: Lease) -> None:
        machine = self.machine
        if machine.forced:
            last_at, last_lease = machine.forced[-1]
            # Sooner only if who forced it last died or was frozen before it was written.
            apart = machine.now - last_at
            assert apart >= FORCED_APART or not last_lease.over, "forced too soon"
        machine.forced.append((machine.now, lease))


class _GatedEngine(Engine):
    """The engine, behind a gate."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment.machine.world.place)
        self._environment = environment

    def table(self, name: str) -> Table:
        return _GatedTable(name, self.try_seconds, self._environment)


class _GatedTable(Table):
    """The table behind a gate, with an eye on the lease."""

    def __init__(self, name: str, try_seconds: float, environment: Environment) -> None:
        self._environment, self._machine = environment, environment.machine
        super().__init__(name, self._machine.world.aws.dynamodb, try_seconds)

    def get(self, key: Item, *, consistent: bool = True) -> Item | None:
        self._environment.gate("get")
        return self._machine.protocol.read(super().get(key, consistent=consistent))

    def update_if(self, condition: str, key: Item, update: str, values: Item) -> bool:
        self._environment.gate("update_if")
        before = self._machine.row()
        sent, sent_values = self._machine.protocol.write(condition, values)
        done = super().update_if(sent, key, update, sent_values)
        if done and "next" in values:
            self._environment.took_lease(before, values["until"])
        elif done and "REMOVE lease_owner" in update and self._environment.lease:
            self._environment.lease.over = True
        return done


class AccessTokenMachine(RuleBasedStateMachine):
    """One app, three workers, and the world."""

    world: ClassVar[World]
    mode: ClassVar[TokenMode] = "stable"
    protocol: ClassVar[Protocol] = Protocol()

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        began = time_machine.travel(NOON - self.world.wechat.clock.offset, tick=False)
        self._time = self._stack.enter_context(began)
        self.appid = self.world.new_app()
        self.leases: list[Lease] = []
        self.forced: list[tuple[float, Lease]] = []
        self.token_calls = 0
        self.newest_stored = 0
        self.all_refused = False
        self.deleted_at = 0.0
        self.environments = [Environment(self) for _ in range(WORKERS)]
        self.outsider = CountedWeChat([self.world.place.wechat_url])

    @property
    def now(self) -> float:
        return self.world.now()

    def passes(self, seconds: float) -> None:
        self._time.shift(seconds)

    def row(self) -> Item:
        return self.world.row(self.appid)

    @initialize()
    def a_first_request(self) -> None:
        self.environments[0].ask()

    # A worker

    @rule(number=numbers)
    def asks(self, number: int) -> None:
        if self.environments[number].doing is None:
            self.environments[number].ask()

    @rule(number=numbers, steps=st.integers(1, 4))
    def goes_on(self, number: int, steps: int) -> None:
        for _ in range(steps):
            if self.environments[number].doing:
                self.environments[number].step()

    @rule(number=numbers)
    def asks_and_is_answered(self, number: int) -> None:
        self.asks(number)
        self.environments[number].finish()

    @rule(number=numbers, steps=st.integers(1, 5))
    def is_frozen(self, number: int, steps: int) -> None:
        """It stands still for longer than a lease, wherever it has come to."""
        self.asks(number)
        self.goes_on(number, steps)
        self.passes(LEASE_SECONDS + 1)

    @rule(number=numbers)
    def dies(self, number: int) -> None:
        environment = self.environments[number]
        if environment.doing:
            environment.doing.kill()
        self.environments[number] = Environment(self)

    # The world

    @rule(seconds=st.sampled_from([0.3, 2.0, 6.0, 31.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.passes(seconds)

    @rule(seconds=st.sampled_from([6_910.0, 7_050.0, 7_201.0, 3 * 86_400.0]), ttl=st.booleans())
    def a_long_time_passes(self, seconds: float, ttl: bool) -> None:
        """DynamoDB may delete what has expired, or not have come to it yet."""
        self.passes(seconds)
        row = self.row()
        if ttl and row and row["expires_at"] <= self.now:
            self.world.table.delete({"appid": self.appid})
            self.newest_stored, self.deleted_at = 0, self.now

    @precondition(lambda self: self.mode == "stable")
    @rule(force=st.booleans())
    def another_server_gets_a_token(self, force: bool) -> None:
        if force:
            self.wechat_turned_on_a_token()
        try:
            self.outsider.stable_access_token(self.appid, APP_SECRET, force=force)
        except AuthError:
            return  # its forced refreshes of today are used up, or WeChat fails

    @rule(errcode=st.sampled_from(sorted(TOKEN_REFUSED)), sticky=st.booleans())
    def wechat_refuses_what_lives(self, errcode: int, sticky: bool) -> None:
        self.wechat_turned_on_a_token()
        self.world.wechat.revoke_access_token(self.appid, errcode=errcode, sticky=sticky)

    @rule()
    def wechat_refuses_everything_or_accepts_again(self) -> None:
        self.wechat_turned_on_a_token()
        self.all_refused = not self.all_refused
        if self.all_refused:
            self.world.wechat.refuse_all_tokens(self.appid)
        else:
            self.world.wechat.accept_tokens(self.appid)

    @rule(
        kind=st.sampled_from(["status", "drop_before", "drop_after", "html", "errcode", ""]),
        times=st.integers(1, 3),
    )
    def wechat_fails_or_works(self, kind: Any, times: int) -> None:
        self.world.wechat.faults.clear()
        if kind:
            self.world.wechat.faults.add(Fault(ENDPOINT[self.mode], kind, times=times))

    # What must hold

    @invariant()
    def a_newer_token_is_never_overwritten(self) -> None:
        token = self.stored(self.row())
        if token:
            number = int(token.partition("_")[0])
            assert number >= self.newest_stored, "an older token overwrote a newer one"
            self.newest_stored = number

    @invariant()
    def a_renewal_makes_two_token_calls_at_most(self) -> None:
        assert self.token_calls <= 2 * len(self.leases)

    def wechat_turned_on_a_token(self) -> None:
        for environment in self.environments:
            environment.refused_requests = -1 if environment.doing else 0

    def teardown(self) -> None:
        """Let WeChat work and time pass: everybody recovers by the second request."""
        try:
            if sys.exception() is None:
                self._everybody_recovers()
        finally:
            for environment in self.environments:
                if environment.doing:
                    environment.doing.kill()
            self.world.wechat.faults.clear()
            self._stack.close()

    def _everybody_recovers(self) -> None:
        self.world.wechat.faults.clear()
        self.world.wechat.accept_tokens(self.appid)
        self.wechat_turned_on_a_token()
        self.all_refused = False
        for environment in self.environments:
            environment.finish()
        self.passes(61)  # the lease of who died, and the pause between two forced refreshes
        for environment in self.environments:
            for _ in range(3):
                environment.ask()
                environment.finish()
                if environment.ended_in is None:
                    break
            assert environment.ended_in is None, "a worker does not recover"

    def stored(self, row: Item) -> str:
        if "sealed" not in row:
            return ""
        context = f"{self.world.place.table}|{self.appid}"
        secrets = self.environments[0].worker.backend.secrets
        return secrets.unseal(row["sealed"], purpose="access_token", context=context).decode()


def run(world: World, examples: int, **attributes: Any) -> None:
    run_state_machine_as_test(
        _kind(world, **attributes),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],  # a failure is told as it is found: shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(("mode", "examples"), [("stable", 60), ("classic", 20)])
def test_whatever_happens_in_whatever_order(world: World, mode: TokenMode, examples: int) -> None:
    run(world, examples, mode=mode)


def without_version(condition: str, values: Item) -> tuple[str, Item]:
    """Take the lease though another renewal has begun since the row was read."""
    later = "(version = :version OR version > :version)"
    return condition.replace("version = :version", later), values


def without_owner(condition: str, values: Item) -> tuple[str, Item]:
    """Write the result though another worker has the lease by now."""
    if "next" in values:
        return condition, values
    return "(lease_owner = :owner OR version > :zero)", values | {"zero": 0}


def without_lease(condition: str, values: Item) -> tuple[str, Item]:
    """Give the lease no time, so that the next worker takes it at once."""
    return condition, values | ({"until": 0} if "next" in values else {})


def without_expiry(row: Item | None) -> Item | None:
    """Use a token whatever the clock says."""
    return row and row | {"token_expires_at": row.get("token_expires_at", 0) + 1e9}


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (Protocol(write=without_version), "a needless renewal"),
        (Protocol(write=without_owner), "an older token overwrote a newer"),
        (Protocol(write=without_lease), "two renew at the same time|forced too soon"),
        (Protocol(read=without_expiry), "a dead token was"),
    ],
)
def test_a_broken_protocol_is_found_out(world: World, broken: Protocol, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run(world, 400, protocol=broken)


def _kind(world: World, **attributes: Any) -> type[AccessTokenMachine]:
    return type("Machine", (AccessTokenMachine,), {"world": world, **attributes})
