"""However slow the outside is, a function answers before Lambda ends it: with the real time-outs.

On a clock that moves only while something outside takes its time, so that no test waits.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import pytest
import time_machine
from botocore.retries.standard import ExponentialBackoff

from local import embedded_aws
from local.runtime import Context
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.runtime import Serve
from tests.hostile.faults.cases import REQUESTS, Scene
from wechat_auth.connections import Answer, Budget, Connections, TransportError
from wechat_auth.storage import Aws
from wechat_auth.wechat import WeChat

Pace = Literal["never", "at the last moment", "at the SDK's second try, at the last moment"]
"""When what is outside answers."""

ONE_OF_EACH = [
    "authorizer", "POST /login", "POST /phone", "POST /decrypt", "GET /session?verify",
    "POST /login, account function", "POST /phone, account function",
]  # fmt: skip
_BACKOFF = 1.0  # the most that the SDK waits before its second try (standard retry mode)
OVERRUN = 0.3
"""Seconds by which a request may outlast its budget: tests/integration/test_connections.py holds
that against sockets that really are slow."""


_UNHURRIED = Budget(total=30, connect=10, answer=10)


class Slow(Connections):
    """Everything outside at its slowest, and the time that this takes.

    Attributes:
        pace: When it answers; ``None``: at once.
        spent: Seconds of an invocation that are gone before the function does anything.
        took: Seconds that the last invocation took.
        may_take: Seconds after which Lambda would have ended it.
    """

    def __init__(self, deployment: Deployment) -> None:
        super().__init__()
        self.pace: Pace | None = None
        self.spent = self.may_take = 0.0
        self._now = self._began = 0.0
        self._functions = deployment.stack.application.functions
        deployment.wrap(self._hurried)
        deployment.cold_start(
            wechat=WeChat([deployment.stack.wechat_url], self, clock=self.now),
            aws=self.aws(deployment),
        )

    def aws(self, deployment: Deployment) -> Aws:
        """Return clients of AWS as slow as all else."""
        return Aws(embedded_aws.create_client(deployment.stack.aws_url), connections=self)

    @property
    def took(self) -> float:
        return self._now - self._began

    def now(self) -> float:
        return self._now

    def backs_off(self, *_: object) -> float:
        self._now += _BACKOFF if self.pace else 0
        return 0

    def request(self, method: str, url: str, *, budget: Budget, **more: Any) -> Answer:
        """Take all of the time that a request may take, and answer or not."""
        if self.pace:
            if budget.total <= budget.answer:
                raise TransportError("no time left", sent=False)
            self._now += budget.total + OVERRUN
            first_try = "attempt=1" in str((more.get("headers") or {}).get("amz-sdk-request"))
            if self.pace == "never" or (first_try and self.pace != "at the last moment"):
                raise TransportError("no answer in time", sent=True, late=True)
        return super().request(method, url, budget=_UNHURRIED, **more)

    def _hurried(self, name: str, serve: Serve) -> Serve:
        """Give a function a context whose time is that of this clock."""

        def serve_on_this_clock(event: Any, context: Context) -> Any:
            self._began, self.may_take = self._now, self._functions[name].timeout
            self._now += self.spent
            return serve(event, cast(Context, _Context(self, context.aws_request_id)))

        return serve_on_this_clock

    @property
    def left(self) -> float:
        return self.may_take - self.took


@dataclass(frozen=True, slots=True)
class _Context:
    """Lambda's context on the clock of what is slow."""

    slow: Slow
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        return round(self.slow.left * 1000)


@pytest.fixture
def slow(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Slow:
    slow = Slow(deployment)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", slow.backs_off)  # the SDK's own
    return slow


@pytest.mark.parametrize("pace", get_args(Pace))
@pytest.mark.parametrize("request_", REQUESTS)
def test_however_slow_the_outside_is_the_function_answers_in_time(
    api: Api,
    deployment: Deployment,
    clock: time_machine.Traveller,
    slow: Slow,
    request_: str,
    pace: Pace,
) -> None:
    ask(Scene(api, deployment, deployment.wechat.phone()), clock, slow, request_, pace)
    assert 0 < slow.took < slow.may_take


def test_a_try_of_the_sdk_that_may_begin_too_late_is_found_out(
    api: Api,
    deployment: Deployment,
    clock: time_machine.Traveller,
    slow: Slow,
) -> None:
    hasty = slow.aws(deployment)
    hasty.try_seconds = 0.1
    deployment.cold_start(aws=hasty)
    scene = Scene(api, deployment, deployment.wechat.phone())
    ask(scene, clock, slow, "authorizer", None)
    slow.spent = slow.may_take - 2
    ask(scene, clock, slow, "authorizer", "never")
    assert slow.took > slow.may_take


@pytest.mark.parametrize("pace", get_args(Pace))
@pytest.mark.parametrize("request_", ONE_OF_EACH)
def test_a_function_that_begins_late_answers_in_time_too(
    api: Api,
    deployment: Deployment,
    clock: time_machine.Traveller,
    slow: Slow,
    request_: str,
    pace: Pace,
) -> None:
    """As if it had waited for other workers before: in steps of a quarter of a second."""
    scene = Scene(api, deployment, deployment.wechat.phone())
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
    scene.deployment.clear("AccessTokens")
    scene.deployment.cold_start(sleep=clock.shift)
    slow.spent, slow.pace = spent, pace
    prepared()
    slow.pace = None
