"""What the run under load must find out; each spoils a function's answer, or does worse."""

from typing import Any

from wechat_auth import aws, services

_kept: list[Any] = []


def gives_the_number_of_another(name: str, answer: Any) -> Any:
    if name == "phone" and answer["statusCode"] == 200:
        _kept.append(answer)
        return _kept[len(_kept) // 2]
    return answer


def loses_sessions(name: str, answer: Any) -> Any:
    if name == "session":
        _kept.append(None)
        if len(_kept) % 10 == 0:
            for item in aws.dynamodb().scan(TableName=services.settings().sessions_table)["Items"]:
                key = {"user": item["user"], "session": item["session"]}
                aws.dynamodb().delete_item(TableName=services.settings().sessions_table, Key=key)
    return answer


def knows_nobody(name: str, answer: Any) -> Any:
    return {"isAuthorized": False} if name == "authorizer" else answer


def has_a_token_of_its_own(name: str, answer: Any) -> Any:
    if name == "phone" and not _kept:
        _kept.append(None)
        (appid,) = services.settings().appids
        secret = services.secret_store().app_secret(appid)
        services.wechat().stable_access_token(appid, secret, force=True)
    return answer


def hoards_memory(name: str, answer: Any) -> Any:
    _kept.append(b"x" * 8_000_000)
    return answer


def logs_what_it_answers(name: str, answer: Any) -> Any:
    print(name, answer)
    return answer


def fails_too_often(name: str, answer: Any) -> Any:
    _kept.append(None)
    return answer if len(_kept) % 8 else {"statusCode": 500, "headers": {}, "body": "Traceback"}
