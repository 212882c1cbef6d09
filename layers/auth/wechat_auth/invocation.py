"""What belongs to the one invocation being served: its time budget, metrics and log.

Lambda serves one request at a time per environment; a context variable keeps invocations apart
all the same, so that a server with threads can run the same handlers.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from wechat_auth.errors import AuthError

logger = Logger()

_RESERVE = 0.7
"""Seconds kept back for the answer itself, so that Lambda's time-out never speaks for us."""
_FAULTS = {
    "wechat_unavailable": "WeChatFaults",
    "storage_unavailable": "StorageFaults",
    "account_unavailable": "AccountFunctionFaults",
}
"""The metric of a fault that is not the operator's, by the problem's code."""


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here (AWS Lambda, Python context)."""

    @property
    def aws_request_id(self) -> str:
        """The id of this invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends this invocation."""


@dataclass(slots=True)
class Invocation:
    """The state of one invocation.

    Attributes:
        context: Lambda's context object.
        request_id: Under which the log and the client's problem document know it.
        began: When it began, in seconds of the performance counter.
        metrics: What CloudWatch is told (EMF).
        measured: Whether anything was put into ``metrics``.
    """

    context: LambdaContext
    request_id: str
    began: float = field(default_factory=time.perf_counter)
    metrics: EphemeralMetrics = field(default_factory=EphemeralMetrics)
    measured: bool = False


_current: ContextVar[Invocation | None] = ContextVar("invocation", default=None)
_init_ends: ContextVar[float | None] = ContextVar("init_ends", default=None)


@contextmanager
def serving(context: LambdaContext, request_id: str | None = None) -> Iterator[Invocation]:
    """Serve the invocation that ``context`` describes; its metrics are written at the end.

    Args:
        context: Lambda's context object.
        request_id: API Gateway's id of the request, if there is one; else it is Lambda's.
    """
    invocation = Invocation(context, request_id or context.aws_request_id)
    token = _current.set(invocation)
    try:
        yield invocation
    finally:
        _current.reset(token)
        if invocation.measured:
            try:
                invocation.metrics.flush_metrics()
            except Exception as error:  # noqa: BLE001 - no metric is worth an answer
                logger.warning("metrics lost", extra={"exception_type": type(error).__name__})


@contextmanager
def initialising(seconds: float) -> Iterator[None]:
    """Limit what is done at init, which Lambda ends after 10 s, to so many seconds."""
    token = _init_ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _init_ends.reset(token)


def remaining(at_most: float, *, reserve: float = _RESERVE) -> float:
    """Return how many seconds there are for a piece of work that may take ``at_most``.

    Zero or less means that there is no time left. Outside of init and
    invocations nothing limits it.

    Args:
        at_most: Seconds that the work may take.
        reserve: Seconds kept back for the answer.
    """
    invocation = _current.get()
    if invocation is None:
        ends = _init_ends.get()
        return at_most if ends is None else min(at_most, ends - time.monotonic())
    return min(at_most, invocation.context.get_remaining_time_in_millis() / 1000 - reserve)


def count(metric: str, value: float = 1) -> None:
    """Add to a CloudWatch metric of this invocation."""
    _measure(metric, MetricUnit.Count, value)


def measure_ms(metric: str, milliseconds: float) -> None:
    """Add a duration in milliseconds, to a tenth, to a CloudWatch metric of this invocation."""
    _measure(metric, MetricUnit.Milliseconds, round(milliseconds, 1))


def log_fault(error: AuthError) -> None:
    """Log an error whose cause the client is not told, with the operator's remedy."""
    invocation = _current.get()
    fields = {
        "requestId": invocation.request_id if invocation else None,
        "code": error.problem.code,
        "call": error.call,
        "errcode": error.errcode,
        "rid": error.rid,
        "reason": error.reason,
    }
    if error.remedy:
        count("OperatorFaults")
        logger.error("operator fault", extra={**fields, "remedy": error.remedy})
    else:
        if metric := _FAULTS.get(error.origin.code):
            count(metric)
        logger.warning("fault", extra=fields)


def _measure(metric: str, unit: MetricUnit, value: float) -> None:
    if (invocation := _current.get()) is not None:
        invocation.metrics.add_metric(name=metric, unit=unit, value=value)
        invocation.measured = True
