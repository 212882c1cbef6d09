"""One stack for the tests of this folder, whose answers and logs are searched for secrets."""

from collections.abc import Iterator
from secrets import token_hex

import pytest

from local import APPID, COMPONENT
from local.simulated_wechat import App, SimulatedWeChat
from local.stack import Stack
from tests.harness.engine import engine
from tests.harness.fixtures import api, no_secret_is_written
from tests.harness.runtime import TestedRuntime
from tests.hostile.faults.matrix import Matrix

__all__ = ["api", "engine", "no_secret_is_written"]

_matrix = Matrix()


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    """A stack that has a third-party platform's table and queue, for the requests that need one."""
    wechat = SimulatedWeChat([App(APPID, token_hex(16), cloud=True)])
    wechat.set_up_platform(COMPONENT)
    with Stack.start(functions=TestedRuntime, wechat=wechat) as stack:
        yield stack


@pytest.fixture
def matrix() -> Matrix:
    return _matrix
