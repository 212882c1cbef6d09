"""Message push (消息推送) of an app in safe mode: sealed, and delivered to its server.

Written from WeChat's guide alone, with another library than the backend's, so that a mistake in
the one is not mirrored in the other. Source: "消息推送",
developers.weixin.qq.com/miniprogram/dev/framework/server-ability/message-push.html.
"""

import base64
import hashlib
import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from .clock import Clock

_SECONDS: Final = 5
_LETTERS: Final = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server answered: WeChat is content with 200 and ``success``, to the letter."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """A request as WeChat sends it; the same one may be sent again.

    Attributes:
        query: The URL's query.
        body: What is posted; without it, the request is a GET.
    """

    query: Mapping[str, str]
    body: bytes | None = field(default=None, repr=False)

    def send(self, url: str) -> Answered:
        """Send it to an address, and return what that answers."""
        headers = {"Content-Type": "application/json" if self.body else "text/plain"}
        if self.body and self.body.startswith(b"<"):
            headers = {"Content-Type": "text/xml"}
        request = Request(f"{url}?{urlencode(self.query)}", self.body, headers)  # noqa: S310
        try:
            with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310  # nosec B310
                return Answered(answer.status, answer.read().decode())
        except HTTPError as error:
            return Answered(error.code, error.read().decode())


class MessagePush:
    """The page 消息推送 of an app's console.

    Args:
        appid: The app.
        clock: WeChat's.

    Attributes:
        token: The Token.
        encoding_aes_key: The EncodingAESKey.
        xml: Whether the format is XML; else it is JSON.
        url: Where messages go; empty until an address is saved.
    """

    def __init__(self, appid: str, clock: Clock) -> None:
        self._appid = appid
        self._clock = clock
        self.token = _random(16)
        self.encoding_aes_key = _random(43)
        self.xml = False
        self.url = ""

    def replace_key(self) -> None:
        """Generate another EncodingAESKey."""
        self.encoding_aes_key = _random(43)

    def verification(self) -> Pushed:
        """Return what is asked when an address is saved; it must answer the echostr."""
        query = self._query()
        return Pushed(query | {"echostr": str(secrets.randbelow(10**19))})

    def event(
        self,
        event: str,
        openid: str | None,
        *,
        age: float = 0,
        revoke_info: str | None = None,
        appid: str | None = None,
    ) -> Pushed:
        """Return the push of an event about a user.

        Args:
            event: Such as ``user_authorization_revoke``.
            openid: The user.
            age: How many seconds ago it happened.
            revoke_info: What was withdrawn: ``8`` is the phone number.
            appid: The user's mini-program, if a platform gets its messages.
        """
        about = {"OpenID": openid, "AppID": appid or self._appid, "RevokeInfo": revoke_info}
        return self.seal(
            {
                "ToUserName": "gh_0123456789ab",
                "FromUserName": "oPushService",
                "CreateTime": int(self._clock.now() - age),
                "MsgType": "event",
                "Event": event,
                # WeChat's own samples have this blank.
                **{f" {name}": value for name, value in about.items() if value is not None},
            }
        )

    def seal(self, message: Mapping[str, str | int]) -> Pushed:
        """Return the push of a message, in the format that was chosen."""
        fields = {name.strip(): str(value) for name, value in message.items()}
        text = _xml(fields) if self.xml else json.dumps(message)
        encrypted = self._encrypt(text.encode())
        envelope = {"ToUserName": "gh_0123456789ab", "Encrypt": encrypted}
        body = _xml(envelope) if self.xml else json.dumps(envelope)
        query = self._query(encrypted) | {"encrypt_type": "aes", "openid": "oPushService"}
        return Pushed(query, body.encode())

    def plain(self, message: Mapping[str, str | int]) -> Pushed:
        """Return the push of a message in plain mode (明文模式)."""
        return Pushed(self._query(), json.dumps(message).encode())

    def _query(self, encrypted: str | None = None) -> dict[str, str]:
        timestamp, nonce = str(int(self._clock.now())), str(secrets.randbelow(10**10))
        query = {"timestamp": timestamp, "nonce": nonce}
        query["signature"] = _sign(self.token, timestamp, nonce)
        if encrypted is not None:
            query["msg_signature"] = _sign(self.token, timestamp, nonce, encrypted)
        return query

    def _encrypt(self, message: bytes) -> str:
        key = base64.b64decode(self.encoding_aes_key + "=")
        length = len(message).to_bytes(4, "big")
        full = secrets.token_bytes(16) + length + message + self._appid.encode()
        missing = 32 - len(full) % 32
        encryptor = Cipher(algorithms.AES256(key), modes.CBC(key[:16])).encryptor()
        sealed = encryptor.update(full + bytes([missing]) * missing) + encryptor.finalize()
        return base64.b64encode(sealed).decode()


def _sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _xml(fields: Mapping[str, str]) -> str:
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    return f"<xml>{inner}</xml>"
