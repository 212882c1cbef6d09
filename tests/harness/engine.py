"""DynamoDB Local: where it cannot be had races go untested, which is said or, in CI, a failure."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local.dynamodb_local import DynamoDBLocalError

NOT_TESTED = "races were not tested: "


@contextmanager
def engine_or_skip() -> Iterator[None]:
    """Skip the test where the engine cannot be had; where CI is set, fail."""
    try:
        yield
    except DynamoDBLocalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(NOT_TESTED + str(error))
