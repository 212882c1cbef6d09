"""A server of which it is known who connected to it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from urllib.parse import urlsplit


@contextmanager
def counted(url: str) -> Iterator[tuple[str, "SimpleQueue[socket.socket]"]]:
    """Pass connections on to a server; give the address for them, and those that were made."""
    there = urlsplit(url)

    def pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError), one, other:
            while data := one.recv(65_536):
                other.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                one, _ = here.accept()
                made.put(one)
                other = socket.create_connection((there.hostname, there.port))
                for ends in ((one, other), (other, one)):
                    Thread(target=pass_on, args=ends, daemon=True).start()

    made: SimpleQueue[socket.socket] = SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as here:
        Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{here.getsockname()[1]}", made
        while not made.empty():
            made.get().close()
