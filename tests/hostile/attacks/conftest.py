"""One stack for the tests of this folder, whose answers and logs are searched for secrets."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from local import embedded_aws
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.engine import engine, tables
from tests.harness.figures import SEARCHED
from tests.harness.fixtures import api, running_stack
from tests.harness.leaks import all_that_is_written
from tests.hostile.attacks.leak_watch import Watch
from wechat_auth.storage import Aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["api", "engine", "real_dynamodb", "running_stack", "watch"]


@pytest.fixture
def real_dynamodb(deployment: Deployment, engine: str) -> "Iterator[DynamoDBClient]":
    """The stack with its tables on the real engine, for what moto cannot prove."""
    clients = {"dynamodb": engine, "secretsmanager": deployment.stack.aws_url}

    def create_client(*, service_name: str, **options: Any) -> Any:
        create = embedded_aws.create_client(clients[service_name])
        return create(service_name=service_name, **options)

    aws = Aws(create_client)
    with tables(engine, deployment.stack.application):
        deployment.cold_start(aws=aws)
        yield aws.dynamodb


@pytest.fixture
def watch(
    api: Api,
    deployment: Deployment,
    capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> Iterator[Watch]:
    with all_that_is_written(capsys) as written:
        watch = Watch(written, deployment)
        yield watch
        watch.search()
        watch.search_answers(api.answers)
        record_property(SEARCHED, watch.searched)
