"""A run under load: as many visitors as it takes, faults all along, and what must hold anyway."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import boto3

from local import dynamodb_local, embedded_aws
from local.runtime import FunctionError
from local.simulated_wechat import Call, Fault
from local.simulated_wechat.faults import Kind
from local.stack import Stack
from local.template import REGION, Application
from tests.harness.leaks import Secrets
from tests.hostile.load.environments import Breakage, Environments, Place
from tests.hostile.load.visitors import Findings, Visitors

FAULTS: Final = 0.01
"""Part of the calls to WeChat that fail, and of those to DynamoDB."""

_FAULTS: Final[tuple[Kind, ...]] = (
    "drop_after", "drop_before", "status", "html", "truncated", "incomplete", "latency",
)  # fmt: skip
_SECONDS: Final[dict[Kind, float]] = {"latency": 8}  # longer than a call to WeChat may take
_ENVIRONMENTS: Final = 4
_TOGETHER: Final = 8  # visitors at the same time: enough that two cores are never idle
_AGE_IN_WINDOW: Final = 7080  # of an access_token that lives for 7200 s: requests renew it
_WINDOWS: Final = 40  # at most, so that no session ends by its age
_APART: Final = 7  # seconds between them, at least
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


def run(seconds: float, *, breakage: Breakage | None = None) -> Report:
    """Let visitors come for so many seconds, with faults, and report.

    Args:
        seconds: How long.
        breakage: Something that is to be found out.

    Raises:
        DynamoDBLocalError: The engine cannot be had.
    """
    with TemporaryDirectory() as folder, _backend(Path(folder), breakage) as backend:
        wechat = backend.stack.wechat
        spoilt = _Spoilt()
        wechat.on_call = spoilt.count
        visitors = Visitors(wechat, backend.stack.url, backend.openid_of)
        hours = _Hours(backend, visitors, seconds)
        answered: list[int] = []
        in_time = threading.Timer(
            seconds, lambda: answered.append(visitors.findings.answers.total())
        )
        with hours:
            in_time.start()
            visitors.come(_TOGETHER, until=time.monotonic() + seconds)
        in_time.join()
        late = backend.environments.memory()
        wechat.faults.clear()
        visitors.come_back(_TOGETHER)
        return Report(
            seconds=seconds,
            requests=answered[0],
            findings=visitors.findings,
            faults=spoilt.calls,
            windows=hours.windows,
            tokens=len(backend.access_tokens()),
            exchanged_twice=sum(times > 1 for times in wechat.billed.exchanges.values()),
            early=hours.memory or late,
            late=late,
            leaks=_leaks(backend, visitors.findings.secrets),
            written=sum(len(log) for log in backend.logs()),
        )


class _Spoilt:
    """Counts the calls to WeChat that went wrong."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    def count(self, call: Call) -> None:
        if call.fault or call.duration >= _SECONDS["latency"]:
            with self._lock:
                self.calls += 1


@dataclass(frozen=True, slots=True)
class _Backend:
    """What is under load."""

    stack: Stack
    environments: Environments
    folder: Path

    def openid_of(self, token: str) -> str | None:
        """Ask the authorizer whose a token is, again where DynamoDB may have failed."""
        event = {"headers": {"authorization": f"Bearer {token}"}}
        for _ in range(_TRIES):
            with suppress(FunctionError):
                answer = self.stack.invoke("authorizer", event)
                break
        else:
            return None
        openid: str | None = answer["context"].get("openid") if answer["isAuthorized"] else None
        return openid

    def access_tokens(self) -> list[str]:
        """Return every access_token that WeChat issued."""
        return list(self.stack.wechat._world.tokens._tokens)

    def logs(self) -> list[str]:
        """Return what each environment wrote."""
        return [path.read_text("utf-8") for path in sorted(self.folder.glob("*.log"))]


class _Hours:
    """Lets two hours pass again and again, so that access_tokens come of age; then other faults.

    Attributes:
        windows: Tokens that should have been had: the first, and one for each renewal window.
        memory: Of each environment, after a third of the time.
    """

    def __init__(self, backend: _Backend, visitors: Visitors, seconds: float) -> None:
        self.windows = 1
        self.memory: list[int] = []
        self._backend = backend
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
                self.memory = self._backend.environments.memory()
            self._visitors.hours_passed()
            hours = _AGE_IN_WINDOW - self._apart
            self._backend.stack.wechat.clock.advance(hours)
            self._backend.environments.advance(hours)
            self.windows += 1
            self._next_fault()

    def _next_fault(self) -> None:
        kind = next(self._faults)
        fault = Fault("*", kind, seconds=_SECONDS.get(kind, 0), times=None, share=FAULTS)
        self._backend.stack.wechat.faults.clear()
        self._backend.stack.wechat.faults.add(fault)


@contextmanager
def _backend(folder: Path, breakage: Breakage | None) -> Iterator[_Backend]:
    """Run the stack with several execution environments on a real DynamoDB engine."""
    with ExitStack() as until_the_end:
        dynamodb_url = until_the_end.enter_context(dynamodb_local.serve())

        def environments(application: Application) -> Environments:
            client = boto3.client(
                "dynamodb", region_name=REGION, endpoint_url=dynamodb_url,
                aws_access_key_id="local", aws_secret_access_key="local",
            )  # fmt: skip
            for table in application.tables:
                embedded_aws.create_table(client, table)
            client.close()
            logs = [folder / f"{number}.log" for number in range(_ENVIRONMENTS)]
            return Environments(
                [Place(application, dynamodb_url, log, FAULTS, breakage) for log in logs]
            )

        stack = until_the_end.enter_context(Stack.start(functions=environments))
        running = stack._functions
        assert isinstance(running, Environments)
        yield _Backend(stack, running, folder)


def _leaks(backend: _Backend, secrets: Secrets) -> list[str]:
    for app in backend.stack.wechat.apps:
        secrets.note("AppSecret", app.secret)
    for token in backend.access_tokens():
        secrets.note("access_token", token)
    return sorted({found for log in backend.logs() for found in secrets.found_in(log)})
