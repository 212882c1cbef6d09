"""The events of events/, each for a single function, made valid for a stack that runs.

A file cannot hold what works once or for minutes, so there are holes in them: ${login_code},
${phone_code}, ${token} (of a session), ${encrypted_data} and ${iv}, ${stale_encrypted_data} and
${stale_iv} (whose session_key the backend does not know), ${cloud_id}, ${form} (a body, in base64,
with the token), ${basic} (the client of this machine).
"""

import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

from local import API_CLIENT
from local.demo import Document, Walk

_FOLDER: Final = Path(__file__).parents[1] / "events"
_HOLE: Final = re.compile(r"\$\{(\w+)\}")

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
    "access_token": "done",
    "end_sessions": "done",
    "refresh_access_token": "done",
}
"""What comes of each event, as `outcome` says it. A file's name begins with its function's."""


def function_of(name: str) -> str:
    """Return the folder name of the function that an event is for."""
    return name.partition("-")[0]


def live_event(name: str, walk: Walk) -> Document:
    """Read an event and fill its holes, in the order of life: log in, then tap.

    Raises:
        KeyError: There is no such event.
        StepError: The stack does not answer as it should.
    """
    if name not in OUTCOMES:
        raise KeyError(name)
    text = (_FOLDER / f"{name}.json").read_text("utf-8")
    holes = set(_HOLE.findall(text))
    values: dict[str, str] = {}
    if holes & {"token", "form"}:
        values["token"] = walk.api("POST", "/login", {"code": walk.login_code()}).body["token"]
    if "login_code" in holes:
        values["login_code"] = walk.login_code()
    tap = walk.tap()
    stranger = Walk(walk.api_url, walk.wechat_url)
    stranger.login_code()
    stale = stranger.tap()
    form = f"token={values.get('token', '')}"
    values |= {
        "form": b64encode(form.encode()).decode(),
        "basic": b64encode(":".join(API_CLIENT).encode()).decode(),
        "phone_code": tap["code"],
        "encrypted_data": tap["encrypted_data"],
        "iv": tap["iv"],
        "cloud_id": tap["cloud_id"],
        "stale_encrypted_data": stale["encrypted_data"],
        "stale_iv": stale["iv"],
    }
    event: Document = json.loads(_HOLE.sub(lambda hole: values[hole[1]], text))
    return event


def outcome(result: Any) -> str:
    """Say in a word or two what a function returned."""
    match result:
        case {"statusCode": status, **rest}:
            problem: Document = json.loads(str(rest.get("body") or "{}"))
            return f"{status} {problem.get('code', '')}".strip()
        case {"isAuthorized": authorized}:
            return "authorized" if authorized else "refused"
        case {"errorType": kind}:
            return str(kind)
    return "done"
