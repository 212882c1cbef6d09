"""What is sent by mistake, told apart, so that the answer says what came and what to send.

No text here quotes what was sent.
"""

import json
import re
from collections.abc import Mapping

ROUTES: Mapping[str, tuple[str, ...]] = {
    "/login": ("POST",),
    "/phone": ("POST",),
    "/decrypt": ("POST",),
    "/session": ("GET", "DELETE"),
    "/introspect": ("POST",),
}
"""The methods of each path; a test holds them together with the template's routes."""

_TOKEN = re.compile(r"(?<![\w-])[\w-]{70}(?![\w-])")  # the form of a session's token
_FORM = re.compile(r"[\w.%-]+=")
_HEADER = re.compile(r"[a-z0-9-]{1,40}")
_OTHER_HEADERS = frozenset({"idempotency-key", "x-amzn-trace-id"})
_OTHER_FIELDS = frozenset({"cloudID", "code", "encryptedData", "iv", "rawData", "signature"})

PING = (
    "the event is no HTTP request but a ping or a test: nothing needs to keep the functions warm, "
    "and events/ holds one to test each of them with"
)
"""What an event is, for the log, behind which nobody waits for an answer."""


def of_event(event: object) -> str | None:
    """Say why nobody is served, if an event is a request but of another payload format than 2.0."""
    if not isinstance(event, Mapping):
        return None
    if "methodArn" in event:
        return (
            "the authorizer is attached with payload format 1.0 or to a REST API: attach it to an "
            "HTTP API with AuthorizerPayloadFormatVersion 2.0 and EnableSimpleResponses true"
        )
    if "httpMethod" in event or event.get("version") == "1.0":
        return (
            "the function is called with payload format 1.0 or by a REST API: use the routes of "
            "template.yaml, or an HTTP API's integration with PayloadFormatVersion 2.0"
        )
    # Payload format 2.0 has names of headers in small letters.
    if event.get("identitySource") and "authorization" not in event.get("headers", ()):
        return (
            "the authorizer is attached with another identity source: it must be "
            "$request.header.Authorization"
        )
    return None


def of_route(method: str, path: str) -> str:
    """Say what is wrong with a request that no route takes."""
    known = "/" + re.sub("/+", "/", path).strip("/").lower()
    last = "/" + known.rpartition("/")[2]
    if last not in ROUTES:
        routes = ", ".join(f"{' and '.join(methods)} {each}" for each, methods in ROUTES.items())
        return f"There is nothing at this path. The routes are {routes}."
    if known != last:
        return f"The path is {last}, without anything before it."
    if known != path:
        return f"The path is {known}, in small letters and without another slash."
    hint = " wx.request sends GET unless its method says otherwise." if method == "GET" else ""
    return f"{known} takes {' and '.join(ROUTES[known])}, not {method[:10]}.{hint}"


def of_body(raw: bytes, content_type: str) -> str:
    """Say what a body is that is no JSON object, in which no name stands twice."""
    text = raw.decode("utf-8", "replace").strip("\ufeff \t\r\n")
    if not text:
        came = "is empty: wx.request takes method POST and an object as data"
    elif text.startswith("--") or content_type.startswith("multipart/"):
        came = "is a multipart form: use wx.request and not wx.uploadFile"
    elif text.startswith("[object "):
        came = "is what String() makes of an object: use JSON.stringify"
    elif "form-urlencoded" in content_type or _FORM.match(text):
        came = "is a form: set content-type to application/json"
    else:
        return _of_json(text)
    return f"{came}; send a JSON object"


def _of_json(text: str) -> str:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = {}
    if isinstance(document, dict):
        return "must be JSON (RFC 8259) in UTF-8, and no name may stand twice"
    if isinstance(document, str):
        return "is JSON within a JSON string: use JSON.stringify once"
    return "must be a JSON object"


def of_authorization(value: str) -> str | None:
    """Say what is wrong with an Authorization header that no new login would mend, if anything."""
    scheme = value.strip().partition(" ")[0].lower()
    if not scheme or (scheme == "bearer" and not _TOKEN.search(value)):
        return None  # a client that has no token yet
    return "must be Bearer, one blank and the token, without quotes"


def of_missing_token(
    headers: Mapping[str, str], query: Mapping[str, str], body: Mapping[str, object]
) -> str | None:
    """Say where a token is that is not in the Authorization header, if it is anywhere."""
    for name, value in headers.items():
        if name not in _OTHER_HEADERS and _HEADER.fullmatch(name) and _TOKEN.search(value):
            return f"is missing: the token came in the header {name}"
    if any(map(_TOKEN.search, query.values())):
        return "is missing: the token came in the query, which logs keep"
    fields = (str(value) for name, value in body.items() if name not in _OTHER_FIELDS)
    if any(map(_TOKEN.search, fields)):
        return "is missing: the token came in the body"
    return None
