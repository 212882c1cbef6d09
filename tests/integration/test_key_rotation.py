"""A rotation of the keys while execution environments stay warm, some of which only seal."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import time_machine

from infra.secret import SecretError
from local.runtime import Context, Runtime
from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.runtime import Serve
from wechat_auth.backend import Backend
from wechat_auth.phone_records import PhoneRecords
from wechat_auth.storage import Item, Table
from wechat_auth.wechat import PhoneNumber

NUMBER = {"phoneNumber": "13800138000", "purePhoneNumber": "13800138000", "countryCode": "86"}
DAY = 86_400
STEP = 50
"""Seconds between two looks at the whole fleet."""


class Fleet:
    """Execution environments that stay warm, and which of them serves the next request.

    They were started one after the other, so that they read the ring again at different moments.

    Attributes:
        backends: What each has in memory. The first serves logins and nothing else.
    """

    def __init__(
        self, deployment: Deployment, api: Api, clock: time_machine.Traveller, size: int = 3
    ) -> None:
        self.deployment = deployment
        self.api = api
        settings, aws = deployment.backend.settings, deployment.backend.aws
        self.backends: list[Backend] = []
        for _ in range(size):
            backend = Backend(settings, aws=aws, wechat=deployment.backend.wechat)
            backend.secrets.key_ring()
            self.backends.append(backend)
            clock.shift(120)
        self.sealing, *self.serving = self.backends
        self._next = self.backends[0]
        deployment.wrap(self._wrap)

    @contextmanager
    def at(self, backend: Backend) -> Iterator[Api]:
        """Let requests meet this environment."""
        self._next = backend
        yield self.api

    def login(self, backend: Backend, phone: Phone) -> str:
        with self.at(backend) as api:
            return api.logged_in(phone)

    def opens(self, token: str) -> list[int]:
        """Return what GET /session answers in each environment that serves it."""
        statuses = []
        for backend in self.serving:
            with self.at(backend) as api:
                statuses.append(api.session(token).status)
        return statuses

    def current_keys(self) -> set[str]:
        rings = (repr(backend.secrets.key_ring()) for backend in self.serving)
        return {ring.split("'")[1] for ring in rings}

    def _wrap(self, name: str, _: Serve) -> Serve:
        functions = self.deployment.stack.functions
        assert isinstance(functions, Runtime)
        handler = functions.handlers[name]

        def serve(event: Any, context: Context) -> Any:
            return handler(event, context, lambda: self._next)

        return serve


@pytest.fixture
def fleet(deployment: Deployment, api: Api, clock: time_machine.Traveller) -> Fleet:
    deployment.configure(DECRYPT_FAILURES_PER_DAY="3")
    return Fleet(deployment, api, clock)


def check(fleet: Fleet, wechat: SimulatedWeChat, tokens: list[str]) -> None:
    """Check all that must hold at every moment, and leave more sessions behind."""
    new = [fleet.login(backend, wechat.phone()) for backend in fleet.backends]
    for token in (*tokens, *new):
        assert fleet.opens(token) == [200] * len(fleet.serving)

    # Logged out everywhere at one of them, sessions of all of them are over in all of them.
    for backend in fleet.serving:
        person = wechat.phone()
        devices = [fleet.login(each, person) for each in fleet.backends]
        with fleet.at(backend) as api:
            assert api.logout(devices[0], "?all=true").status == 204
        for token in devices:
            assert fleet.opens(token) == [401] * len(fleet.serving)

    # One code is one exchange, whichever environment is asked first.
    for first in fleet.serving:
        person = wechat.phone(number="13800138000")
        token, code = fleet.login(fleet.sealing, person), person.tap_phone_number().code
        for backend in (first, *fleet.serving):
            with fleet.at(backend) as api:
                assert api.phone(code, token=token).json == NUMBER
        assert wechat.billed.exchanges[code] == 1

    # The budget of failures is one.
    person = wechat.phone()
    devices = [fleet.login(each, person) for each in fleet.backends]
    bad, iv = person.encrypt(b"nonsense")
    statuses: Counter[int] = Counter()
    for backend, token in zip(fleet.serving * 3, devices * 2, strict=True):
        with fleet.at(backend) as api:
            statuses[api.decrypt(token=token, encryptedData=bad, iv=iv).status] += 1
    assert statuses == {422: 3, 429: 3}

    tokens += new


def test_at_every_moment_every_session_opens_everywhere_and_nothing_happens_twice(
    fleet: Fleet, deployment: Deployment, wechat: SimulatedWeChat, clock: time_machine.Traveller
) -> None:
    tokens: list[str] = []
    seen: list[set[str]] = []

    def watch(seconds: int) -> None:
        for _ in range(seconds // STEP):
            seen.append(fleet.current_keys())
            if seen[-1:] != seen[-2:-1]:
                check(fleet, wechat, tokens)
            clock.shift(STEP)

    watch(100)
    assert deployment.rotate_keys().startswith("Added the key")
    watch(600)
    assert "now is the current key" in deployment.rotate_keys()
    check(fleet, wechat, tokens)
    watch(400)
    assert {len(keys) for keys in seen} == {1, 2}, "the environments never were of two minds"
    assert len(seen[-1]) == 1
    assert seen[-1] != {"k1"}
    for token in tokens:
        assert fleet.opens(token) == [200] * len(fleet.serving)


def test_a_key_that_is_dropped_later_is_missed_by_nobody(
    fleet: Fleet, deployment: Deployment, wechat: SimulatedWeChat, clock: time_machine.Traveller
) -> None:
    deployment.rotate_keys()
    clock.shift(600)
    deployment.rotate_keys()
    clock.shift(8 * DAY)
    tokens = [fleet.login(backend, wechat.phone()) for backend in fleet.backends]
    deployment.rotate_keys()
    with pytest.raises(SecretError, match="run this again at"):
        deployment.rotate_keys()
    clock.shift(600)
    assert "Dropped k1" in deployment.rotate_keys()
    for _ in range(4):
        check(fleet, wechat, [*tokens])
        clock.shift(2 * STEP)


def test_if_the_new_key_were_current_at_once_sessions_would_be_lost(
    fleet: Fleet, deployment: Deployment, wechat: SimulatedWeChat, clock: time_machine.Traveller
) -> None:
    clock.shift(300)
    for backend in fleet.serving:
        backend.secrets.key_ring()
    ring = deployment.secret("KeyRing")
    deployment.put_secret("KeyRing", ring | {"current": "k2", "k2": "k2" * 32})
    token = fleet.login(fleet.sealing, wechat.phone())
    assert fleet.opens(token) == [401] * len(fleet.serving)
    clock.shift(60)
    assert fleet.opens(token) == [200] * len(fleet.serving)


def test_a_key_that_leaked_is_used_by_nobody_five_minutes_later(
    fleet: Fleet, deployment: Deployment, wechat: SimulatedWeChat, clock: time_machine.Traveller
) -> None:
    before = [fleet.login(backend, wechat.phone()) for backend in fleet.backends]
    deployment.put_secret("KeyRing", {"current": "k9", "k9": "k9" * 32})
    clock.shift(300)
    after = [fleet.login(backend, wechat.phone()) for backend in fleet.backends]
    for token in before:
        assert fleet.opens(token) == [401] * len(fleet.serving)
    for token in after:
        assert fleet.opens(token) == [200] * len(fleet.serving)


class InStep(Table):
    """Lets nobody look elsewhere before all have taken the code where they would keep it."""

    def __init__(self, table: Table, deployment: Deployment, together: threading.Barrier) -> None:
        super().__init__(table.name, deployment.backend.aws.dynamodb, table.try_seconds)
        self._together = together
        self._first = True

    def get(self, key: Item, *, consistent: bool = True) -> Item | None:
        if self._first:
            self._first = False
            self._together.wait(10)
        return super().get(key, consistent=consistent)


def test_two_that_take_a_code_at_once_under_different_keys_exchange_it_once(
    deployment: Deployment, phone: Phone
) -> None:
    together = threading.Barrier(2)
    exchanges: list[str] = []
    number = PhoneNumber("13800138000", "13800138000", "86")

    def records(current: str) -> PhoneRecords:
        ring = {"current": current, "k1": "k1" * 32, "k2": "k2" * 32}
        deployment.put_secret("KeyRing", ring)
        backend = Backend(deployment.backend.settings, aws=deployment.backend.aws)
        backend.secrets.key_ring()
        table = backend.aws.table(deployment.table("PhoneExchanges"))
        return PhoneRecords(InStep(table, deployment, together), backend.secrets)

    def once(records: PhoneRecords) -> PhoneNumber:
        def exchange() -> PhoneNumber:
            exchanges.append("once")
            return number

        return records.once(phone.appid, phone.openid, "a-code", exchange).number

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(once, each) for each in (records("k1"), records("k2"))]
        assert [each.result(20) for each in both] == [number, number]
    assert exchanges == ["once"]
    assert len(deployment.items("PhoneExchanges")) == 1
