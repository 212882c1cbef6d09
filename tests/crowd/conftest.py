"""The engine, the world and the crowd, once for all tests of this folder, and gone after it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from infra.local.dynamodb_local import DynamoDBLocalError
from tests.crowd.crowd import Crowd, World

_missing: list[str] = []


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """DynamoDB Local and a simulated WeChat; where CI is set, an engine that is missing fails."""
    with ExitStack() as stack:
        try:
            world = stack.enter_context(World.start())
        except DynamoDBLocalError as error:
            if os.environ.get("CI"):
                raise
            _missing.append(str(error))
            pytest.skip(str(error))
        yield world


@pytest.fixture(scope="package")
def crowd(world: World) -> Iterator[Crowd]:
    with Crowd.gather(world) as crowd:
        yield crowd


@pytest.fixture
def appid(world: World) -> str:
    """A mini-program of the test's own."""
    return world.new_app()


@pytest.fixture(autouse=True)
def _wechat_is_well(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "world" in request.fixturenames:
        request.getfixturevalue("world").wechat.faults.clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it loudly where races were not tested."""
    for message in _missing:
        terminalreporter.section("RACES WERE NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(message, red=True)
