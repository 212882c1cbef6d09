"""The console's own addresses in front of the API's: GET / for a browser, and /_console/.

Everything else goes to the API untouched. So does what comes from another machine, and what is
asked under another host's name: a page elsewhere whose name was made to lead here (DNS rebinding)
finds no console. What acts needs the
console's own Origin besides.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from local.console.acts import Acts, UnknownActError
from local.console.commonjs import as_es_module
from local.console.feed import Feed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_STATIC: Final = Path(__file__).with_name("static")
_MINIPROGRAM: Final = Path(__file__).parents[2] / "miniprogram"
_MINE: Final = "/_console/"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_HEARTBEAT: Final = 15.0  # seconds, so that a browser that has gone is noticed
_MAX_BODY: Final = 4096

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Front:
    """A WSGI application in front of the API's.

    Args:
        api: Gets what is not the console's.
        feed: Its messages are the events.
        acts: What the page may do; None if it may only watch, because WeChat is the real one.
    """

    def __init__(self, api: "WSGIApplication", feed: Feed, acts: Acts | None) -> None:
        self._api = api
        self._feed = feed
        self._acts = acts
        self._files = dict(_files())

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer what is the console's, pass on what is not (PEP 3333)."""
        request = Request(environ)
        if not _is_mine(request):
            return self._api(environ, start_response)
        response = self._answer(request)
        response.headers.extend(_HEADERS)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Response:
        path = request.path.removeprefix(_MINE).lstrip("/")
        match request.method:
            case "GET" if path == "events":
                return self._events(request)
            case "GET" if path == "latest":
                return _json({"latest": self._feed.latest, "watchOnly": self._acts is None})
            case "GET" if path in self._files:
                return _file(self._files[path])
            case "POST" if self._acts and path.startswith("acts/"):
                return self._act(request, self._acts, path.removeprefix("acts/"))
        return _json({"error": f"no {request.method} {request.path} here"}, 404)

    def _events(self, request: Request) -> Response:
        """Return the messages as Server-Sent Events, from now on or from the browser's last one."""
        last = request.headers.get("last-event-id", "")
        latest = self._feed.latest
        number = min(int(last), latest) if last.isdecimal() else latest

        def stream() -> Iterator[str]:
            at = number
            yield "retry: 1000\n\n"
            while not self._feed.closed:
                messages = self._feed.after(at, wait=_HEARTBEAT)
                for at, message in messages:
                    text = json.dumps(asdict(message), ensure_ascii=False)
                    yield f"id: {at}\ndata: {text}\n\n"
                if not messages:
                    yield ": still here\n\n"

        return Response(stream(), content_type="text/event-stream; charset=utf-8")

    def _act(self, request: Request, acts: Acts, name: str) -> Response:
        if not _is_same_origin(request) or request.mimetype != "application/json":
            return _json({"error": "only this console may act"}, 403)
        request.max_content_length = _MAX_BODY
        try:
            body = request.get_json(silent=True)
        except RequestEntityTooLarge:
            return _json({"error": f"a body holds {_MAX_BODY} bytes at most"}, 413)
        phone = body.get("phone") if isinstance(body, dict) else None
        if not isinstance(phone, str) or not phone.isalnum():
            return _json({"error": "phone names who acts, in letters and digits"}, 400)
        try:
            return _json(acts(name, phone))
        except UnknownActError:
            return _json({"error": "no such act"}, 404)


def _is_mine(request: Request) -> bool:
    if _host(request) not in _LOOPBACK or request.remote_addr not in _LOOPBACK:
        return False
    if request.path == "/":
        # Only for a browser: who calls the API by mistake gets the API's own answer.
        return request.method == "GET" and "text/html" in request.headers.get("accept", "")
    return request.path.startswith(_MINE)


def _host(request: Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return None


def _is_same_origin(request: Request) -> bool:
    return request.headers.get("origin") == f"http://{request.headers['host']}"


def _files() -> Iterator[tuple[str, Path]]:
    """Yield the files that are served, by address: the console's, the kit and the demo."""
    yield "", _STATIC / "index.html"
    for file in _STATIC.iterdir():
        yield file.name, file
    for folder in ("kit", "demo"):
        for file in (_MINIPROGRAM / folder).rglob("*.js"):
            yield file.relative_to(_MINIPROGRAM).as_posix(), file


def _file(file: Path) -> Response:
    text = file.read_text("utf-8")
    if file.is_relative_to(_MINIPROGRAM):
        text = as_es_module(text)
    return Response(text, content_type=f"{_TYPES[file.suffix]}; charset=utf-8")


def _json(document: object, status: int = 200) -> Response:
    return Response(json.dumps(document), status, content_type="application/json")
