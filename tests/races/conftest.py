"""The engine, the world and the crowd, once for all tests of this folder, and gone after it."""

from collections.abc import Iterator

import pytest

from tests.harness.engine import engine
from tests.races.crowd import Crowd, World

__all__ = ["engine"]


@pytest.fixture(scope="package")
def world(engine: str) -> Iterator[World]:
    """DynamoDB Local and a simulated WeChat."""
    with World.start(engine) as world:
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
