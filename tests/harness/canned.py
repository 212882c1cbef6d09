"""A server with one reply, also such as no server of ours would give."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def canned(reply: bytes, *, trickle: float = 0) -> Iterator[str]:
    """Serve one reply to whoever asks; its body byte by byte, ``trickle`` seconds apart, if so."""
    closing = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                head, _, body = reply.partition(b"\r\n\r\n")
                pieces = [head + b"\r\n\r\n"]
                pieces += [body[i : i + 1] for i in range(len(body))] if trickle else [body]
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                        if closing.wait(trickle):
                            return
                except ConnectionError:
                    return  # the client had enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        closing.set()
        thread.join()


def http(body: bytes) -> bytes:
    """Make a whole reply of a body."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
