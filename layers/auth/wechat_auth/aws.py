"""Clients of AWS services, straight from botocore: one session, bounded time, few retries."""

from contextlib import suppress
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.session import Session, get_session

from wechat_auth import invocation
from wechat_auth.errors import MISCONFIGURED, STORAGE_UNAVAILABLE, AuthError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

AwsError = (ClientError, BotoCoreError)
"""What a call to AWS can raise."""

_CONNECT, _READ = 1.0, 1.5
_BACK_OFF = 1.0  # the most that the SDK sleeps after a first try, even where no second may follow
TRY = _CONNECT + _READ + _BACK_OFF
"""Seconds that one try of a call to AWS can take; none begins with less time left."""
# Two quick tries, about 6 s in the worst case, less where an invocation has less. A name of
# its own, or botocore would put its own together anew for every request, twice.
_CONFIG = Config(
    connect_timeout=_CONNECT,
    read_timeout=_READ,
    retries={"mode": "standard", "total_max_attempts": 2},
    tcp_keepalive=True,
    user_agent="wechat-auth",
)

_THROTTLED = frozenset(
    {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"}
)
_REMEDIES = {
    "AccessDeniedException": "the function's role lacks a permission: deploy the template again",
    "UnrecognizedClientException": "the function's AWS credentials are not valid",
    "ResourceNotFoundException": "a table or secret is missing or empty: see the deploy steps",
    "ValidationException": "DynamoDB calls our request malformed: report this as a bug",
    "DecryptionFailure": "the function's role may not use the secret's KMS key",
}


class OutOfTimeError(BotoCoreError):
    """The invocation has no time left for a call to AWS; not one that the SDK would repeat."""

    fmt = "no time is left for a call to AWS"


@cache
def _session() -> Session:
    return get_session()


@cache
def dynamodb() -> "DynamoDBClient":
    """Return this environment's DynamoDB client."""
    return cast("DynamoDBClient", _client("dynamodb"))


@cache
def secrets_manager() -> "SecretsManagerClient":
    """Return this environment's Secrets Manager client."""
    return cast("SecretsManagerClient", _client("secretsmanager"))


def connect_to_dynamodb() -> None:
    """Connect ahead of the first call; where that fails, the call will try again and say so.

    DynamoDB's root is asked for, unsigned, which touches no data and costs nothing.
    """
    client = dynamodb()
    connections = client._endpoint.http_session  # type: ignore[attr-defined]  # noqa: SLF001 - botocore has no other way
    with suppress(BotoCoreError):
        connections.send(AWSRequest("GET", client.meta.endpoint_url).prepare())


def _client(service: str) -> BaseClient:
    client = _session().create_client(service, config=_CONFIG)
    client.meta.events.register("before-send", _refuse_what_ends_too_late)
    client.meta.events.register("before-parse", _refuse_garbage)
    return client


def _refuse_what_ends_too_late(**_: object) -> None:
    """Let no try begin that could outlast the invocation, whose answer would then be Lambda's."""
    if invocation.remaining(TRY) < TRY:
        raise OutOfTimeError


def _refuse_garbage(response_dict: dict[str, Any], **_: object) -> None:
    """Refuse a reply that is no JSON object: botocore would take it for an empty one.

    An item that is not there, or a write that went well, would be what the functions saw.
    """
    body = response_dict["body"]
    if response_dict["status_code"] == HTTPStatus.OK and body[:1] + body[-1:] != b"{}":
        raise HTTPClientError(error="the reply is not of AWS")


def explain(error: Exception) -> AuthError:
    """Translate an error of AWS into ours: an operator's fault, or storage that is unavailable.

    One that is ours already stays as it is.
    """
    if isinstance(error, AuthError):
        return error
    if not isinstance(error, ClientError):
        return AuthError(STORAGE_UNAVAILABLE, reason=type(error).__name__)
    code = error.response["Error"]["Code"]
    reason = f"{error.operation_name}: {code}"
    if remedy := _REMEDIES.get(code):
        return AuthError(MISCONFIGURED, remedy=remedy, reason=reason)
    return AuthError(STORAGE_UNAVAILABLE, reason=reason)


def is_throttled(error: Exception) -> bool:
    """Tell whether DynamoDB only asks to come back later, as for an item that many want at once."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in _THROTTLED
