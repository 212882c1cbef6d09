"""One stack for the fuzz, and everybody's secrets."""

from collections.abc import Iterator

import pytest

from infra.local.stack import Stack
from tests.backend import Backend
from tests.fuzz.people import People
from tests.leaks import Secrets


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def people(backend: Backend) -> People:
    """Few failures a day, so that one who fails often is refused soon."""
    backend.configure(DECRYPT_FAILURES_PER_DAY="10")
    return People(backend.wechat, backend.stack.url, Secrets())
