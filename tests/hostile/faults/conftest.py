"""One stack for the tests of this folder, whose answers and logs are searched for secrets."""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.leaks import all_that_is_written
from tests.hostile.faults.matrix import Matrix
from tests.hostile.faults.writing import leaks_in

_matrix = Matrix()


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    # Not for the whole session: a process runs one stack at a time, and other tests start theirs.
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def api(backend: Backend) -> Iterator[Api]:
    api = Api(backend.stack.url)
    yield api
    for answer in api.answers:
        assert_keeps_to_the_contract(answer)


@pytest.fixture
def matrix() -> Matrix:
    return _matrix


@pytest.fixture(autouse=True)
def _no_secret_is_written(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[None]:
    if "backend" not in request.fixturenames:
        yield
        return
    backend = request.getfixturevalue("backend")
    api = request.getfixturevalue("api") if "api" in request.fixturenames else None
    with all_that_is_written(monkeypatch, capsys) as written:
        yield
        text = "".join((written.output, *written.records, *written.exceptions))
    assert leaks_in(text, backend, api) == []
