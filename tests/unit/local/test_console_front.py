import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from local.console import front
from local.console.acts import Acts
from local.console.feed import Feed, Message
from local.console.front import Front
from local.simulated_wechat import App, SimulatedWeChat

SECRET = bytes(16).hex()
HTML = {"Accept": "text/html"}


def api(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """An API that says what reached it."""
    start_response("404 Not Found", [("content-type", "application/json")])
    return [json.dumps([environ["REQUEST_METHOD"], environ["PATH_INFO"]]).encode()]


def on_this_machine(front: Front) -> Client:
    """A browser whose address is loopback, unless a test says another."""
    return Client(lambda environ, start: front({"REMOTE_ADDR": "127.0.0.1"} | environ, start))


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def wechat() -> SimulatedWeChat:
    return SimulatedWeChat([App("wx0123456789abcdef", SECRET)])


@pytest.fixture
def client(feed: Feed, wechat: SimulatedWeChat) -> Client:
    acts = Acts(wechat, feed, lambda *_: None, lambda: pytest.fail("not asked for"), lambda: 0)
    return on_this_machine(Front(api, feed, acts))


def went_to_the_api(response: TestResponse) -> bool:
    return response.status_code == 404 and isinstance(response.json, list)


def act(client: Client, name: str, host: str = "127.0.0.1:3000", **changes: Any) -> TestResponse:
    request: dict[str, Any] = {
        "headers": {"Host": host, "Origin": f"http://{host}"},
        "json": {"phone": "p1"},
    }
    return client.post(f"/_console/acts/{name}", **(request | changes))


# ------------------------------------------------------------------------- what is the console's


def test_another_machine_gets_none_of_it_by_whatever_name(client: Client) -> None:
    for path in ("/", "/_console/events", "/_console/latest"):
        response = client.get(
            path,
            headers={**HTML, "Host": "127.0.0.1:3000"},
            environ_base={"REMOTE_ADDR": "192.0.2.7"},
        )
        assert went_to_the_api(response)


def test_with_the_real_wechat_the_page_only_watches(feed: Feed) -> None:
    client = on_this_machine(Front(api, feed, None))
    latest = client.get("/_console/latest", headers={"Host": "127.0.0.1:3000"})
    assert latest.json == {"latest": 0, "watchOnly": True}
    assert act(client, "login").status_code == 404


@pytest.mark.parametrize("host", ["127.0.0.1:3000", "localhost:3000", "localhost", "[::1]:3000"])
def test_a_browser_on_this_machine_gets_the_page(client: Client, host: str) -> None:
    response = client.get("/", headers={**HTML, "Host": host})
    assert (response.status_code, response.mimetype) == (200, "text/html")


@pytest.mark.parametrize("path", ["/", "/_console/main.js", "/_console/events"])
@pytest.mark.parametrize(
    "host",
    ["evil.test:3000", "127.0.0.1.evil.test", "localhost.evil.test", "10.0.0.1:3000", "", "[::1"],
)
def test_under_another_hosts_name_there_is_no_console(client: Client, path: str, host: str) -> None:
    assert went_to_the_api(client.get(path, headers={**HTML, "Host": host}))
    assert went_to_the_api(act(client, "login", host=host))


@pytest.mark.parametrize(
    ("method", "path", "accept"),
    [
        ("GET", "/", "*/*"),
        ("GET", "/", "application/json"),
        ("POST", "/", "text/html"),
        ("GET", "/login", "text/html"),
        ("POST", "/login", "text/html"),
        ("OPTIONS", "/phone", "*/*"),
        ("GET", "/_consoles", "text/html"),
        ("GET", "/favicon.ico", "image/*"),
        ("DELETE", "/session", "*/*"),
    ],
)
def test_everything_else_goes_to_the_api(
    client: Client, method: str, path: str, accept: str
) -> None:
    headers = {"Accept": accept, "Host": "127.0.0.1:3000"}
    response = client.open(path, method=method, headers=headers)
    assert went_to_the_api(response)
    assert response.json == [method, path]
    assert "content-security-policy" not in response.headers


def test_every_answer_of_the_console_forbids_what_it_does_not_need(client: Client) -> None:
    for path in ("/", "/_console/main.js", "/_console/latest", "/_console/nothing"):
        headers = client.get(path, headers={**HTML, "Host": "localhost"}).headers
        assert headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("main.js", "text/javascript"),
        ("console.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
        ("kit/index.js", "text/javascript"),
        ("demo/pages/index/index.js", "text/javascript"),
    ],
)
def test_files_have_their_type(client: Client, path: str, kind: str) -> None:
    response = client.get(f"/_console/{path}", headers={"Host": "localhost"})
    assert (response.status_code, response.mimetype) == (200, kind)


@pytest.mark.parametrize(
    "path",
    ["front.py", "../front.py", "static/main.js", "kit/../../../README.md", "kit/index.d.ts"],
)
def test_no_other_file_is_served(client: Client, path: str) -> None:
    response = client.get(f"/_console/{path}", headers={"Host": "localhost"})
    assert response.status_code == 404


def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline() -> None:
    for file in Path(front.__file__).with_name("static").iterdir():
        text = file.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file
        assert "https://" not in text, file
        assert "innerHTML" not in text, file
        assert " style=" not in text, file


# ------------------------------------------------------------------------------------- what acts


def test_an_act_answers_the_phone_and_tells_the_feed(client: Client, feed: Feed) -> None:
    response = act(client, "login")
    code = response.json["code"] if response.json else ""
    assert (response.status_code, len(code)) == (200, 32)
    [(_, message)] = feed.after(0)
    assert (message.kind, message.name) == ("phone", "wx.login")
    assert message.got == {"code": f"{code[:4]}…(32)"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.test"},
        {"Origin": "http://127.0.0.1:3001"},
        {"Origin": "https://127.0.0.1:3000"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:3000.evil.test"},
    ],
)
def test_only_the_consoles_own_page_may_act(
    client: Client, feed: Feed, headers: dict[str, str]
) -> None:
    response = act(client, "make_wechat_busy", headers={"Host": "127.0.0.1:3000", **headers})
    assert response.status_code == 403
    assert feed.latest == 0


def test_a_form_of_another_page_may_not_act(client: Client, feed: Feed) -> None:
    response = act(client, "heal", json=None, data='{"phone":"p"}', content_type="text/plain")
    assert response.status_code == 403
    assert feed.latest == 0


@pytest.mark.parametrize("body", [{}, [], {"phone": 1}, {"phone": ""}, {"phone": "<b>"}])
def test_who_acts_has_to_be_named(client: Client, body: object) -> None:
    assert act(client, "login", json=body).status_code == 400


def test_an_unknown_act_is_none(client: Client) -> None:
    assert act(client, "format_disk").status_code == 404
    assert client.get("/_console/acts/login", headers={"Host": "localhost"}).status_code == 404


def test_a_long_body_is_refused(client: Client) -> None:
    assert act(client, "login", json={"phone": "p" * 5000}).status_code == 413


# --------------------------------------------------------------------------------- the event feed


def test_the_feed_is_server_sent_events_from_where_the_browser_was(
    client: Client, feed: Feed
) -> None:
    for name in ("refused", "tapped_twice", "healed"):
        feed.publish(Message("note", "phone", name))
    response = client.get(
        "/_console/events", headers={"Host": "localhost", "Last-Event-ID": "1"}, buffered=False
    )
    assert response.mimetype == "text/event-stream"
    stream = iter(response.response)
    parts = [text_of(next(stream)) for _ in range(3)]
    assert parts[0] == "retry: 1000\n\n"
    events = [part.split("\n") for part in parts[1:]]
    assert [event[0] for event in events] == ["id: 2", "id: 3"]
    documents = [json.loads(event[1].removeprefix("data: ")) for event in events]
    assert [document["name"] for document in documents] == ["tapped_twice", "healed"]
    feed.close()
    response.close()


def text_of(part: object) -> str:
    return part.decode() if isinstance(part, bytes) else str(part)


def test_a_new_browser_begins_with_what_comes_next(client: Client, feed: Feed) -> None:
    feed.publish(Message("note", "phone", "refused"))
    assert client.get("/_console/latest", headers={"Host": "localhost"}).json == {
        "latest": 1,
        "watchOnly": False,
    }
    response = client.get("/_console/events", headers={"Host": "localhost"}, buffered=False)
    stream = iter(response.response)
    next(stream)
    feed.publish(Message("note", "phone", "healed"))
    assert '"healed"' in str(next(stream))
    feed.close()
    response.close()
