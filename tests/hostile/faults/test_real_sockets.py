"""What the faults of AWS pretend to be is what the SDK makes of sockets that really break."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from local import embedded_aws
from tests.harness.deployment import Deployment
from tests.hostile.faults.faults import KINDS, Call, Kind, Outside
from wechat_auth.connections import Budget
from wechat_auth.storage import Aws, StorageError

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST instead of FIN
_ERRORS = {
    "throttled": (400, "ThrottlingException"),
    "5xx": (500, "InternalServerError"),
    "denied": (400, "AccessDeniedException"),
}
_REPEATED = {"reset", "reply lost", "too slow", "throttled", "5xx"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_socket_is_the_error_that_is_pretended(deployment: Deployment, kind: Kind) -> None:
    outside, ours = Outside(deployment), deployment.stack.environment.aws
    with outside.watched():
        outside.break_down(Call("GetItem", "AccessTokens"), kind, lasting=True)
        pretended = error_of(ours, deployment)
    with broken(kind) as (url, arrivals):
        real = error_of(
            Aws(embedded_aws.create_client(url), budget=Budget(0.4, 0.2, 0.2)), deployment
        )
    assert real == pretended
    assert len(arrivals) == (2 if kind in _REPEATED else 0 if kind == "refused" else 1)


def error_of(aws: Aws, deployment: Deployment) -> tuple[object, ...]:
    with pytest.raises(StorageError) as caught:
        aws.table(deployment.table("AccessTokens")).get({"appid": "wx"})
    error = caught.value
    return error.problem, error.remedy, error.reason, error.throttled


@contextmanager
def broken(kind: Kind) -> Iterator[tuple[str, list[bytes]]]:
    """Listen, and break down in this way; give the URL, and what arrived."""
    arrivals: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if kind == "refused":
            listening.close()
            yield url, arrivals
            return
        thread = threading.Thread(target=_serve, args=(listening, kind, arrivals))
        thread.start()
        yield url, arrivals
        listening.shutdown(socket.SHUT_RDWR)  # accept() ends
        thread.join()


def _serve(listening: socket.socket, kind: Kind, arrivals: list[bytes]) -> None:
    kept: list[socket.socket] = []
    with suppress(OSError):
        while True:
            connection, _ = listening.accept()
            kept.append(connection)
            arrivals.append(_request(connection))
            if kind in ("reset", "reply lost"):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                connection.close()
            elif kind != "too slow":
                connection.sendall(_reply(kind))
                connection.close()
    for connection in kept:
        connection.close()


def _request(connection: socket.socket) -> bytes:
    """Read a request; its body is all of it that is JSON."""
    content = b""
    while not content.endswith(b"}"):
        chunk = connection.recv(65_536)
        if not chunk:
            return b""
        content += chunk
    return content


def _reply(kind: Kind) -> bytes:
    status, body = 200, b"<html><body>Welcome to the hotel's network</body></html>"
    if kind in _ERRORS:
        status, code = _ERRORS[kind]
        body = json.dumps({"__type": f"com.amazonaws#{code}", "message": "on demand"}).encode()
    return b"HTTP/1.1 %d Said\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
