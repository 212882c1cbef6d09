"""A run under load: as many visitors as it takes, faults all along, and what must hold anyway."""

import itertools
import os
import queue
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from local import runtime
from local.invocations import ACCOUNT_FUNCTION
from local.runtime import FunctionError
from local.simulated_wechat import Call, Fault
from local.simulated_wechat.faults import Kind
from local.stack import Stack
from local.template import Application
from tests.harness.engine import tables
from tests.harness.environment import CallHandler, Environment, Place
from tests.hostile.load.visitors import Findings, Visitors

FAULTS: Final = 0.01
"""Part of the calls to WeChat that fail, of those to DynamoDB, and of the account function's."""
_ACCOUNT_ID: Final = "an-account-of-the-teams"

_FAULTS: Final[tuple[Kind, ...]] = (
    "drop_after", "drop_before", "status", "html", "truncated", "incomplete", "latency",
)  # fmt: skip
_SECONDS: Final[dict[Kind, float]] = {"latency": 8}  # longer than a call to WeChat may take
_ENVIRONMENTS: Final = 4
_TOGETHER: Final = 8  # visitors at the same time: enough that two cores are never idle
_AGE_IN_WINDOW: Final = 7080  # of an access_token that lives for 7200 s: requests renew it
_WINDOWS: Final = 40  # at most, so that no session ends by its age
_APART: Final = 7  # seconds between them, at least
_ANSWERS: Final = 1000  # of which so many are spoilt that none of them is met only if none comes
_TRIES: Final = 5
_FLAT: Final = 0.05  # part by which memory may grow after the first third


@dataclass(frozen=True, slots=True)
class Report:
    """What a run showed.

    Attributes:
        seconds: How long the visitors came.
        requests: How many were answered in that time.
        findings: What the visitors have against it.
        faults: How many calls to WeChat were spoilt or came too late.
        windows: Renewal windows that were entered.
        tokens: access_tokens that WeChat issued.
        exchanged_twice: Phone codes that were exchanged more than once.
        early, late: Peak memory of each environment in KiB, after a third and at the end.
        leaks: Kinds of secrets found in what the functions wrote.
        written: Characters that were searched.
    """

    seconds: float
    requests: int
    findings: Findings
    faults: int
    windows: int
    tokens: int
    exchanged_twice: int
    early: list[int]
    late: list[int]
    leaks: list[str]
    written: int

    @property
    def excused(self) -> float:
        """Part of the answers that were failures which a fault excuses."""
        return sum(self.findings.excused.values()) / max(1, self.findings.answers.total())

    def objections(self) -> list[str]:
        """Name what does not hold; nothing if all is well."""
        growth = max(late / early - 1 for early, late in zip(self.early, self.late, strict=True))
        checks = {
            f"{len(self.findings.wrong)} wrong answers: {self.findings.wrong[:3]}":
                not self.findings.wrong,
            f"{len(self.findings.lost)} lost sessions: {self.findings.lost[:3]}":
                not self.findings.lost,
            f"{self.exchanged_twice} codes exchanged twice": not self.exchanged_twice,
            f"{self.tokens} access_tokens for {self.windows} windows":
                self.tokens == self.windows,
            f"memory grew by {growth:.0%}": growth <= _FLAT,
            f"{self.excused:.1%} of the answers are failures": self.excused <= 5 * FAULTS,
            f"the functions wrote: {self.leaks}": not self.leaks,
            "no fault was met": self.faults > 0 and self.findings.excused.total() > 0,
            "nobody came": self.findings.visits > 0,
        }  # fmt: skip
        return [objection for objection, holds in checks.items() if not holds]


def run(dynamodb_url: str, seconds: float, call: CallHandler = runtime.Environment.call) -> Report:
    """Let visitors come for so many seconds, with faults, and report.

    Args:
        dynamodb_url: Of the engine.
        seconds: How long.
        call: Calls the handlers; one that spoils their answers is to be found out.
    """
    with TemporaryDirectory() as folder, _functions(dynamodb_url, Path(folder), call) as functions:
        wechat = functions.stack.wechat
        spoilt: list[Call] = []  # calls to WeChat that went wrong
        wechat.on_call = lambda call: spoilt.append(call) if _is_spoilt(call) else None
        visitors = Visitors(wechat, functions.stack.url, functions.openid_of)
        hours = _Hours(functions, visitors, seconds)
        answered: list[int] = []
        in_time = threading.Timer(
            seconds, lambda: answered.append(visitors.findings.answers.total())
        )
        until = time.monotonic() + seconds

        def enough() -> bool:
            """A busy machine may need longer until a fault is met: that depends on the calls."""
            findings = visitors.findings
            met = bool(spoilt) and findings.excused.total() > 0
            return time.monotonic() > until and (met or findings.answers.total() > _ANSWERS)

        with hours:
            in_time.start()
            visitors.come(_TOGETHER, enough)
        in_time.join()
        late = functions.environments.peak_memory()
        wechat.faults.clear()
        visitors.come_back(_TOGETHER)
        secrets = visitors.findings.secrets
        secrets.note_wechat(wechat)
        secrets.note("account id", _ACCOUNT_ID)
        logs = [path.read_text("utf-8") for path in Path(folder).iterdir()]
        return Report(
            seconds=seconds,
            requests=answered[0],
            findings=visitors.findings,
            faults=len(spoilt),
            windows=hours.windows,
            tokens=len(wechat.access_tokens),
            exchanged_twice=sum(times > 1 for times in wechat.billed.exchanges.values()),
            early=hours.memory or late,
            late=late,
            leaks=sorted({found for log in logs for found in secrets.found_in(log)}),
            written=sum(map(len, logs)),
        )


def _is_spoilt(call: Call) -> bool:
    return call.fault is not None or call.duration >= _SECONDS["latency"]


class _Environments:
    """A few execution environments, each of which serves one request at a time."""

    def __init__(self, all_of_them: list[Environment]) -> None:
        self._all = all_of_them
        self._idle: queue.Queue[Environment] = queue.Queue()
        for environment in all_of_them:
            self._idle.put(environment)

    def invoke(self, name: str, event: object) -> Any:
        """Call a function in whichever environment is idle, or will be next."""
        environment = self._idle.get()
        try:
            return environment.invoke(name, event)
        finally:
            self._idle.put(environment)

    def advance(self, seconds: float) -> None:
        """Move the clock of all."""
        for environment in self._all:
            environment.ahead += seconds

    def peak_memory(self) -> list[int]:
        """Return that of each in KiB; waits until none is in use."""
        for _ in self._all:
            self._idle.get()
        try:
            return [environment.peak_memory() for environment in self._all]
        finally:
            for environment in self._all:
                self._idle.put(environment)


@dataclass(frozen=True, slots=True)
class _Functions:
    """What is under load."""

    stack: Stack
    environments: _Environments

    def openid_of(self, token: str) -> str | None:
        """Ask the authorizer whose a token is, again if DynamoDB may have failed."""
        event = {"headers": {"authorization": f"Bearer {token}"}}
        for _ in range(_TRIES):
            with suppress(FunctionError):
                answer = self.stack.invoke("authorizer", event)
                break
        else:
            return None
        openid: str | None = answer["context"].get("openid") if answer["isAuthorized"] else None
        return openid


class _Hours:
    """Lets two hours pass again and again, so that access_tokens come of age; then other faults.

    Attributes:
        windows: Tokens that should have been had: the first, and one for each renewal window.
        memory: Of each environment, after a third of the time.
    """

    def __init__(self, functions: _Functions, visitors: Visitors, seconds: float) -> None:
        self.windows = 1
        self.memory: list[int] = []
        self._functions = functions
        self._visitors = visitors
        # Not at the very end, when nobody would be left who needs a token.
        self._passes = min(_WINDOWS, max(1, int(seconds / _APART)))
        self._apart = seconds / (self._passes + 0.5)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._pass)
        self._faults = itertools.cycle(_FAULTS)

    def __enter__(self) -> None:
        self._next_fault()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _pass(self) -> None:
        for number in range(self._passes):
            if self._done.wait(self._apart):
                return
            if number == self._passes // 3:
                self.memory = self._functions.environments.peak_memory()
            self._visitors.hours_passed()
            hours = _AGE_IN_WINDOW - self._apart
            self._functions.stack.wechat.clock.advance(hours)
            self._functions.environments.advance(hours)
            self.windows += 1
            self._next_fault()

    def _next_fault(self) -> None:
        kind = next(self._faults)
        fault = Fault("*", kind, seconds=_SECONDS.get(kind, 0), times=None, share=FAULTS)
        self._functions.stack.wechat.faults.clear()
        self._functions.stack.wechat.faults.add(fault)


@contextmanager
def _functions(dynamodb_url: str, logs: Path, call: CallHandler) -> Iterator[_Functions]:
    """Run the stack with several execution environments on a real DynamoDB engine."""
    made: list[_Environments] = []

    @contextmanager
    def environments(application: Application, _: runtime.Environment) -> Iterator[_Environments]:
        variables = {**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url}
        place = Place(application, variables, call=call, failing=FAULTS, logs=logs)
        with (
            tables(dynamodb_url, application),
            Environment.several(_ENVIRONMENTS, place) as all_of_them,
        ):
            made.append(_Environments(all_of_them))
            yield made[0]

    parameters = {"AccountFunctionArn": ACCOUNT_FUNCTION}
    with Stack.start(functions=environments, parameters=parameters) as stack:
        stack.invocations.functions[ACCOUNT_FUNCTION] = _account_function
        yield _Functions(stack, made[0])


def _account_function(event: Any, _: object) -> dict[str, str]:
    """Know everybody by their number, unless this is a call that fails."""
    if random.random() < FAULTS:  # noqa: S311 - no secret is made of it
        raise RuntimeError
    return {"accountId": _ACCOUNT_ID} if event["event"] == "phone" else {}
