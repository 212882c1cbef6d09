"""DynamoDB, Secrets Manager and WeChat in one process that answers at once, always the same.

It is for measuring alone: no contestant waits for anything here, and each call is counted.

Usage: python stub_services.py <JSON file of answers> [<certificate with its key, for TLS>]; prints
the port it listens on. An answer stands under ``<operation>:<table or secret>`` for AWS and under
its path for WeChat. ``GET /-/calls`` tells how often each was asked for since the last time.

Under ``secured`` stand the appid and AppSecret of an app with API security, and the id of the
AppSecrets that hold its keys, which are made here. Who signs a call gets the same answer, sealed.
"""

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from local.simulated_wechat import ApiSecurity

_HEAD_END: Final = b"\r\n\r\n"


class Answers:
    """What is answered, and how often each was asked for."""

    def __init__(self, answers: dict[str, Any]) -> None:
        """Take the answers by their names."""
        self._secured = answers.pop("secured")
        self._bodies = {name: json.dumps(body).encode() for name, body in answers.items()}
        self._calls: Counter[str] = Counter()
        # A signature takes longer than all other answers together: one serves for a minute.
        self._sealed = lru_cache(self._seal)

    @cached_property
    def _security(self) -> "ApiSecurity":
        """The keys, made when they are first asked for."""
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from local.simulated_wechat import ApiSecurity  # noqa: PLC0415
        from local.simulated_wechat.clock import Clock  # noqa: PLC0415

        return ApiSecurity(self._secured["appid"], Clock())

    def _app_secrets(self) -> bytes:
        key, private, certificate = (
            self._security.symmetric_key,
            self._security.private_key,
            self._security.certificate,
        )
        keys = {
            "symmetricKey": {"number": key.number, "key": key.content},
            "privateKey": {"number": private.number, "pem": private.content},
            "certificate": {"number": certificate.number, "pem": certificate.content},
        }
        entry = {"secret": self._secured["secret"], "apiSecurity": keys}
        return json.dumps({"SecretString": json.dumps({self._secured["appid"]: entry})}).encode()

    def _seal(self, url: str, path: str, minute: int) -> bytes:  # noqa: ARG002 - for the cache
        from local.simulated_wechat.api_security import Opened  # noqa: PLC0415
        from local.simulated_wechat.request import Request  # noqa: PLC0415

        request = Request("POST", path, {}, base_url=url)
        opened = Opened(request, self._security.symmetric_key)
        headers, body = self._security.seal(opened, json.loads(self._bodies[path]))
        return _http(body, more="".join(f"{name}: {text}\r\n" for name, text in headers.items()))

    def answer(self, head: bytes, body: bytes) -> bytes:
        """Answer one request."""
        method, target, _ = head.split(b" ", 2)
        path = target.decode().partition("?")[0]
        if path == "/-/calls":
            told = json.dumps(self._calls).encode()
            self._calls.clear()
            return _http(told)
        name = path
        if operation := _header(head, b"x-amz-target"):
            asked = json.loads(body)
            thing = asked.get("TableName") or asked.get("SecretId") or ""
            name = f"{operation.rpartition('.')[2]}:{thing}"
        self._calls[name if path != "/" or operation else f"{method.decode()} /"] += 1
        if name == f"GetSecretValue:{self._secured['id']}":
            return _http(self._app_secrets())
        if _header(head, b"wechatmp-signature"):
            url = f"http://{_header(head, b'host')}"
            return self._sealed(url, path, int(time.time() // 60))
        return _http(self._bodies.get(name, b"{}"), head=method == b"HEAD")


class Connection(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, answers: Answers) -> None:
        """Take the answers."""
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        self._received += data
        while (end := self._received.find(_HEAD_END)) >= 0:
            head = self._received[:end]
            whole = end + len(_HEAD_END) + int(_header(head, b"content-length") or 0)
            if len(self._received) < whole:
                return
            body = self._received[end + len(_HEAD_END) : whole]
            self._received = self._received[whole:]
            self._transport.write(self._answers.answer(head, body))


def _header(head: bytes, name: bytes) -> str:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name:
            return value.strip().decode()
    return ""


def _http(body: bytes, *, head: bool = False, more: str = "") -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
        % (more.encode(), len(body))
    ) + (b"" if head else body)


async def serve(answers: Answers, certificate: str | None = None) -> None:
    """Listen on a free port, print it, and answer until stopped."""
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answers), "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Answers(json.loads(Path(sys.argv[1]).read_text("utf-8"))), *sys.argv[2:]))
