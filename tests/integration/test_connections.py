"""Deadlines on sockets that really are slow, silent or closing.

The budgets are a tenth of the real ones, so that nobody waits; what they hold against is the same.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from trustme import CA

from local import embedded_aws
from tests.harness.figures import Say
from tests.harness.settings import REQUIRED
from wechat_auth import invocation
from wechat_auth.backend import Backend, prepare
from wechat_auth.connections import Answer, Budget, Connections, TransportError
from wechat_auth.errors import AuthError, WeChatUnavailableError
from wechat_auth.settings import Settings
from wechat_auth.storage import TRY, Aws, StorageError
from wechat_auth.wechat import CALL, SILENCE, SILENT_CALLS, PhoneNumber, WeChat

OVERRUN = 0.3
"""Seconds by which a request may outlast its budget."""
QUICK = Budget(total=0.5, connect=0.2, answer=0.25)
PORT = 18099  # the same on each of the loopback's addresses that drop SYN

Script = Sequence[tuple[bytes, float]]
"""What a server says, and the seconds it waits after each piece."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PHONE = (
    b'{"errcode":0,"phone_info":{"phoneNumber":"13800138000","purePhoneNumber":"13800138000",'
    b'"countryCode":"86"}}'
)
SLOW: dict[str, Script] = {
    "says nothing": [(b"", 30)],
    "drips headers": [(b"HTTP/1.1 200 OK\r\n", 0.3), *[(b"A: b\r\n", 0.3)] * 20],
    "drips a body": [(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 0.4), *[(b"{", 0.4)] * 20],
    "drips a body without an end": [(b"HTTP/1.1 200 OK\r\n\r\n", 0), *[(b" ", 0.1)] * 90],
}


@contextmanager
def serving(script: Script, host: str = "127.0.0.1", port: int = 0) -> Iterator["Server"]:
    """Answer each request by a script."""
    ended = threading.Event()
    with socket.create_server((host, port)) as listening, ThreadPoolExecutor(40) as pool:
        server = Server(listening.getsockname()[1])

        def talk(one: socket.socket) -> None:
            with one, suppress(OSError):
                while content := one.recv(65_536):
                    server.received.append(content)
                    for piece, pause in script:
                        one.sendall(piece)
                        if ended.wait(pause):
                            return

        def accept() -> None:
            with suppress(OSError):
                while True:
                    one, _ = listening.accept()
                    server.connections.append(one)
                    pool.submit(talk, one)

        pool.submit(accept)
        try:
            yield server
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            for one in server.connections:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


class Server:
    """Whom a server met, and what they sent."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.connections: list[socket.socket] = []
        self.received: list[bytes] = []


@contextmanager
def dropping_syn(count: int) -> Iterator[list[str]]:
    """Give so many addresses that answer no SYN: their queues are full."""
    with ExitStack() as stack:
        addresses = [f"127.0.0.{11 + number}" for number in range(count)]
        for address in addresses:
            full = stack.enter_context(socket.socket())
            full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            full.bind((address, PORT))
            full.listen(0)
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)  # noqa: FBT003 - the standard library's
                waiting.connect_ex((address, PORT))
        time.sleep(0.05)  # until the kernel has seen them
        yield addresses


def resolving(addresses: Sequence[str]) -> Callable[..., Any]:
    """Return a name server that knows these addresses of every name."""
    return lambda _, port, **__: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses
    ]


Timed = Callable[[Callable[[], object]], tuple[float, TransportError]]


@pytest.fixture
def timed(request: pytest.FixtureRequest, say: Say) -> Timed:
    """Wait for the error that a request ends with, and put the seconds among the figures."""

    def measure(ask: Callable[[], object]) -> tuple[float, TransportError]:
        began = time.monotonic()
        with pytest.raises(TransportError) as caught:
            ask()
        took = time.monotonic() - began
        name = request.node.name.removeprefix("test_").replace("_", " ")
        say(f"{name}: {took:.2f} s of {QUICK.total} (to connect: {QUICK.connect})")
        return took, caught.value

    return measure


@pytest.mark.parametrize("script", SLOW)
def test_a_request_ends_with_its_budget_however_slow_the_answer(script: str, timed: Timed) -> None:
    with serving(SLOW[script]) as server:
        took, error = timed(lambda: Connections().request("GET", server.url, budget=QUICK))
        assert len(server.received) == 1

    assert QUICK.total - 0.05 <= took <= QUICK.total + OVERRUN
    assert (error.reason, error.sent, error.late) == ("no answer in time", True, True)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_addresses_that_drop_syn_share_one_budget(count: int, timed: Timed) -> None:
    with dropping_syn(count) as dead:
        connections = Connections(resolve=resolving(dead))
        url = f"http://api.test:{PORT}"
        took, error = timed(lambda: connections.request("GET", url, budget=QUICK))

    assert took <= QUICK.connect + OVERRUN
    assert (error.reason, error.sent, error.late) == ("no connection in time", False, True)


@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_a_live_address_behind_dead_ones_gives_the_number(count: int, say: Say) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PHONE), PHONE)
    with dropping_syn(count) as dead, serving([(reply, 0)], "127.0.0.50", PORT) as server:
        connections = Connections(resolve=resolving([*dead, "127.0.0.50"]))
        began = time.monotonic()
        number = WeChat([f"http://api.test:{PORT}"], connections).phone_number("token", "code")
        took = time.monotonic() - began

    say(f"a live address behind {count} dead ones: the number after {took:.2f} s of {CALL.total}")
    assert number == PhoneNumber("13800138000", "13800138000", "86")
    assert took <= CALL.connect
    assert b"".join(server.received).count(b"getuserphonenumber") == 1


def test_an_address_that_refuses_or_cannot_be_reached_costs_no_time() -> None:
    with serving([(OK, 0)], "127.0.0.50", PORT) as server:
        connections = Connections(resolve=resolving(["127.0.0.9", "255.255.255.255", "127.0.0.50"]))
        answer = connections.request("GET", f"http://api.test:{PORT}", budget=QUICK)

    assert (answer.status, answer.content) == (200, b"{}")
    assert len(server.received) == 1


@pytest.mark.parametrize("first", [True, False])
def test_an_address_of_a_family_that_this_machine_does_not_have_is_passed_over(first: bool) -> None:
    """A name server names IPv6 addresses to machines that have no IPv6, too."""
    unknown = (99, socket.SOCK_STREAM, 0, "", ("::1", PORT, 0, 0))
    with serving([(OK, 0)], "127.0.0.50", PORT) as server, dropping_syn(1) as dead:
        known = resolving(["127.0.0.50"] if first else [*dead, "127.0.0.50"])("api.test", PORT)
        addresses = [unknown, *known] if first else [*known, unknown]
        connections = Connections(resolve=lambda *_, **__: addresses)
        answer = connections.request("GET", f"http://api.test:{PORT}", budget=QUICK)

    assert (answer.status, len(server.received)) == (200, 1)


def test_a_last_address_that_cannot_be_reached_does_not_end_the_wait_for_the_others(
    timed: Timed,
) -> None:
    """As an IPv6 address is that, where there is no IPv6."""
    with dropping_syn(1) as dead:
        connections = Connections(resolve=resolving([*dead, "255.255.255.255"]))
        url = f"http://api.test:{PORT}"
        took, error = timed(lambda: connections.request("GET", url, budget=QUICK))

    assert QUICK.connect - 0.05 <= took <= QUICK.connect + OVERRUN
    assert error.reason == "no connection in time"


def test_a_name_server_that_never_answers_ends_with_the_time_to_connect(timed: Timed) -> None:
    over = threading.Event()
    connections = Connections(resolve=lambda *_, **__: [()] * over.wait(30))
    took, error = timed(lambda: connections.request("GET", "http://api.test", budget=QUICK))
    over.set()

    assert took <= QUICK.connect + OVERRUN
    assert (error.reason, error.sent, error.late) == ("the name server is silent", False, True)


def test_a_peer_that_never_agrees_on_tls_ends_with_the_time_to_connect(timed: Timed) -> None:
    with serving([(b"", 30)]) as server:
        url = server.url.replace("http", "https")
        connections = Connections()
        assert connections.tls  # to read the authorities takes long, and is no call
        took, error = timed(lambda: connections.request("GET", url, budget=QUICK))

    assert took <= QUICK.connect + OVERRUN
    assert (error.reason, error.sent, error.late) == ("no connection in time", False, True)


def test_a_peer_that_speaks_no_tls_is_told_nothing(timed: Timed) -> None:
    with serving([(OK, 0)]) as server:
        url = server.url.replace("http", "https")
        connections = Connections()
        assert connections.tls  # to read the authorities takes long, and is no call
        _, error = timed(lambda: connections.request("GET", url, budget=QUICK))

    assert (error.reason, error.sent) == ("TLS failed", False)
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


def test_nothing_is_sent_if_too_little_time_is_left_for_its_answer(timed: Timed) -> None:
    with serving([(OK, 0)]) as server:
        budget = Budget(total=0.2, connect=0.2, answer=0.25)
        took, error = timed(lambda: Connections().request("GET", server.url, budget=budget))

    assert server.connections == []
    assert took < OVERRUN
    assert (error.reason, error.sent, error.late) == ("no time left", False, False)


def test_a_connection_that_took_long_leaves_the_answer_its_time() -> None:
    """With dead addresses tried until the last moment, WeChat still has what it needs."""
    with dropping_syn(6) as dead, serving([(b"", 0.2), (OK, 0)], "127.0.0.50", PORT):
        connections = Connections(resolve=resolving([*dead, "127.0.0.50"]))
        url = f"http://api.test:{PORT}"
        assert connections.request("GET", url, budget=QUICK).status == 200


# ---------------------------------------------------------------------- kept connections


def test_a_kept_connection_is_used_again_and_one_that_says_close_is_not() -> None:
    with (
        serving([(OK, 0)]) as kept,
        serving([(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1), 0)]) as closed,
    ):
        connections = Connections()
        for url in (kept.url, closed.url) * 2:
            assert connections.request("GET", url, budget=QUICK).status == 200

    assert (len(kept.connections), len(closed.connections)) == (1, 2)


@pytest.mark.parametrize("gap", [0.0, 0.005])
@pytest.mark.parametrize("end", ["plain", "over TLS", "over TLS, said so"])
def test_a_connection_closed_in_the_moment_of_reuse_costs_nothing(
    gap: float, end: str, trusted: CA
) -> None:
    """The other side closes a moment after each answer, just when the next request goes out."""
    with closing_after(gap, end, trusted) as url:
        connections = Connections()
        answers = [ask_after(connections, url, max(0.0, gap - 0.0001)) for _ in range(100)]

    assert [answer.status for answer in answers] == [200] * 100


def ask_after(connections: Connections, url: str, pause: float) -> Answer:
    time.sleep(pause)
    return connections.request("POST", url, budget=Budget(5, 1, 2), body=b"{}")


@contextmanager
def closing_after(seconds: float, end: str, trusted: CA) -> Iterator[str]:
    """Answer one request a connection without saying that it ends with that, then end it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.issue_cert("127.0.0.1").configure_cert(context)

    def talk(one: socket.socket) -> None:
        with suppress(OSError), one, over(one) as peer:
            while (content := peer.recv(65_536)) and not content.endswith(b"{}"):
                continue  # the body comes by itself
            peer.sendall(OK)
            time.sleep(seconds)
            if end == "over TLS, said so" and isinstance(peer, ssl.SSLSocket):
                peer.settimeout(0.01)  # nobody needs to answer it
                peer.unwrap()

    def over(one: socket.socket) -> socket.socket:
        return one if end == "plain" else context.wrap_socket(one, server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(8) as pool:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    pool.submit(talk, listening.accept()[0])

        pool.submit(accept)
        try:
            scheme = "http" if end == "plain" else "https"
            yield f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def test_a_fresh_connection_that_ends_without_an_answer_is_not_tried_again(timed: Timed) -> None:
    with serving([(b"", 0)]) as server:

        def ask() -> None:
            threading.Timer(0.05, lambda: server.connections[0].shutdown(socket.SHUT_RDWR)).start()
            Connections().request("POST", server.url, budget=QUICK, body=b"code")

        _, error = timed(ask)

    assert b"".join(server.received).count(b"code") == 1
    assert error.reason == "the connection ended without a whole answer"
    assert (error.sent, error.late) == (True, False)


# ---------------------------------------------------------------------- the calls above


ASKED_OF_AWS: dict[str, Callable[[Aws], object]] = {
    "GetSecretValue": lambda aws: aws.secret_text("KeyRing"),
    "GetItem": lambda aws: aws.table("Sessions").get({"id": "x"}),
}


@pytest.mark.parametrize("script", SLOW)
@pytest.mark.parametrize("operation", ASKED_OF_AWS)
def test_aws_is_given_up_within_its_budget_too(operation: str, script: str, say: Say) -> None:
    """In two tries and the pause between them, of a second at most."""
    with serving(SLOW[script]) as server:
        aws = Aws(embedded_aws.create_client(server.url), budget=QUICK)
        assert aws.dynamodb  # to make the clients takes long, and is no call
        assert aws.secrets_manager
        began = time.monotonic()
        with pytest.raises(StorageError) as caught:
            ASKED_OF_AWS[operation](aws)
        took = time.monotonic() - began

    say(f"{operation} of one that {script}: {took:.2f} s of {2 * QUICK.total + 1} (two tries)")
    assert caught.value.reason == "ReadTimeoutError"
    assert took <= 2 * (QUICK.total + OVERRUN) + 1


def test_init_ends_in_time_whatever_is_outside(monkeypatch: pytest.MonkeyPatch, say: Say) -> None:
    """With the real budgets: a name server and a Secrets Manager that say nothing."""
    monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
    with serving([(b"", 30)]) as server:
        settings = Settings.from_env({**REQUIRED, "WECHAT_BASE_URLS": server.url})
        backend = Backend(settings, aws=Aws(embedded_aws.create_client(server.url)))
        began = time.monotonic()
        prepare(
            calls_wechat=True,
            reads=lambda b: b.secrets.app_secret(b.settings.appids[0]),
            make_backend=lambda: backend,
        )
        took = time.monotonic() - began

    say(f"init, name server and Secrets Manager silent: {took:.2f} s of 8")
    assert TRY.total <= took < 8


def test_a_wechat_that_is_silent_is_asked_no_more_for_a_while() -> None:
    now = 0.0
    with serving([(b"", 30)]) as server:
        wechat = WeChat([server.url], budget=QUICK, clock=lambda: now)
        reasons = [reason_of(wechat) for _ in range(SILENT_CALLS + 2)]
        assert reasons == ["no answer in time"] * SILENT_CALLS + ["silent a moment ago"] * 2
        now = SILENCE
        assert reason_of(wechat) == "no answer in time"
        assert reason_of(wechat) == "silent a moment ago"


def test_a_wechat_that_answers_in_between_is_asked_on() -> None:
    now = 0.0
    with serving([(b"", 30)]) as silent, serving([(OK, 0)]) as alive:
        connections = Turning(Connections(), silent.url)
        wechat = WeChat([silent.url], connections, budget=QUICK, clock=lambda: now)
        for _ in range(3):
            assert [reason_of(wechat) for _ in range(SILENT_CALLS - 1)] == ["no answer in time"] * 2
            connections.url = alive.url
            assert reason_of(wechat) == "a reply without openid"
            connections.url = silent.url


class Turning(Connections):
    """Connections that lead elsewhere."""

    def __init__(self, connections: Connections, url: str) -> None:
        super().__init__()
        self.url = url
        self._connections = connections

    def request(self, method: str, url: str, **more: Any) -> Answer:
        path = url.split("/", 3)[3]
        return self._connections.request(method, f"{self.url}/{path}", **more)


def reason_of(wechat: WeChat) -> str | None:
    with pytest.raises(WeChatUnavailableError) as caught:
        wechat.code2session("wx", "secret", "code")
    return caught.value.reason


class Hurried:
    """An invocation with so many seconds to live."""

    aws_request_id = "id"

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return round((self._ends - time.monotonic()) * 1000)


def test_a_login_code_is_not_sent_if_its_session_could_not_be_stored_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1.5 s to connect, 2.5 for WeChat, 3.5 for the write, 0.7 for the answer."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "WeChatAuth")
    with serving([(OK, 0)]) as server, invocation.serving(Hurried(6.6)):
        wechat = WeChat([server.url])
        with pytest.raises(AuthError) as caught:
            wechat.code2session("wx", "secret", "code", reserve=Aws().try_seconds)

    assert caught.value.reason == "no time left"
    assert server.received == []
