"""An AWS in this process: moto's server with the template's resources, and Lambda's Invoke."""

import json
import logging
import secrets
import string
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.client import BaseClient
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from local.invocations import Invocations
from local.template import REGION, Application, GeneratedSecret, Secret, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient


@contextmanager
def serve(
    port: int = 0, host: str = "127.0.0.1", invocations: Invocations | None = None
) -> Iterator[str]:
    """Run the embedded AWS (port 0: a free one) and give its URL.

    What it holds belongs to the process, as moto keeps it: see `resources`.

    Args:
        port: To listen on.
        host: The address to listen on.
        invocations: The functions that can be called there.
    """
    # Without a level of its own, werkzeug's logger prints every request to stderr.
    log = logging.getLogger("werkzeug")
    level = log.level
    log.setLevel(logging.WARNING)
    application = (invocations or Invocations()).before(
        DomainDispatcherApplication(create_backend_app)
    )
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    thread = threading.Thread(target=server.serve_forever, name="aws", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        log.setLevel(level)


def create_client(url: str) -> Callable[..., BaseClient]:
    """Return botocore's `create_client` for the embedded AWS at this URL."""
    return partial(
        botocore.session.get_session().create_client,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the embedded AWS takes any
    )


@contextmanager
def resources(application: Application, url: str, values: Mapping[str, str]) -> Iterator[None]:
    """Create the template's tables, secrets and queues, and delete them at the end.

    Args:
        application: What the template declares.
        url: Where the embedded AWS listens.
        values: What to put into secrets, by logical id. One that the template generates is
            generated; any other is as it is in a new deployment.
    """
    account = boto3.Session("local", "local", region_name=REGION)
    dynamodb = account.client("dynamodb", endpoint_url=url)
    secrets_manager = account.client("secretsmanager", endpoint_url=url)
    sqs = account.client("sqs", endpoint_url=url)
    with ExitStack() as stack:
        stack.callback(sqs.close)
        for queue in application.queues:
            sqs.create_queue(QueueName=queue.name)
            stack.callback(sqs.delete_queue, QueueUrl=queue.url)
        stack.callback(dynamodb.close)
        stack.callback(secrets_manager.close)
        for table in application.tables:
            create_table(dynamodb, table)
            stack.callback(dynamodb.delete_table, TableName=table.name)
        for secret in application.secrets:
            _create_secret(secrets_manager, secret, values.get(secret.logical_id))
            stack.callback(
                secrets_manager.delete_secret,
                SecretId=secret.name,
                ForceDeleteWithoutRecovery=True,
            )
        yield


def generate(secret: GeneratedSecret) -> str:
    """Make a value as GenerateSecretString does.

    Source: AWS::SecretsManager::Secret GenerateSecretString, CloudFormation.
    """
    alphabet = string.ascii_letters + string.digits
    if not secret.exclude_punctuation:
        alphabet += string.punctuation
    text = "".join(secrets.choice(alphabet) for _ in range(secret.length))
    return json.dumps(json.loads(secret.template) | {secret.key: text})


def create_table(dynamodb: "DynamoDBClient", table: Table) -> None:
    """Create one table of the template."""
    dynamodb.create_table(
        TableName=table.name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": key.attribute, "AttributeType": key.type} for key in table.keys
        ],
        KeySchema=[{"AttributeName": key.attribute, "KeyType": key.role} for key in table.keys],
    )
    if table.ttl:
        dynamodb.update_time_to_live(
            TableName=table.name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl},
        )


def _create_secret(
    secrets_manager: "SecretsManagerClient", secret: Secret, value: str | None
) -> None:
    if value is None:
        value = generate(secret.generated) if secret.generated else secret.value
    if value is None:
        secrets_manager.create_secret(Name=secret.name)
    else:
        secrets_manager.create_secret(Name=secret.name, SecretString=value)
