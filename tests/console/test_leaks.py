"""No secret reaches the browser beyond what the phone itself has to hold."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from urllib.parse import urlsplit

from local.console.feed import Message
from tests.console.window import Window
from tests.harness.deployment import Deployment
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


def secrets_of(window: Window, deployment: Deployment) -> Secrets:
    """Everything that passed, or is stored, and should be nobody else's."""
    secrets = Secrets()
    secrets.note_wechat(deployment.wechat)
    secrets.note("key", deployment.secret("KeyRing")["k1"])
    for person in deployment.wechat.people:
        secrets.note_person(person)
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


def events(deployment: Deployment) -> Iterator[str]:
    """Every event that the console has told, as it goes over the wire."""
    address = urlsplit(deployment.stack.url).netloc
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


def found(window: Window, deployment: Deployment) -> dict[str, list[str]]:
    """Name the secrets that stand where they should not, by where."""
    secrets = secrets_of(window, deployment)
    assert len(secrets.known) > 15
    return search(secrets, texts_of(window, deployment))


def texts_of(window: Window, deployment: Deployment) -> list[tuple[str, str]]:
    return [
        ("DOM", window.page.content()),
        ("text", window.page.inner_text("body")),
        ("storage", window.page.evaluate("JSON.stringify([localStorage, sessionStorage])")),
        ("events", "".join(events(deployment))),
        *window.bodies,
    ]


def search(secrets: Secrets, texts: list[tuple[str, str]]) -> dict[str, list[str]]:
    leaks: dict[str, list[str]] = {}
    for where, text in texts:
        allowed = frozenset(_THE_PHONES_OWN.get(where, ()))
        if kinds := secrets.found_in(text, allowed=allowed):
            leaks[where] = kinds
    return leaks


def test_no_secret_stands_in_the_page_or_in_an_answer(
    window: Window, deployment: Deployment
) -> None:
    everything_pressed(window)
    assert found(window, deployment) == {}


def test_the_search_finds_what_an_unmasked_event_would_tell(
    window: Window, deployment: Deployment
) -> None:
    window.scene("new")
    window.scene("old")
    secrets = secrets_of(window, deployment)
    unmasked = Message("call", "wechat", "careless", got=list(secrets.known))
    leaks = search(secrets, [("events", json.dumps(asdict(unmasked)))])
    told = {"AppSecret", "openid", "session_key", "access_token", "session token", "login code"}
    assert told <= set(leaks["events"])
