"""Clients of AWS services, straight from botocore: one session, bounded time, few retries."""

from functools import cache
from typing import TYPE_CHECKING, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session, get_session

from wechat_auth.errors import MISCONFIGURED, STORAGE_UNAVAILABLE, AuthError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

AwsError = (ClientError, BotoCoreError)
"""What a call to AWS can raise."""

# Two quick tries, about 5 s in the worst case: inside the shortest function time-out.
_CONFIG = Config(
    connect_timeout=1,
    read_timeout=1.5,
    retries={"mode": "standard", "total_max_attempts": 2},
    tcp_keepalive=True,
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


@cache
def _session() -> Session:
    return get_session()


@cache
def dynamodb() -> "DynamoDBClient":
    """Return this environment's DynamoDB client."""
    return cast("DynamoDBClient", _session().create_client("dynamodb", config=_CONFIG))


@cache
def secrets_manager() -> "SecretsManagerClient":
    """Return this environment's Secrets Manager client."""
    client = _session().create_client("secretsmanager", config=_CONFIG)
    return cast("SecretsManagerClient", client)


def explain(error: Exception) -> AuthError:
    """Translate an error of AWS into ours: an operator's fault, or storage that is unavailable."""
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
