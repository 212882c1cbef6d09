"""DynamoDB Local: if it cannot be had races go untested, which is said or, in CI, a failure."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from local import dynamodb_local, embedded_aws
from local.dynamodb_local import DynamoDBLocalError
from local.template import Application
from wechat_auth.storage import Aws

NOT_TESTED = "races were not tested: "


@pytest.fixture(scope="package")
def engine() -> Iterator[str]:
    """The engine's URL; without one the test is skipped or, if CI is set, fails."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(dynamodb_local.serve())
        except DynamoDBLocalError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(NOT_TESTED + str(error))
        yield url


@contextmanager
def tables(url: str, application: Application) -> Iterator[None]:
    """Create the template's tables in the engine, and delete them at the end."""
    client = Aws(embedded_aws.create_client(url)).dynamodb
    with ExitStack() as stack:
        stack.callback(client.close)
        for table in application.tables:
            # With a TTL it would delete what has expired by its own clock, not by the test's.
            embedded_aws.create_table(client, replace(table, ttl=None))
            stack.callback(client.delete_table, TableName=table.name)
        yield
