"""DynamoDB Local: where it cannot be had races go untested, which is said or, in CI, a failure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.local.dynamodb_local import DynamoDBLocalError

missing: set[str] = set()
"""Why tests were left out."""


@contextmanager
def engine_or_skip() -> Iterator[None]:
    """Skip the test where the engine cannot be had; where CI is set, fail."""
    try:
        yield
    except DynamoDBLocalError as error:
        if os.environ.get("CI"):
            raise
        missing.add(str(error))
        pytest.skip(str(error))
