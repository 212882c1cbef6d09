"""The simulation on a socket: HTTP/1.1 with keep-alive, and connections that really break.

The standard library's server rather than werkzeug's, which ends every connection after one answer
and waits 10 ms for stray input each time: WeChat keeps connections open, and what a client does
with a kept connection that is reset is a thing to test.
"""

import json
import socket
import ssl
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Final, Self

from . import control
from .answer import Answer
from .request import Request
from .simulation import SimulatedWeChat

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST instead of FIN
_LIMIT: Final = 1 << 20
_POLL: Final = 0.01  # seconds that closing takes


def serve(
    wechat: SimulatedWeChat,
    port: int = 0,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> "Server":
    """Start to answer HTTP; a context manager that ends it. Port 0 takes a free one.

    Args:
        wechat: Answers.
        port: Where it listens.
        host: The address it listens on.
        tls: With a certificate, for https.

    Raises:
        OSError: The port is taken.
    """
    return Server(wechat, host, port, tls)


class Server:
    """The simulation listening on one port, until `close` or the end of the with block.

    Raises:
        OSError: The port is taken.

    Attributes:
        port: The port.
        url: Base URL, such as http://127.0.0.1:3001.
    """

    def __init__(
        self, wechat: SimulatedWeChat, host: str, port: int, tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen and start to answer.

        Raises:
            OSError: If the port is taken.
        """
        self._http = _HTTPServer((host, port), wechat)
        self.port: int = self._http.server_address[1]
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(_POLL,), name="simulated-wechat", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, end all connections and wait for their threads."""
        self._http.closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._http.end_connections()

    def __enter__(self) -> Self:
        """Return the server, which is listening already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class _HTTPServer(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, address: tuple[str, int], wechat: SimulatedWeChat) -> None:
        self.wechat = wechat
        self.closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer would look up the host's name, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._changed:
            self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._connections.discard(request)
            self._changed.notify_all()

    def end_connections(self) -> None:
        """End every connection and wait until its thread is done with it."""
        with self._changed:
            for connection in self._connections:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the client was faster
            self._changed.wait_for(lambda: not self._connections, timeout=5)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of every error but a client that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _HTTPServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment: two would wait for the client's delayed ACK
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > _LIMIT or "Transfer-Encoding" in self.headers:
            self.send_error(411)
            return
        body = self.rfile.read(int(length))
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        headers = dict(self.headers.items())
        ip = self.client_address[0]
        request = Request.parse(self.command, self.path, body, ip, headers, scheme)
        if control.owns(request.path):
            status, document = control.respond(self.server.wechat, request)
            self._send(Answer(json.dumps(document).encode(), status, "application/json"))
            return
        answer = self.server.wechat.answer(request)
        if answer.delay:
            self.server.closing.wait(answer.delay)
        if answer.drop:
            self._drop()
        else:
            self._send(answer)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the base class's names

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body) + answer.missing))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        if answer.missing:
            self.close_connection = True

    def _drop(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close_connection = True
        # Its last reference goes with the files that `finish` closes; the FIN that the server
        # would otherwise send first then finds no socket.
        self.connection.close()

    def version_string(self) -> str:
        return "SimulatedWeChat"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Stay silent; `on_call` tells those who want to see."""
