"""However slow the outside is, a function answers before Lambda ends it: with the real time-outs.

On a clock that moves only while something outside takes its time, so that no test waits.
"""

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Literal, cast, get_args
from urllib.parse import urlsplit

import pytest
import time_machine
import urllib3
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ReadTimeoutError
from botocore.retries.standard import ExponentialBackoff
from urllib3.exceptions import ReadTimeoutError as NoReplyError

from local import runtime
from local.runtime import Context
from local.simulated_wechat.endpoints import BY_PATH
from local.template import Function
from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.hostile.faults.cases import REQUESTS, Scene
from wechat_auth import aws, invocation, services, wechat

Pace = Literal["never", "at the last moment", "at the SDK's second try, at the last moment"]
"""When what is outside answers."""

ONE_OF_EACH = ["authorizer", "POST /login", "POST /phone", "POST /decrypt", "GET /session?verify"]
_BACKOFF = 1.0  # the most that the SDK waits before its second try (standard retry mode)
_A_MOMENT = 0.001


class Slow:
    """Everything outside at its slowest, and the time that this takes.

    Attributes:
        pace: When it answers; ``None``: at once.
        spent: Seconds of an invocation that are gone before the function does anything.
        took: Seconds that the last invocation took.
        may_take: Seconds after which Lambda would have ended it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pace: Pace | None = None
        self.spent = self.may_take = 0.0
        self._now = self._began = 0.0
        request = urllib3.PoolManager.request
        self._context = runtime._context
        ours = SimpleNamespace(monotonic=self.now, perf_counter=self.now, time=time.time)
        monkeypatch.setattr(runtime, "_now", self.now)
        monkeypatch.setattr(runtime, "_context", self._invoked)
        monkeypatch.setattr(invocation, "time", ours)
        monkeypatch.setattr(wechat, "time", ours)
        monkeypatch.setattr(ExponentialBackoff, "delay_amount", self._backs_off)
        monkeypatch.setattr(urllib3.PoolManager, "request", self._wechat(request))

    @property
    def took(self) -> float:
        return self._now - self._began

    def now(self) -> float:
        return self._now

    def aws(self, request: AWSPreparedRequest, **_: object) -> None:
        """Take as long as a try may take, and answer or not."""
        if self.pace is None:
            return
        first = "attempt=1" in str(request.headers["amz-sdk-request"])
        self._now += aws._CONNECT + aws._READ - _A_MOMENT
        if self.pace == "never" or (first and self.pace != "at the last moment"):
            raise ReadTimeoutError(endpoint_url=request.url)

    def _wechat(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def slowly(pool: urllib3.PoolManager, method: str, url: str, **more: Any) -> Any:
            if self.pace and urlsplit(url).path in BY_PATH:
                self._now += more["timeout"].total - _A_MOMENT
                if self.pace == "never":
                    raise NoReplyError(cast("Any", pool), url, "too slow")
                more["timeout"] = 5
            return request(pool, method, url, **more)

        return slowly

    def _backs_off(self, *_: object) -> float:
        self._now += _BACKOFF if self.pace else 0
        return 0

    def _invoked(self, function: Function) -> Context:
        context = self._context(function)
        self._began, self.may_take = self._now, function.timeout
        self._now += self.spent
        return context


@pytest.fixture
def slow(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    slow = Slow(monkeypatch)
    hook = cast("Callable[..., None]", slow.aws)
    clients = (aws.dynamodb(), aws.secrets_manager())
    for client in clients:
        client.meta.events.register_last("before-send", hook)
    yield slow
    for client in clients:
        client.meta.events.unregister("before-send", hook)


@pytest.mark.parametrize("pace", get_args(Pace))
@pytest.mark.parametrize("request_", REQUESTS)
def test_however_slow_the_outside_is_the_function_answers_in_time(
    api: Api, backend: Backend, clock: time_machine.Traveller, slow: Slow, request_: str, pace: Pace
) -> None:
    ask(Scene(api, backend, backend.wechat.phone()), clock, slow, request_, pace)
    assert 0 < slow.took < slow.may_take


def test_a_try_of_the_sdk_that_may_begin_too_late_is_found_out(
    api: Api,
    backend: Backend,
    clock: time_machine.Traveller,
    slow: Slow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aws, "TRY", 0.1)
    scene = Scene(api, backend, backend.wechat.phone())
    ask(scene, clock, slow, "authorizer", None)
    slow.spent = slow.may_take - 2
    ask(scene, clock, slow, "authorizer", "never")
    assert slow.took > slow.may_take


@pytest.mark.parametrize("pace", get_args(Pace))
@pytest.mark.parametrize("request_", ONE_OF_EACH)
def test_so_it_does_when_it_begins_late(
    api: Api, backend: Backend, clock: time_machine.Traveller, slow: Slow, request_: str, pace: Pace
) -> None:
    """As where it had to wait for others before: in steps of a quarter of a second."""
    scene = Scene(api, backend, backend.wechat.phone())
    ask(scene, clock, slow, request_, pace)
    for quarters_left in range(1, 4 * 6):  # with more, nothing is tight
        slow.spent = slow.may_take - quarters_left / 4
        ask(scene, clock, slow, request_, pace)
        assert slow.took < slow.may_take


def ask(
    scene: Scene, clock: time_machine.Traveller, slow: Slow, request: str, pace: Pace | None
) -> None:
    """Make a request of a new environment; its answer is the function's own, not the gateway's."""
    spent, slow.spent, slow.pace = slow.spent, 0.0, None
    prepared = REQUESTS[request](scene)
    scene.backend.clear("AccessTokens")
    scene.backend.cold_start()
    services.access_tokens()._item._sleep = clock.shift
    slow.spent, slow.pace = spent, pace
    prepared()
    slow.pace = None
