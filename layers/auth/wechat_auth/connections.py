"""Connections to WeChat and AWS, on which each request has one deadline, whatever is outside.

A socket's time-out counts anew for every address and every piece of an answer, and a name server
knows none. Here a request has seconds in all, of which resolving, connecting to all addresses of
the name, and TLS have a part, and nothing is sent unless enough is left for its answer: what works
once would be spent in vain. The HTTP itself is that of Python's standard library.

A connection is kept for the next request. If the other side closes it in the very moment of reuse,
before any byte of an answer, that request goes out once more on a fresh one; nothing else that may
have arrived is ever sent again.
"""

import errno
import http.client
import io
import queue
import selectors
import socket
import ssl
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from urllib.parse import urlsplit

_MAX_IDLE = 20.0
"""Seconds after which a kept connection is not trusted: Lambda may have slept through its end."""
_MAX_ANSWER = 4 * 1024 * 1024
_ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried beside the ones before (RFC 8305, section 5)."""

Clock = Callable[[], float]
Resolve = Callable[..., Sequence[tuple[Any, ...]]]


class TransportError(Exception):
    """No answer came.

    Args:
        reason: What happened, in a few words; never holds a URL.
        sent: Whether the request may have arrived.
        late: Whether the other side took too long.
    """

    def __init__(self, reason: str, *, sent: bool, late: bool = False) -> None:
        self.reason = reason
        self.sent = sent
        self.late = late
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Budget:
    """The seconds of a request.

    Attributes:
        total: For all of it.
        connect: Of these, at most for a new connection.
        answer: Of these, without which nothing is sent.
    """

    total: float
    connect: float
    answer: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        headers: As they came.
        content: The body.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Origin:
    secure: bool
    host: str
    port: int


class Connections:
    """Connections by where they go; TLS verified, no redirects, no proxies.

    Args:
        clock: Gives the time in seconds, never going back.
        resolve: Finds the addresses of a name, as `socket.getaddrinfo` does.
    """

    def __init__(
        self, *, clock: Clock = time.monotonic, resolve: Resolve = socket.getaddrinfo
    ) -> None:
        self._clock = clock
        self._resolve = resolve
        self._kept: dict[_Origin, list[_Connection]] = defaultdict(list)

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The authorities that are trusted; reading them takes long, so it is done once."""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    def connect(self, url: str, budget: Budget) -> None:
        """Connect ahead of a request; if that fails, the request will try again and say so."""
        origin, _ = _taken_apart(url)
        with suppress(TransportError):
            self._kept[origin].append(self._connect(origin, budget.connect))

    def request(
        self,
        method: str,
        url: str,
        *,
        budget: Budget,
        headers: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Make one request.

        Args:
            method: Like ``POST``.
            url: Where, query included.
            budget: The seconds it may take.
            headers: What else the request says.
            body: What it holds.

        Raises:
            TransportError: There was no whole answer in time.
        """
        ends = self._clock() + budget.total
        origin, target = _taken_apart(url)
        while True:
            kept = self._take(origin)
            spare = ends - self._clock() - budget.answer
            if spare <= 0:
                raise TransportError("no time left", sent=False)
            connection = kept or self._connect(origin, min(budget.connect, spare))
            try:
                answer = connection.exchange(method, target, body, headers or {}, ends)
            except TransportError:
                if kept and connection.ended_unanswered:
                    self._kept.pop(origin, None)  # the others are as old
                    continue
                raise
            if not connection.closed:
                self._kept[origin].append(connection)
            return answer

    def _take(self, origin: _Origin) -> "_Connection | None":
        while self._kept[origin]:
            connection = self._kept[origin].pop()
            if self._clock() - connection.used_at <= _MAX_IDLE:
                return connection
            connection.close()
        return None

    def _connect(self, origin: _Origin, seconds: float) -> "_Connection":
        ends = self._clock() + seconds
        found = self._addresses(origin, seconds)
        connected: socket.socket | None = None
        try:
            connected = _first_to_connect(found, ends, self._clock)
            connected.settimeout(max(ends - self._clock(), 0.001))
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if origin.secure:
                connected = self.tls.wrap_socket(connected, server_hostname=origin.host)
        except OSError as error:
            if connected:
                connected.close()
            late = isinstance(error, TimeoutError)
            raise TransportError(_why_unconnected(error), sent=False, late=late) from None
        return _Connection(self._http(origin), connected, self._clock)

    def _http(self, origin: _Origin) -> http.client.HTTPConnection:
        if origin.secure:
            return http.client.HTTPSConnection(origin.host, origin.port, context=self.tls)
        return http.client.HTTPConnection(origin.host, origin.port)

    def _addresses(self, origin: _Origin, seconds: float) -> Sequence[tuple[Any, ...]]:
        """Resolve a name in a thread of its own, since nothing else bounds that."""
        answers: queue.SimpleQueue[Sequence[tuple[Any, ...]] | OSError] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(origin.host, origin.port, type=socket.SOCK_STREAM))
            except OSError as error:
                answers.put(error)

        threading.Thread(target=ask, name="resolve", daemon=True).start()
        try:
            found = answers.get(timeout=seconds)
        except queue.Empty:
            raise TransportError("the name server is silent", sent=False, late=True) from None
        if isinstance(found, OSError):
            raise TransportError("the name has no address", sent=False)
        return found


class _Connection:
    """A connection, with the deadline of the request that is on it.

    Attributes:
        used_at: When it last answered.
        closed: Whether no other request can go out on it.
        ended_unanswered: Whether the other side ended it before any byte of an answer.
    """

    def __init__(
        self, http_: http.client.HTTPConnection, connected: socket.socket, clock: Clock
    ) -> None:
        self._socket = connected
        self._wire = _Wire(connected, clock)
        self._http = http_
        self._http.sock = cast(socket.socket, self._wire)
        self._http.auto_open = 0  # it never connects by itself
        weakref.finalize(self, connected.close)
        self._clock = clock
        self.used_at = clock()
        self.closed = self.ended_unanswered = False

    def exchange(
        self,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, Any],
        ends: float,
    ) -> Answer:
        """Send a request and read its answer; after a failure the connection is closed."""
        self._wire.begin(ends)
        try:
            with suppress(BrokenPipeError):  # there may be an answer all the same
                self._http.request(method, target, body, headers)
            response = self._http.getresponse()
            content = response.read(_MAX_ANSWER + 1)
            if response.length or len(content) > _MAX_ANSWER:
                raise http.client.IncompleteRead(content)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            late = isinstance(error, TimeoutError)
            self.ended_unanswered = not (late or self._wire.received)
            reason = "no answer in time" if late else "the connection ended without a whole answer"
            raise TransportError(reason, sent=True, late=late) from None
        self.used_at = self._clock()
        if response.will_close:
            self.close()
        return Answer(response.status, dict(response.headers.items()), content)

    def close(self) -> None:
        self.closed = True
        self._socket.close()


class _Wire:
    """What `http.client` takes for a socket: each wait on it ends with the request's deadline."""

    def __init__(self, connected: socket.socket, clock: Clock) -> None:
        self._socket = connected
        self._clock = clock
        self._ends = 0.0
        self.received = False

    def begin(self, ends: float) -> None:
        self._ends, self.received = ends, False

    def sendall(self, content: bytes) -> None:
        self._wait_no_longer()
        self._socket.sendall(content)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self.read_into))

    def read_into(self, buffer: Any) -> int:
        self._wait_no_longer()
        count = self._socket.recv_into(buffer)
        self.received = self.received or count > 0
        return count

    def close(self) -> None:
        """Leave the socket open: `http.client` is done with it before the answer has been read."""

    def _wait_no_longer(self) -> None:
        left = self._ends - self._clock()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


class _Incoming(io.RawIOBase):
    """The bytes of an answer; closing it leaves the connection open."""

    def __init__(self, read_into: Callable[[Any], int]) -> None:
        self._read_into = read_into

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._read_into(buffer)


def _taken_apart(url: str) -> tuple[_Origin, str]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    origin = _Origin(secure, parts.hostname or "", parts.port or (443 if secure else 80))
    return origin, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _first_to_connect(
    addresses: Sequence[tuple[Any, ...]], ends: float, clock: Clock
) -> socket.socket:
    """Try the addresses beside each other, each a moment after the one before (RFC 8305)."""
    delay = min(_ATTEMPT_DELAY, (ends - clock()) / (2 * len(addresses)))
    error: OSError = TimeoutError()
    with selectors.DefaultSelector() as selector:
        try:
            for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
                try:
                    begun = _begun(socket.socket(family, kind, protocol), address)
                    selector.register(begun, selectors.EVENT_WRITE)
                    until = min(ends, clock() + delay)
                except OSError as refused:  # a family that this machine does not have, too
                    error, until = refused, clock()
                if number == len(addresses):
                    until = ends  # whatever becomes of the last one, the others have this long
                while selector.get_map() and (left := until - clock()) > 0:
                    for key, _ in selector.select(left):
                        selector.unregister(key.fileobj)
                        done = cast(socket.socket, key.fileobj)
                        if not (code := done.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                            return done
                        done.close()
                        error = OSError(code, "")
        finally:
            waiting = [cast(socket.socket, key.fileobj) for key in selector.get_map().values()]
            for attempt in waiting:
                attempt.close()
        raise TimeoutError if waiting else error


def _begun(attempt: socket.socket, address: Any) -> socket.socket:
    attempt.settimeout(0)
    if (code := attempt.connect_ex(address)) not in (0, errno.EINPROGRESS):
        attempt.close()
        raise OSError(code, "")
    return attempt


def _why_unconnected(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    return "TLS failed" if isinstance(error, ssl.SSLError) else "no connection"
