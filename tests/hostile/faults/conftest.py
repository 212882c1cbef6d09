"""One stack for the tests of this folder, whose answers and logs are searched for secrets."""

from collections.abc import Iterator

import pytest

from tests.harness.engine import engine
from tests.harness.fixtures import api, running_stack
from tests.harness.leaks import all_that_is_written
from tests.hostile.faults.integrity import leaks_in
from tests.hostile.faults.matrix import Matrix

__all__ = ["api", "engine", "running_stack"]

_matrix = Matrix()


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
