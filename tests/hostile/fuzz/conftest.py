"""One stack for the fuzz, and everybody's secrets."""

from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.harness.backend import Backend
from tests.harness.leaks import Secrets
from tests.hostile.fuzz.people import People


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def people(backend: Backend) -> People:
    """Few failures a day, so that one who fails often is refused soon."""
    backend.configure(DECRYPT_FAILURES_PER_DAY="10")
    return People(backend.wechat, backend.stack.url, Secrets())
