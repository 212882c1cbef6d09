"""What the tests of the running stack share."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import time_machine
from botocore.retries.standard import ExponentialBackoff
from xdist.scheduler import LoadFileScheduling

from local.simulated_wechat import Phone, SimulatedWeChat
from local.stack import Stack
from tests.harness.api import Api
from tests.harness.deployment import Asked, Deployment
from tests.harness.engine import NOT_TESTED
from tests.harness.figures import FIGURE, Say, figures, searched

NUMBER = "13800138000"

# Each test begins at noon, ten days after the last: what that one left is dead by then, and no
# clock ever goes back.
_TEN_DAYS = 10 * 86_400
_beginnings = itertools.count(int(datetime(2027, 1, 1, 12, tzinfo=UTC).timestamp()), _TEN_DAYS)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The clock of everything here, embedded AWS and simulated WeChat included; it goes on."""
    with time_machine.travel(next(_beginnings), tick=True) as traveller:
        yield traveller


@pytest.fixture
def deployment(
    running_stack: Stack, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    """The backend as new, its clock at noon; whatever the last test did is undone."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)  # AWS's retries
    deployment = Deployment(running_stack)
    deployment.clean()
    yield deployment
    deployment.close()


@pytest.fixture
def wechat(deployment: Deployment) -> SimulatedWeChat:
    return deployment.wechat


@pytest.fixture
def api(deployment: Deployment) -> Api:
    return Api(deployment.stack.url)


@pytest.fixture
def phone(wechat: SimulatedWeChat) -> Phone:
    """A person who has never been here."""
    return wechat.phone(number=NUMBER)


@pytest.fixture
def asked(wechat: SimulatedWeChat) -> Asked:
    before = wechat.counts()
    return lambda endpoint: wechat.count(endpoint) - before.get(endpoint, 0)


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Say:
    """Put a line among the figures at the end of the output."""
    return lambda line: record_property(FIGURE, line)


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # untyped
    """Keeps the tests of a file in one process, but for the fault matrix: minutes for a request."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if "/test_matrix.py" in nodeid else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures, and say it loudly where races were not tested."""
    for folder, lines in figures(terminalreporter).items():
        terminalreporter.section(folder)
        for line in lines:
            terminalreporter.line(line)
    if characters := searched(terminalreporter):
        terminalreporter.section("leaks")
        terminalreporter.line(f"no secret in {characters:,} characters of logs and exceptions")
    skips = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", [])}
    for reason in sorted(reason for reason in skips if NOT_TESTED in reason):
        terminalreporter.section("RACES WERE NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(reason, red=True)
