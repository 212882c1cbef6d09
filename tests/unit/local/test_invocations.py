"""Lambda's Invoke on this machine: what Lambda answers, by botocore's own client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local import embedded_aws
from local.invocations import ACCOUNT_FUNCTION, SAMPLE, Invocations, NoHandlerError, handler_of


@pytest.fixture
def invocations() -> Invocations:
    return Invocations({ACCOUNT_FUNCTION: lambda event, _: {"got": event}})


@pytest.fixture
def client(invocations: Invocations) -> Iterator[Any]:
    with embedded_aws.serve(invocations=invocations) as url:
        yield embedded_aws.create_client(url)("lambda")


def invoke(client: Any, arn: str = ACCOUNT_FUNCTION) -> tuple[str | None, Any]:
    """Return what kind of error there was, if any, and the payload."""
    answer = client.invoke(FunctionName=arn, Payload=b'{"a": "\xe5\xad\x97"}')
    return answer.get("FunctionError"), json.loads(answer["Payload"].read())


def test_a_function_gets_its_event_and_what_it_returns_comes_back(
    client: Any, invocations: Invocations
) -> None:
    assert invoke(client) == (None, {"got": {"a": "字"}})
    assert invocations.events == [{"a": "字"}]


def test_what_a_function_raises_comes_back_as_an_error_of_the_function(
    client: Any, invocations: Invocations
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a")

    invocations.functions[ACCOUNT_FUNCTION] = fail
    assert invoke(client) == ("Unhandled", {"errorMessage": "'a'", "errorType": "KeyError"})


def test_so_many_calls_can_be_made_to_fail(client: Any, invocations: Invocations) -> None:
    invocations.failing = 1
    assert [invoke(client)[0] for _ in range(2)] == ["Unhandled", None]


def test_what_is_not_there_is_not_found(client: Any) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        invoke(client, ACCOUNT_FUNCTION + "s")


def test_a_handler_is_taken_from_a_file(tmp_path: Path) -> None:
    assert callable(handler_of(SAMPLE))
    with pytest.raises(NoHandlerError, match=r"none\.py is no Python file"):
        handler_of(tmp_path / "none.py")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(NoHandlerError, match=r"empty\.py has no function handler"):
        handler_of(tmp_path / "empty.py")
