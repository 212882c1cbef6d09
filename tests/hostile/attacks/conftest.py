"""One stack for the tests of this folder, whose answers and logs are searched for secrets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.config import Config

from local import embedded_aws
from local.dynamodb_local import serve
from local.stack import Stack
from local.template import REGION
from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.engine import engine_or_skip
from tests.harness.figures import SEARCHED
from tests.harness.leaks import all_that_is_written
from tests.hostile.attacks.leak_watch import Watch
from wechat_auth import aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


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


@pytest.fixture(scope="package")
def dynamodb_local() -> Iterator[str]:
    """A real DynamoDB engine, for what races."""
    with ExitStack() as stack:
        with engine_or_skip():
            url = stack.enter_context(serve())
        yield url


@pytest.fixture
def engine(
    backend: Backend, dynamodb_local: str, monkeypatch: pytest.MonkeyPatch
) -> "Iterator[DynamoDBClient]":
    """The stack with its tables on the real engine, for what moto cannot prove."""
    config = Config(max_pool_connections=64, retries={"total_max_attempts": 2})
    client = boto3.Session("local", "local", region_name=REGION).client(
        "dynamodb", endpoint_url=dynamodb_local, config=config
    )
    for table in backend.stack.application.tables:
        embedded_aws.create_table(client, table)
    monkeypatch.setattr(aws, "dynamodb", lambda: client)
    backend.cold_start()
    yield client
    for table in backend.stack.application.tables:
        client.delete_table(TableName=table.name)
    client.close()


@pytest.fixture
def watch(
    api: Api,
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> Iterator[Watch]:
    with all_that_is_written(monkeypatch, capsys) as written:
        watch = Watch(written, backend)
        yield watch
        watch.search()
        watch.search_answers(api.answers)
        record_property(SEARCHED, watch.searched)
