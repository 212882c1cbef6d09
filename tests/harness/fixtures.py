"""Fixtures that folders of tests take into their conftest, since each folder has its own stack."""

from collections.abc import Iterator
from secrets import token_hex

import pytest

from local import APPID, COMPONENT
from local.simulated_wechat import App, SimulatedWeChat
from local.stack import Stack
from tests.harness.api import Api
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.deployment import Deployment
from tests.harness.leaks import all_that_is_written, leaks_in
from tests.harness.runtime import TestedRuntime


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    """A stack for one folder's tests: a process runs one at a time, and others start theirs."""
    with Stack.start(functions=TestedRuntime) as stack:
        yield stack


@pytest.fixture(scope="package")
def stack_with_platform() -> Iterator[Stack]:
    """A stack that has a third-party platform's table and queue, to import as running_stack."""
    wechat = SimulatedWeChat([App(APPID, token_hex(16), cloud=True)])
    wechat.set_up_platform(COMPONENT)
    with Stack.start(functions=TestedRuntime, wechat=wechat) as stack:
        yield stack


@pytest.fixture
def without_platform(deployment: Deployment) -> Deployment:
    """Serve one app; the platform is there for those who configure it. To import as deployment."""
    deployment.configure(COMPONENT_APPID="")
    return deployment


@pytest.fixture
def api(deployment: Deployment) -> Iterator[Api]:
    """A client, all of whose answers must keep to the contract."""
    api = Api(deployment.stack.url)
    yield api
    for answer in api.answers:
        assert_keeps_to_the_contract(answer)


@pytest.fixture(autouse=True)
def no_secret_is_written(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Iterator[None]:
    """Search what a test makes the functions write for whatever there is of secrets."""
    if "deployment" not in request.fixturenames:
        yield
        return
    deployment = request.getfixturevalue("deployment")
    api = request.getfixturevalue("api") if "api" in request.fixturenames else None
    with all_that_is_written(capsys) as written:
        yield
        text = "".join((written.output, *written.records, *written.exceptions))
    assert leaks_in(text, deployment, api) == []
