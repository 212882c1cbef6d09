"""What the run under load must find out: each spoils a function's answer, or does worse."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from local.runtime import Context, Environment, Handler
from tests.harness.environment import CallHandler
from wechat_auth.backend import Backend

_kept: list[Any] = []


def spoils(spoil: Callable[[str, Any, Backend], Any]) -> CallHandler:
    """Make a function's name and answer, and the backend, into another answer."""

    @wraps(spoil)
    def call(environment: Environment, handler: Handler, event: Any, context: Context) -> Any:
        answer = environment.call(handler, event, context)
        return spoil(context.function_name.rpartition("-")[2], answer, environment.backend())

    return call


@spoils
def gives_the_number_of_another(name: str, answer: Any, _: Backend) -> Any:
    if name == "phone" and answer["statusCode"] == 200:
        _kept.append(answer)
        return _kept[len(_kept) // 2]
    return answer


@spoils
def loses_sessions(name: str, answer: Any, backend: Backend) -> Any:
    if name == "session":
        _kept.append(None)
        if len(_kept) % 10 == 0:
            table = backend.settings.sessions_table
            for item in backend.aws.dynamodb.scan(TableName=table)["Items"]:
                key = {"user": item["user"], "session": item["session"]}
                backend.aws.dynamodb.delete_item(TableName=table, Key=key)
    return answer


@spoils
def knows_nobody(name: str, answer: Any, _: Backend) -> Any:
    return {"isAuthorized": False} if name == "authorizer" else answer


@spoils
def has_a_token_of_its_own(name: str, answer: Any, backend: Backend) -> Any:
    if name == "phone" and not _kept:
        _kept.append(None)
        (appid,) = backend.settings.appids
        secret = backend.secrets.app_secret(appid)
        backend.wechat.stable_access_token(appid, secret, force=True)
    return answer


@spoils
def hoards_memory(_: str, answer: Any, __: Backend) -> Any:
    _kept.append(b"x" * 8_000_000)
    return answer


@spoils
def logs_what_it_answers(name: str, answer: Any, _: Backend) -> Any:
    print(name, answer)
    return answer
