"""From request to answer: the rules, whatever fault is armed, and a record of the call."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from .api_security import ERRCODES, SECURED, Opened
from .endpoints import BY_PATH, Endpoint, Reply
from .errors import TOKEN_ERRCODES, WeChatError
from .faults import Fault, Faults
from .open_data import to_json
from .request import Request
from .world import World

_HTML: Final = b"<html><head><title>Bad Gateway</title></head><body>Bad Gateway</body></html>"


@dataclass(frozen=True, slots=True)
class Call:
    """One call that arrived.

    Attributes:
        endpoint: WeChat's name of it, or the path if there is no such endpoint.
        appid: Which app called, as far as it could be told.
        errcode: What the caller was told, 0 for success; None if it got no answer of WeChat's.
        at: When, in seconds since the epoch by WeChat's clock.
        duration: Seconds until the answer, injected latency included.
        fault: Kind of the fault that spoilt it; None also for mere latency.
        sealed: Whether it was signed and encrypted, and could be opened (API security).
    """

    endpoint: str
    appid: str | None
    errcode: int | None
    at: float
    duration: float
    fault: str | None = None
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes onto the wire.

    Attributes:
        body: The body.
        status: HTTP status.
        content_type: Its label; WeChat labels its JSON as plain text.
        missing: Bytes by which Content-Length exceeds the body.
        drop: Reset the connection instead.
        delay: Seconds to wait first.
        headers: More headers: the signatures of a sealed answer.
        sealed: What went in and came out of a sealed call in plain text, else None.
    """

    body: bytes = b""
    status: int = 200
    content_type: str = "text/plain"
    missing: int = 0
    drop: bool = False
    delay: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    sealed: "Sealed | None" = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is in the sealed bytes of a call and of its answer."""

    asked: Mapping[str, object] = field(repr=False)
    answered: Mapping[str, object] = field(repr=False)


def answer(world: World, faults: Faults, request: Request) -> tuple[Answer, Call]:
    """Answer one request by the rules, spoilt by whatever fault is armed."""
    began = time.perf_counter()
    with world.lock:
        at = world.clock.now()
        endpoint = BY_PATH.get(request.path)
        name = endpoint.name if endpoint else request.path
        delay, fault = faults.take(name)
        appid = _caller(world, request)
        reply, opened = _reply(world, endpoint, request, fault)
        _note_arrival(world, name, opened.request if opened else request, reply)
        wire = _on_the_wire(world, appid, reply, fault, opened)
    silent = fault is not None and fault.kind not in ("errcode", "altered")
    errcode = reply.get("errcode", 0)
    call = Call(
        endpoint=name,
        appid=appid,
        errcode=errcode if isinstance(errcode, int) and not silent else None,
        at=at,
        duration=time.perf_counter() - began + delay,
        fault=fault.kind if fault else None,
        sealed=opened is not None,
    )
    return replace(wire, delay=delay), call


def _reply(
    world: World, endpoint: Endpoint | None, request: Request, fault: Fault | None
) -> tuple[Reply, Opened | None]:
    """Return the reply and, if it was sealed and could be opened, the call."""
    reply: Reply = {}
    opened = None
    if fault is None or fault.does_the_work:
        try:
            opened = _open(world, endpoint, request)
            reply = (endpoint or _no_such_url)(world, opened.request if opened else request)
        except WeChatError as error:
            reply = error.reply(world.clock.now())
    if fault and fault.kind == "errcode":
        return WeChatError(fault.errcode, fault.errmsg).reply(world.clock.now()), None
    return reply, opened


def _open(world: World, endpoint: Endpoint | None, request: Request) -> Opened | None:
    """Open a sealed call; None if it is plain, or refused for what else is wrong with it."""
    if endpoint is None or endpoint.name not in SECURED or request.method != endpoint.method:
        return None
    token = request.query.get("access_token", "")
    security = world.api_security.get(world.tokens.appid_of(token) or "")
    if security is None:
        return None
    world.tokens.owner(token)  # which WeChat looks at first
    return security.open(request)


def _no_such_url(world: World, request: Request) -> Reply:  # noqa: ARG001 - as an Endpoint
    raise WeChatError(40066)


def _on_the_wire(
    world: World, appid: str | None, reply: Reply, fault: Fault | None, opened: Opened | None
) -> Answer:
    answer = Answer(to_json(reply).encode())
    if opened:
        headers, body = world.api_security[str(appid)].seal(opened, reply)
        answer = Answer(body, headers=headers, sealed=Sealed(opened.request.json(), reply))
    body = answer.body
    half = body[: len(body) // 2]
    match fault.kind if fault else None:
        case "drop_before" | "drop_after":
            return Answer(drop=True)
        case "status":
            status = fault.status if fault else 502
            return Answer(_HTML, status=status, content_type="text/html")
        case "html":
            return Answer(_HTML, content_type="text/html")
        case "truncated" | "incomplete" as kind:
            missing = len(body) - len(half) if kind == "incomplete" else 0
            return replace(answer, body=half, missing=missing)
        case "altered":
            return replace(answer, body=body + b" ")
        case _:
            return answer


def _caller(world: World, request: Request) -> str | None:
    """Tell whose call it is, even if it is refused."""
    query = request.query
    owner = world.tokens.appid_of(query.get("access_token", ""))
    if request.path.startswith("/cgi-bin/component/"):
        return _body_text(request, "authorizer_appid") or _body_text(request, "component_appid")
    return owner or query.get("appid") or _body_text(request, "appid")


def _note_arrival(world: World, name: str, request: Request, reply: Reply) -> None:
    code = None
    if name == "code2Session" or (
        name == "thirdpartyCode2Session" and reply.get("errcode") not in TOKEN_ERRCODES
    ):
        code = request.query.get("js_code")
    elif name == "getPhoneNumber" and reply.get("errcode") not in TOKEN_ERRCODES | ERRCODES:
        code = _body_text(request, "code")
    if code:
        world.billed.arrivals[code] += 1


def _body_text(request: Request, name: str) -> str | None:
    try:
        value = request.json().get(name)
    except WeChatError:
        return None
    return value if isinstance(value, str) else None
