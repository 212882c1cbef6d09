"""One stack for the tests of this folder, whose answers and logs are searched for secrets."""

from collections.abc import Iterator

import pytest

from local import APPID, COMPONENT
from local.simulated_wechat import App, SimulatedWeChat
from local.stack import Stack
from tests.harness.engine import engine
from tests.harness.fixtures import api
from tests.harness.leaks import all_that_is_written
from tests.harness.runtime import TestedRuntime
from tests.hostile.faults.integrity import leaks_in
from tests.hostile.faults.matrix import Matrix

__all__ = ["api", "engine"]

_matrix = Matrix()


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    """A stack that has a third-party platform's table and queue, for the requests that need one."""
    wechat = SimulatedWeChat([App(APPID, "0" * 32, cloud=True)])
    wechat.set_up_platform(COMPONENT)
    with Stack.start(functions=TestedRuntime, wechat=wechat) as stack:
        yield stack


@pytest.fixture
def matrix() -> Matrix:
    return _matrix


@pytest.fixture(autouse=True)
def _no_secret_is_written(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Iterator[None]:
    if "deployment" not in request.fixturenames:
        yield
        return
    deployment = request.getfixturevalue("deployment")
    api = request.getfixturevalue("api") if "api" in request.fixturenames else None
    with all_that_is_written(capsys) as written:
        yield
        text = "".join((written.output, *written.records, *written.exceptions))
    assert leaks_in(text, deployment, api) == []
