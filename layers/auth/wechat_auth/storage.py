"""DynamoDB, Secrets Manager, Lambda and SQS, straight from botocore: bounded time, few retries.

botocore and its errors stop here: above it there are Python values and our own errors.
"""

import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)
from botocore.session import get_session

from wechat_auth import invocation
from wechat_auth.connections import Budget, Connections, TransportError
from wechat_auth.errors import MISCONFIGURED, STORAGE_UNAVAILABLE, AuthError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

T = TypeVar("T")
Item = dict[str, Any]
"""An item's attributes: str, bytes, int, or float (kept to a thousandth)."""

TRY = Budget(total=2.5, connect=1.0, answer=1.5)
"""The seconds of one try of a call."""
PATIENT = Budget(total=25, connect=1.0, answer=24)
"""The seconds of a call of a Lambda function that no client waits for."""
_BACK_OFF = 1.0  # the most that the SDK sleeps after a first try, even when no second may follow
_BATCH = 25  # BatchWriteItem takes no more
_FIRST_PAUSE = 0.05  # seconds before a batch that DynamoDB left undone is sent again
_LONGEST_PAUSE = 1.0
_NO_LIMIT = float("inf")

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
_NAME = re.compile(r"#(\w+)")


class StorageError(AuthError):
    """AWS refused, or could not be reached: an operator's fault, or storage that is unavailable.

    Args:
        reason: What happened, like ``GetItem: ThrottlingException``.
        remedy: What the operator must do, if it is the operator's fault.
        throttled: Whether DynamoDB only asks to come back later, as for an item that many want.
    """

    def __init__(
        self, reason: str | None, remedy: str | None = None, *, throttled: bool = False
    ) -> None:
        problem = MISCONFIGURED if remedy else STORAGE_UNAVAILABLE
        super().__init__(problem, reason=reason, remedy=remedy)
        self.throttled = throttled


class OutOfTimeError(BotoCoreError):
    """The invocation has no time left for a call to AWS; not one that the SDK would repeat."""

    fmt = "no time is left for a call to AWS"


class Aws:
    """An environment's clients of AWS, each made when it is first needed.

    Args:
        create_client: botocore's, of the default session if none is given.
        connections: The connections.
        budget: Seconds of one try of a call.
    """

    def __init__(
        self,
        create_client: Callable[..., BaseClient] | None = None,
        *,
        connections: Connections | None = None,
        budget: Budget = TRY,
    ) -> None:
        self._given = create_client
        self._connections = connections or Connections()
        self._budget = budget
        self.try_seconds = budget.total + _BACK_OFF
        """Seconds that one try of a call can take; none begins with less time left."""
        self.invoke_seconds = budget.total
        """Seconds that a call of a Lambda function can take: there is one try."""
        # Two quick tries, 6 s in the worst case, less when an invocation has less. A fixed user
        # agent: botocore would otherwise rebuild its own twice per request. What is sent is of a
        # few forms, all of them tested: they need no check at each call.
        self._config = Config(
            retries={"mode": "standard", "total_max_attempts": 2},
            user_agent="wechat-auth",
            parameter_validation=False,
        )

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The DynamoDB client."""
        return cast("DynamoDBClient", self._client("dynamodb"))

    @cached_property
    def secrets_manager(self) -> "SecretsManagerClient":
        """The Secrets Manager client."""
        return cast("SecretsManagerClient", self._client("secretsmanager"))

    @cached_property
    def lambda_(self) -> Any:
        """The Lambda client, whose calls are made once: a second try would take twice the time."""
        return self._lambda(self._budget)

    @cached_property
    def patient_lambda(self) -> Any:
        """The Lambda client for calls that no client waits for; made once each, too."""
        return self._lambda(PATIENT)

    @cached_property
    def sqs(self) -> Any:
        """The SQS client."""
        return self._client("sqs")

    def invoke(
        self, arn: str, payload: bytes, *, reserve: float = 0, patient: bool = False
    ) -> bytes:
        """Call a Lambda function, and return what it answers.

        Args:
            arn: Of the function, or of a version or alias of it.
            payload: Its event, as JSON.
            reserve: Seconds of the invocation to leave for what must come after.
            patient: Whether it may take 25 s, since no client waits.

        Raises:
            StorageError: It could not be called, failed, or did not answer in time.
        """
        needed = PATIENT.total if patient else self.invoke_seconds + reserve
        if invocation.remaining(needed) < needed:
            raise StorageError("Invoke: no time is left")
        client = self.patient_lambda if patient else self.lambda_
        answer = _ask(client.invoke, FunctionName=arn, Payload=payload)
        if "FunctionError" in answer:
            raise StorageError(f"Invoke: {answer['FunctionError']} error of the function")
        content: bytes = _ask(answer["Payload"].read)
        return content

    def table(self, name: str) -> "Table":
        """Return a table by its name."""
        return Table(name, self.dynamodb, self.try_seconds)

    def queue(self, url: str) -> "Queue":
        """Return a queue by its URL."""
        return Queue(url, self.sqs)

    def secret_text(self, secret_id: str) -> str:
        """Return the text of a secret; a secret stored as binary has none, and gives ``""``.

        Raises:
            StorageError: It could not be read.
        """
        try:
            answer = _ask(self.secrets_manager.get_secret_value, SecretId=secret_id)
        except StorageError as error:
            raise StorageError(error.reason, error.remedy) from None  # no item: nothing to wait for
        return answer.get("SecretString", "")

    def connect_to_dynamodb(self) -> None:
        """Connect ahead of the first call; if that fails, the call will try again and say so."""
        self._connections.connect(self.dynamodb.meta.endpoint_url, self._budget)

    def connect_to_lambda(self) -> None:
        """Connect ahead of the first call of a function, likewise."""
        self._connections.connect(self.lambda_.meta.endpoint_url, self._budget)

    @cached_property
    def _create_client(self) -> Callable[..., BaseClient]:
        return self._given or get_session().create_client

    def _client(self, service: str) -> BaseClient:
        client = self._create(service, self._config)
        client.meta.events.register("before-send", self._refuse_what_ends_too_late)
        client.meta.events.register("before-parse", _refuse_garbage)
        return client

    def _lambda(self, budget: Budget) -> BaseClient:
        once = self._config.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
        return self._create("lambda", once, budget)

    def _create(self, service: str, config: Config, budget: Budget | None = None) -> BaseClient:
        client = _ask(self._create_client, service_name=service, config=config)
        # botocore bounds no call as a whole; its endpoint takes whatever can send.
        client._endpoint.http_session = _Sender(self._connections, budget or self._budget)  # type: ignore[attr-defined]  # noqa: SLF001 - botocore has no other way
        return client

    def _refuse_what_ends_too_late(self, **_: object) -> None:
        """Let no try begin that could outlast the invocation, whose answer would be Lambda's."""
        if invocation.remaining(self.try_seconds) < self.try_seconds:
            raise OutOfTimeError


class Table:
    """One DynamoDB table.

    In expressions, ``#name`` is an attribute by its name (for DynamoDB's reserved words) and
    ``:name`` one of the values given. Every method raises StorageError if DynamoDB refuses for
    another reason than a condition, or cannot be reached.

    Args:
        name: The table's name.
        client: The DynamoDB client.
        try_seconds: Seconds that one try of a call can take.
    """

    def __init__(self, name: str, client: "DynamoDBClient", try_seconds: float) -> None:
        self.name = name
        self.try_seconds = try_seconds
        self._client = client

    def get(self, key: Item, *, consistent: bool = True) -> Item | None:
        """Read one item.

        Args:
            key: Its key.
            consistent: Whether what was written a moment ago must be seen, at twice the price.
        """
        answer = _ask(
            self._client.get_item, TableName=self.name, Key=_stored(key), ConsistentRead=consistent
        )
        return _item(answer["Item"]) if "Item" in answer else None

    def query(
        self, condition: str, values: Item, *, newest_first: bool = False, **limits: Any
    ) -> tuple[list[Item], Item | None]:
        """Read a page of items of one partition, consistently.

        Args:
            condition: KeyConditionExpression.
            values: What its ``:names`` are.
            newest_first: Whether to read from the end of the sort key.
            limits: More arguments of DynamoDB's Query, like ``Limit``.

        Returns:
            The items, and where the next page starts (``ExclusiveStartKey``) if there is one.
        """
        answer = _ask(
            self._client.query,
            TableName=self.name,
            KeyConditionExpression=condition,
            **_names(condition, limits.get("ProjectionExpression", "")),
            ExpressionAttributeValues=_values(values),
            ScanIndexForward=not newest_first,
            ConsistentRead=True,
            **limits,
        )
        return [_item(item) for item in answer["Items"]], answer.get("LastEvaluatedKey")

    def put(self, item: Item) -> None:
        """Write an item in place of whatever is there."""
        _ask(self._client.put_item, TableName=self.name, Item=_stored(item))

    def put_if(self, condition: str, item: Item, values: Item) -> Item | None:
        """Write an item if the condition holds for the one that is there.

        Returns:
            ``None`` if it was written, else the item that is there.
        """
        return self._conditional(
            self._client.put_item,
            condition,
            values,
            Item=_stored(item),
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def update_if(self, condition: str, key: Item, update: str, values: Item) -> bool:
        """Update an item if the condition holds for it, and tell whether it did."""
        kept = self._conditional(
            self._client.update_item,
            condition,
            values,
            update,
            Key=_stored(key),
            UpdateExpression=update,
        )
        return kept is None

    def delete_if(self, condition: str, key: Item, values: Item) -> bool:
        """Delete an item if the condition holds for it, and tell whether it did."""
        kept = self._conditional(self._client.delete_item, condition, values, Key=_stored(key))
        return kept is None

    def delete(self, key: Item) -> None:
        """Delete an item, if it is there."""
        _ask(self._client.delete_item, TableName=self.name, Key=_stored(key))

    def delete_all(
        self, keys: Sequence[Item], *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Delete items by their keys, 25 at a time, in this order.

        What DynamoDB leaves undone because it is throttled is tried again, slower and slower.

        Args:
            keys: The items' keys.
            sleep: Waits for seconds.
        """
        requests: list[Any] = [{"DeleteRequest": {"Key": _stored(key)}} for key in keys]
        pause = _FIRST_PAUSE
        while requests:
            batch, requests = requests[:_BATCH], requests[_BATCH:]
            answer = _ask(self._client.batch_write_item, RequestItems={self.name: batch})
            if undone := answer["UnprocessedItems"].get(self.name, []):
                if invocation.remaining(_NO_LIMIT) < pause + self.try_seconds:
                    raise StorageError("BatchWriteItem: UnprocessedItems", throttled=True)
                requests = [*undone, *requests]
                sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _conditional(
        self,
        operation: Callable[..., object],
        condition: str,
        values: Item,
        update: str = "",
        **arguments: Any,
    ) -> Item | None:
        """Write under a condition; return the item that it did not hold for, or ``None``."""
        try:
            operation(
                TableName=self.name,
                ConditionExpression=condition,
                **_names(condition, update),
                ExpressionAttributeValues=_values(values),
                **arguments,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return _item(cast(Item, error.response.get("Item", {})))
            raise _as_storage_error(error) from None
        except BotoCoreError as error:
            raise _as_storage_error(error) from None
        return None


class Queue:
    """One SQS queue.

    Args:
        url: The queue's URL.
        client: The SQS client.
    """

    def __init__(self, url: str, client: Any) -> None:
        self._url = url
        self._client = client

    def send(self, document: Mapping[str, object]) -> None:
        """Add a message, as JSON.

        Raises:
            StorageError: SQS refused, or could not be reached.
        """
        _ask(self._client.send_message, QueueUrl=self._url, MessageBody=json.dumps(document))


class _Sender:
    """Makes each try of a call for botocore, within its budget."""

    def __init__(self, connections: Connections, budget: Budget) -> None:
        self._connections = connections
        self._budget = budget

    def send(self, request: AWSPreparedRequest) -> AWSResponse:
        """Send a request, and raise the errors that botocore knows."""
        url = str(request.url)
        try:
            answer = self._connections.request(
                request.method,
                url,
                budget=self._budget,
                headers=dict(request.headers.items()),
                body=cast("bytes | None", request.body),
            )
        except TransportError as error:
            raise _as_botocore_error(error)(endpoint_url=url, error=error.reason) from None
        headers = HTTPHeaders.from_dict(answer.headers)
        return AWSResponse(url, answer.status, headers, _Content(answer.content))

    def close(self) -> None:
        """Do nothing: botocore asks for it when a client is closed, but others send here too."""


def _as_botocore_error(error: TransportError) -> type[BotoCoreError]:
    if error.sent:
        return ReadTimeoutError if error.late else ConnectionClosedError
    return SSLError if error.reason.startswith("TLS") else EndpointConnectionError


class _Content(io.BytesIO):
    """The body of an answer as botocore reads one."""

    def stream(self) -> Iterator[bytes]:
        """Give all of it."""
        yield self.getvalue()


def _ask(operation: Callable[..., T], **arguments: Any) -> T:
    try:
        return operation(**arguments)
    except (ClientError, BotoCoreError) as error:
        raise _as_storage_error(error) from None


def _as_storage_error(error: ClientError | BotoCoreError) -> StorageError:
    if not isinstance(error, ClientError):
        return StorageError(type(error).__name__)
    code = error.response["Error"]["Code"]
    return StorageError(
        f"{error.operation_name}: {code}", _REMEDIES.get(code), throttled=code in _THROTTLED
    )


def _refuse_garbage(response_dict: dict[str, Any], **_: object) -> None:
    """Refuse a reply that is no JSON object: botocore would take it for an empty one.

    An item that is not there, or a write that went well, would be what the functions saw.
    """
    body = response_dict["body"]
    if response_dict["status_code"] == HTTPStatus.OK and body[:1] + body[-1:] != b"{}":
        raise HTTPClientError(error="the reply did not come from AWS")


def _names(*expressions: str) -> dict[str, Any]:
    names = {f"#{name}": name for text in expressions for name in _NAME.findall(text)}
    return {"ExpressionAttributeNames": names} if names else {}


def _values(values: Item) -> dict[str, Any]:
    return {f":{name}": _attribute(value) for name, value in values.items()}


def _stored(item: Item) -> dict[str, Any]:
    return {name: _attribute(value) for name, value in item.items()}


def _attribute(value: str | bytes | float) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    return {"N": str(value) if isinstance(value, int) else f"{value:.3f}"}


def _item(stored: Mapping[str, Any]) -> Item:
    return {name: _value(*attribute.items()) for name, attribute in stored.items()}


def _value(attribute: tuple[str, Any]) -> str | bytes | float:
    kind, value = attribute
    if kind != "N":
        return cast("str | bytes", value)
    return float(value) if "." in value else int(value)
