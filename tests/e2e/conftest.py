"""One stack for the tests of this folder, all of whose answers must keep to the contract."""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.harness.contract import assert_keeps_to_the_contract


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
