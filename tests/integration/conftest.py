"""One stack for the tests of this folder."""

from collections.abc import Iterator

import pytest

from local.stack import Stack


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    # Not for the whole session: a process runs one stack at a time, and other tests start theirs.
    with Stack.start() as stack:
        yield stack
