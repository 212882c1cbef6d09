"""What comes of the events of events/, each for a single function, in the stack of `make run`."""

import json
from typing import Any, Final

OUTCOMES: Final = {
    "login": "200",
    "login-no-body": "400 invalid_request",
    "login-spent-code": "422 login_code_rejected",
    "phone": "200",
    "phone-login-code": "400 invalid_request",
    "decrypt": "200",
    "decrypt-cloud-id": "200",
    "decrypt-one-shot": "200",
    "decrypt-stale": "422 undecryptable",
    "session": "200",
    "session-expired": "401 session_invalid",
    "session-logout": "204",
    "introspect": "200",
    "introspect-unknown-client": "401 client_invalid",
    "authorizer": "authorized",
    "authorizer-expired": "refused",
    "wechat_push": "200",
    "wechat_push-forged": "403",
    "user_events": "done",
    "access_token": "done",
    "end_sessions": "done",
    "refresh_access_token": "done",
}
"""What comes of each event, as `outcome` says it. A file's name begins with its function's."""


def function_of(name: str) -> str:
    """Return the folder name of the function that an event is for."""
    return name.partition("-")[0]


def outcome(result: Any) -> str:
    """Say in a word or two what a function returned."""
    match result:
        case {"statusCode": status, **rest}:
            body = str(rest.get("body") or "")
            problem: dict[str, Any] = json.loads(body) if body.startswith("{") else {}
            return f"{status} {problem.get('code', '')}".strip()
        case {"batchItemFailures": [_, *_]}:
            return "to be tried again"
        case {"isAuthorized": authorized}:
            return "authorized" if authorized else "refused"
        case {"errorType": kind}:
            return str(kind)
    return "done"
