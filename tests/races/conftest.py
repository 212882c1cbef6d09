"""The engine, the world and the crowd, once for all tests of this folder, and gone after it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.engine import engine_or_skip
from tests.races.crowd import Crowd, World


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    """DynamoDB Local and a simulated WeChat."""
    with ExitStack() as stack:
        with engine_or_skip():
            world = stack.enter_context(World.start())
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
