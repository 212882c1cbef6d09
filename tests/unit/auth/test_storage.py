"""DynamoDB and Secrets Manager: Python values in and out, and no error but ours."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError, EndpointConnectionError, NoRegionError
from moto import mock_aws

from tests.harness.deployment import Raw
from wechat_auth import invocation
from wechat_auth.errors import MISCONFIGURED, STORAGE_UNAVAILABLE, AuthError
from wechat_auth.storage import Aws, Item, StorageError, Table

from .calling import Context

REGION = "ap-southeast-1"
KEY: Item = {"user": b"\x00u", "session": "1#a"}
ITEM: Item = {**KEY, "sealed": b"\xff\x00", "day": 20_000, "at": 1_700_000_000.1236, "name": "名"}
SETUP = "a table or secret is missing or empty: see the deploy steps"
ROLE = "the function's role lacks a permission: deploy the template again"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Aws(partial(botocore.session.get_session().create_client, region_name=REGION))


@pytest.fixture
def table(aws: Aws) -> Table:
    boto3.client("dynamodb", region_name=REGION).create_table(
        TableName="Things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "user", "AttributeType": "B"},
            {"AttributeName": "session", "AttributeType": "S"},
        ],
        KeySchema=[
            {"AttributeName": "user", "KeyType": "HASH"},
            {"AttributeName": "session", "KeyType": "RANGE"},
        ],
    )
    return aws.table("Things")


# ---------------------------------------------------------------------- values


def test_an_item_comes_back_with_its_values_and_times_to_a_thousandth(table: Table) -> None:
    table.put(ITEM)

    assert table.get(KEY) == {**ITEM, "at": 1_700_000_000.124}
    assert table.get({**KEY, "session": "2#b"}) is None


def test_a_query_reads_pages_from_either_end(table: Table) -> None:
    for number in range(3):
        table.put({**KEY, "session": f"{number}#a"})
    query = partial(table.query, "#user = :user", {"user": KEY["user"]})

    newest, _ = query(newest_first=True, Limit=2)
    _, rest = query(Limit=2)
    last, end = query(ProjectionExpression="#session", ExclusiveStartKey=rest)

    assert [item["session"] for item in newest] == ["2#a", "1#a"]
    assert (last, end) == ([{"session": "2#a"}], None)


# ---------------------------------------------------------------------- conditions


def test_a_write_under_a_condition_gives_the_item_that_is_in_its_way(table: Table) -> None:
    put = partial(table.put_if, "attribute_not_exists(#user) OR #day < :day")

    assert put({**KEY, "day": 1}, {"day": 0}) is None
    assert put({**KEY, "day": 2}, {"day": 1}) == {**KEY, "day": 1}
    assert put({**KEY, "day": 2}, {"day": 2}) is None


def test_updates_and_deletes_tell_whether_their_condition_held(table: Table) -> None:
    update = partial(table.update_if, "#day = :day", KEY, "SET #name = :name")
    table.put({**KEY, "day": 1})

    assert update({"day": 2, "name": "b"}) is False
    assert update({"day": 1, "name": "a"}) is True
    assert table.get(KEY) == {**KEY, "day": 1, "name": "a"}
    assert table.delete_if("#day = :day", KEY, {"day": 2}) is False
    assert table.delete_if("#day = :day", KEY, {"day": 1}) is True
    assert table.get(KEY) is None


class Throttled:
    """A client that leaves the last of so many batches undone."""

    def __init__(self, times: int) -> None:
        self.batches: list[list[str]] = []
        self._times = times

    def batch_write_item(self, *, RequestItems: dict[str, list[Any]]) -> Any:  # noqa: N803
        requests = RequestItems["Things"]
        self.batches.append([each["DeleteRequest"]["Key"]["session"]["S"] for each in requests])
        left = requests[-1:] if len(self.batches) <= self._times else []
        return {"UnprocessedItems": {"Things": left} if left else {}}


def test_what_dynamodb_left_of_a_batch_is_deleted_next_after_a_pause_that_grows() -> None:
    client, pauses = Throttled(7), list[float]()
    keys = [{"session": str(number)} for number in range(27)]
    Table("Things", cast("Any", client), try_seconds=1).delete_all(keys, sleep=pauses.append)

    assert [len(batch) for batch in client.batches] == [25, 3, 1, 1, 1, 1, 1, 1]
    assert client.batches[1] == ["24", "25", "26"]
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_batch_that_dynamodb_leaves_undone_to_the_end_is_storage_that_is_unavailable() -> None:
    client, pauses = Throttled(1000), list[float]()
    table = Table("Things", cast("Any", client), try_seconds=1)
    with invocation.serving(Context(milliseconds=1000)), pytest.raises(StorageError) as refused:
        table.delete_all([{"session": "1"}], sleep=pauses.append)

    assert refused.value.problem is STORAGE_UNAVAILABLE
    assert refused.value.reason == "BatchWriteItem: UnprocessedItems"
    assert (client.batches, pauses) == ([["1"]], [])


# ---------------------------------------------------------------------- errors


def failing(error: Exception) -> Table:
    """Return a table whose every call fails so."""

    class Client:
        def __getattr__(self, _: str) -> Callable[..., Any]:
            def fail(**_: object) -> Any:
                raise error

            return fail

    return Table("Things", cast("Any", Client()), try_seconds=1)


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "about 13800138000"}}, "GetItem")


CALLS: dict[str, Callable[[Table], object]] = {
    "get": lambda table: table.get(KEY),
    "query": lambda table: table.query("#user = :user", {"user": b""}),
    "put": lambda table: table.put(KEY),
    "put_if": lambda table: table.put_if("#day = :day", KEY, {"day": 1}),
    "update_if": lambda table: table.update_if("#day = :day", KEY, "SET a = :day", {"day": 1}),
    "delete_if": lambda table: table.delete_if("#day = :day", KEY, {"day": 1}),
    "delete": lambda table: table.delete(KEY),
    "delete_all": lambda table: table.delete_all([KEY]),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("code", "remedy", "throttled"),
    [
        ("ResourceNotFoundException", SETUP, False),
        ("AccessDeniedException", ROLE, False),
        ("ThrottlingException", None, True),
        ("InternalServerError", None, False),
    ],
)
def test_a_refusal_of_aws_is_ours_with_its_reason_and_remedy(
    call: str, code: str, remedy: str | None, throttled: bool
) -> None:
    with pytest.raises(StorageError) as caught:
        CALLS[call](failing(refusal(code)))

    error = caught.value
    assert error.problem is (MISCONFIGURED if remedy else STORAGE_UNAVAILABLE)
    assert (error.reason, error.remedy, error.throttled) == (f"GetItem: {code}", remedy, throttled)
    assert "13800138000" not in repr(error)


@pytest.mark.parametrize("call", CALLS)
def test_an_aws_out_of_reach_is_storage_that_is_unavailable(call: str) -> None:
    with pytest.raises(StorageError) as caught:
        CALLS[call](failing(EndpointConnectionError(endpoint_url="https://dynamodb.example")))

    assert caught.value.problem is STORAGE_UNAVAILABLE
    assert caught.value.reason == "EndpointConnectionError"


def test_a_client_that_cannot_be_made_is_ours_too() -> None:
    def create_client(**_: object) -> Any:
        raise NoRegionError

    with pytest.raises(StorageError) as caught:
        Aws(create_client).table("Things")

    assert caught.value.reason == "NoRegionError"


def test_no_try_begins_that_could_outlast_the_invocation(aws: Aws, table: Table) -> None:
    with invocation.serving(Context(milliseconds=4_100)), pytest.raises(AuthError) as caught:
        table.get(KEY)

    assert aws.try_seconds == 3.5
    assert caught.value.reason == "OutOfTimeError"


def test_no_function_is_called_if_what_comes_after_it_would_have_no_time(aws: Aws) -> None:
    assert aws.invoke_seconds == 2.5
    for milliseconds, reserve in ((3_100, 0.0), (6_600, 3.5)):
        with (
            invocation.serving(Context(milliseconds=milliseconds)),
            pytest.raises(StorageError) as caught,
        ):
            aws.invoke("arn:aws:lambda:::function:f", b"{}", reserve=reserve)
        assert caught.value.reason == "Invoke: no time is left"


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"Item"'])
def test_an_answer_that_did_not_come_from_aws_is_none(aws: Aws, table: Table, body: bytes) -> None:
    def answer(**_: object) -> AWSResponse:
        return AWSResponse("https://dynamodb.example", 200, HTTPHeaders(), Raw(body))

    aws.dynamodb.meta.events.register_first("before-send", cast("Any", answer))
    with pytest.raises(StorageError) as caught:
        table.get(KEY)

    assert caught.value.reason == "HTTPClientError"


def test_a_secret_is_read_as_text_and_a_binary_one_has_none(aws: Aws) -> None:
    secrets_manager = boto3.client("secretsmanager", region_name=REGION)
    secrets_manager.create_secret(Name="text", SecretString="{}")
    secrets_manager.create_secret(Name="binary", SecretBinary=b"x")

    assert [aws.secret_text(name) for name in ("text", "binary")] == ["{}", ""]
    with pytest.raises(StorageError) as caught:
        aws.secret_text("absent")
    assert caught.value.reason == "GetSecretValue: ResourceNotFoundException"
