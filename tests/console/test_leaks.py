"""No secret reaches the browser beyond what the phone itself has to hold."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from local.console import masking
from tests.console.window import Window
from tests.harness.backend import Backend
from tests.harness.leaks import Secrets

_THE_PHONES_OWN = {
    "/login": {"session token"},
    "/phone": {"phone number"},
    "/decrypt": {"phone number"},
    "/_console/acts/login": {"login code"},
    "/_console/acts/tap": {"phone code", "encrypted data", "iv"},
}
"""What an answer has to tell the phone, by path."""


def everything_pressed(window: Window) -> None:
    for scene in ("new", "old", "refuse", "twice", "lost", "expired", "replaced", "dead"):
        window.scene(scene)
    window.press(".old")
    window.press(".check")
    window.page.evaluate("document.querySelectorAll('.message').forEach(each => each.click())")


def secrets_of(window: Window, backend: Backend) -> Secrets:
    """Everything that passed, or is stored, and should be nobody else's."""
    secrets = Secrets()
    world = backend.wechat._world
    for app in backend.wechat.apps:
        secrets.note("AppSecret", app.secret)
    secrets.note("key", backend.secret("KeyRing")["k1"])
    for person in world.people.values():
        secrets.note("openid", person.openid)
        if person.session_key:
            secrets.note("session_key", person.session_key)
    for token in world.tokens._tokens:
        secrets.note("access_token", token)
    secrets.note("phone number", "13800138000")
    for path, body in window.bodies:
        if path in _THE_PHONES_OWN and body.startswith("{"):
            answer = json.loads(body)
            if path == "/login":
                secrets.note("session token", answer["token"])
            elif path == "/_console/acts/login":
                secrets.note("login code", answer["code"])
            elif path == "/_console/acts/tap":
                secrets.note("phone code", answer["code"])
                secrets.note("encrypted data", answer["encryptedData"])
                secrets.note("iv", answer["iv"])
    return secrets


def events(backend: Backend) -> Iterator[str]:
    """Every event that the console has told, as it goes over the wire."""
    address = urlsplit(backend.stack.url).netloc
    with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request("GET", "/_console/latest")
        latest = json.loads(connection.getresponse().read())["latest"]
    with closing(http.client.HTTPConnection(address, timeout=20)) as connection:
        connection.request("GET", "/_console/events", headers={"Last-Event-ID": "0"})
        with connection.getresponse() as response:
            for line in response:
                yield line.decode()
                if line == f"id: {latest}\n".encode():
                    yield response.readline().decode()
                    return


def found(window: Window, backend: Backend) -> dict[str, list[str]]:
    """Name the secrets that stand where they should not, by where."""
    secrets = secrets_of(window, backend)
    assert len(secrets.known) > 15
    texts = [
        ("DOM", window.page.content()),
        ("text", window.page.inner_text("body")),
        ("storage", window.page.evaluate("JSON.stringify([localStorage, sessionStorage])")),
        ("events", "".join(events(backend))),
        *window.bodies,
    ]
    leaks: dict[str, list[str]] = {}
    for where, text in texts:
        allowed = frozenset(_THE_PHONES_OWN.get(where, ()))
        if kinds := secrets.found_in(text, allowed=allowed):
            leaks[where] = kinds
    return leaks


def test_no_secret_stands_in_the_page_or_in_an_answer(window: Window, backend: Backend) -> None:
    everything_pressed(window)
    assert found(window, backend) == {}


def test_the_search_finds_what_an_unmasked_event_would_tell(
    browser: Browser, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masking, "masked", lambda secret: secret)
    with Window.open(browser, backend.stack.url) as window:
        window.scene("new")
        window.scene("old")
        window.scene("expired")
        leaks = found(window, backend)
    told = {"AppSecret", "openid", "session_key", "access_token", "session token", "login code"}
    assert told <= set(leaks["events"])
    assert {"AppSecret", "openid", "session_key"} <= set(leaks["DOM"])
