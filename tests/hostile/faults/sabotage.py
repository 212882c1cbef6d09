"""Environments in which something is wrong, so that the checks have something to find."""

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import DataRecord

from wechat_auth import aws, http, phone, sessions, wechat
from wechat_auth.errors import (
    INTERNAL_ERROR,
    STORAGE_UNAVAILABLE,
    AuthError,
    WeChatUnavailableError,
)
from wechat_auth.sessions import IssuedSession
from wechat_auth.wechat import Code2Session

Breakage = Callable[[], None]
"""Spoils a new environment, so that it is to be found out."""


def lets_everybody_in() -> None:
    """Let POST /phone overlook that a code is being exchanged."""
    put = phone._Records._put_record

    def overlooking(records: phone._Records, data_record: DataRecord) -> None:
        with suppress(IdempotencyItemAlreadyExistsError):
            put(records, data_record)

    phone._Records._put_record = overlooking  # type: ignore[method-assign,assignment]


def sends_again() -> None:
    """Let a call to WeChat be sent again where its connection broke, codes included."""
    send = wechat.WeChat._send

    def twice(client: wechat.WeChat, *call: Any) -> dict[str, Any]:
        try:
            return send(client, *call)
        except WeChatUnavailableError:
            return send(client, *call)

    wechat.WeChat._send = twice  # type: ignore[method-assign,assignment]


def writes_in_two_steps() -> None:
    """Let a login store its session first, and what is sealed in it afterwards."""
    issue = sessions.Sessions.issue

    def in_two_steps(table: sessions.Sessions, appid: str, who: Code2Session) -> IssuedSession:
        dynamodb = table._dynamodb()

        def put_item(**asked: Any) -> None:
            item = asked["Item"]
            dynamodb.put_item(
                TableName=asked["TableName"],
                Item={name: item[name] for name in ("user", "session", "expires_at")},
            )
            dynamodb.put_item(**asked)

        table._dynamodb = lambda: SimpleNamespace(put_item=put_item)  # type: ignore[assignment,return-value]
        try:
            return issue(table, appid, who)
        finally:
            table._dynamodb = lambda: dynamodb

    sessions.Sessions.issue = in_two_steps  # type: ignore[method-assign,assignment]


def answers_what_is_not_expected() -> None:
    """Let the table of errors call what storage could not do an error nobody knows."""
    explain = aws.explain

    def unknown(error: Exception) -> AuthError:
        fault = explain(error)
        return AuthError(INTERNAL_ERROR) if fault.problem is STORAGE_UNAVAILABLE else fault

    http.explain = unknown  # type: ignore[attr-defined]
