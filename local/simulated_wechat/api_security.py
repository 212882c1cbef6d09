"""API security (API 安全): what the console keeps of it, and calls that are sealed.

Written from WeChat's guide alone, with another library than the backend's, so that a mistake in
the one is not mirrored in the other. Source: "服务端 API 签名加密指南",
developers.weixin.qq.com/miniprogram/dev/server/getting_started/api_signature.html.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .clock import Clock
from .errors import WeChatError
from .open_data import to_json
from .request import Request

SECURED: Final = frozenset({"getPhoneNumber", "checkEncryptedData"})
"""The calls that take part, of those that are simulated."""
ERRCODES: Final = frozenset(range(40230, 40241))
"""With these WeChat refuses a call before it looks into it."""
_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
_SHA256: Final = hashes.SHA256()
_CERTIFICATE_LIFE: Final = timedelta(days=5 * 365)
_MAX_AGE: Final = 300


@dataclass(frozen=True, slots=True)
class Download:
    """What the console lets the owner download.

    Attributes:
        number: How the console numbers it; of the certificate, not its serial number.
        content: Base64 of the symmetric key; else a PEM file.
    """

    number: str
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed call, opened.

    Attributes:
        request: The same request, as if it had come in plain text.
        symmetric: What it was encrypted with, and its answer will be.
    """

    request: Request
    symmetric: Download


class ApiSecurity:
    """API security of one app, as its console has it; all keys are there from the start.

    Args:
        appid: The app.
        clock: WeChat's.

    Attributes:
        on: The switch 开启 API 加密. While it is off, calls and answers are plain.
        symmetric_key: The download of the symmetric key.
        private_key: The download of the private key, PKCS#1.
        certificate: The download of the platform certificate.
    """

    def __init__(self, appid: str, clock: Clock) -> None:
        self._appid = appid
        self._clock = clock
        self._certificates: list[tuple[str, rsa.RSAPrivateKey]] = []
        self.on = True
        self.replace_symmetric_key()
        self.replace_key_pair()
        self.replace_certificate()

    def replace_symmetric_key(self) -> None:
        """Generate another symmetric key; the one before ends at once."""
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        self.symmetric_key = Download(secrets.token_hex(16), key)

    def replace_key_pair(self) -> None:
        """Generate another key pair; the one before ends at once."""
        pair = _new_key()
        self._public = pair.public_key()
        pem = pair.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        self.private_key = Download(secrets.token_hex(16), pem.decode())

    def replace_certificate(self) -> None:
        """Issue another platform certificate; answers are signed for the one before, too."""
        number, key = secrets.token_hex(16), _new_key()
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Simulated WeChat")])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + _CERTIFICATE_LIFE)
            .sign(key, _SHA256)
        )
        self._certificates = [(number, key), *self._certificates][:2]
        self.certificate = Download(number, certificate.public_bytes(Encoding.PEM).decode())

    def retire_old_certificate(self) -> None:
        """End the change of the certificate: answers are signed for the new one alone."""
        del self._certificates[1:]

    def open(self, request: Request) -> Opened | None:
        """Open a call; None if it is plain and may be.

        Raises:
            WeChatError: 40230 to 40240.
        """
        headers = {name: request.headers.get(f"wechatmp-{name}") for name in _HEADERS}
        if not self.on and not any(headers.values()):
            return None
        for name, errcode in _HEADERS.items():
            if not headers[name]:
                raise WeChatError(errcode)
        appid, timestamp = str(headers["appid"]), str(headers["timestamp"])
        if appid != self._appid:
            raise WeChatError(40237)
        if not timestamp.isdecimal() or abs(self._clock.now() - int(timestamp)) > _MAX_AGE:
            raise WeChatError(40240)
        signed = f"{request.url}\n{appid}\n{timestamp}\n".encode() + request.body
        try:
            signature = base64.b64decode(str(headers["signature"]), validate=True)
            self._public.verify(signature, signed, _PSS, _SHA256)
        except (InvalidSignature, ValueError):
            raise WeChatError(40234) from None
        content = self._decrypt(request, appid, timestamp)
        if content.pop("_appid", None) != appid:
            raise WeChatError(40236)
        if content.pop("_timestamp", None) != int(timestamp) or not content.pop("_n", None):
            raise WeChatError(40235)
        return Opened(replace(request, body=to_json(content).encode()), self.symmetric_key)

    def seal(self, opened: Opened, reply: Mapping[str, object]) -> tuple[dict[str, str], bytes]:
        """Return headers and body of an answer: encrypted and signed, if the switch is on."""
        if not self.on:
            return {}, to_json(reply).encode()
        now = int(self._clock.now())
        nonce = base64.b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        plain = {"_n": nonce, "_appid": self._appid, "_timestamp": now, **reply}
        iv = secrets.token_bytes(12)
        url, key = opened.request.url, opened.symmetric
        aad = f"{url}|{self._appid}|{now}|{key.number}".encode()
        sealed = AESGCM(base64.b64decode(key.content)).encrypt(iv, to_json(plain).encode(), aad)
        parts = {"iv": iv, "data": sealed[:-16], "authtag": sealed[-16:]}
        body = to_json({name: base64.b64encode(part).decode() for name, part in parts.items()})
        headers = {"Wechatmp-Appid": self._appid, "Wechatmp-TimeStamp": str(now)}
        signed = f"{url}\n{self._appid}\n{now}\n{body}".encode()
        for suffix, (number, signer) in zip(("", "-Deprecated"), self._certificates, strict=False):
            signature = base64.b64encode(signer.sign(signed, _PSS, _SHA256)).decode()
            headers[f"Wechatmp-Serial{suffix}"] = number
            headers[f"Wechatmp-Signature{suffix}"] = signature
        return headers, body.encode()

    def _decrypt(self, request: Request, appid: str, timestamp: str) -> dict[str, object]:
        key = self.symmetric_key
        aad = f"{request.url}|{appid}|{timestamp}|{key.number}".encode()
        try:
            sealed = request.json()
            iv, data, tag = (
                base64.b64decode(str(sealed[name]), validate=True)
                for name in ("iv", "data", "authtag")
            )
            plain = AESGCM(base64.b64decode(key.content)).decrypt(iv, data + tag, aad)
            content: dict[str, object] = json.loads(plain)
        except (WeChatError, InvalidTag, ValueError, KeyError):
            raise WeChatError(40235) from None
        return content


_HEADERS: Final = {"serial": 40230, "timestamp": 40231, "signature": 40232, "appid": 40233}
"""The headers of a sealed call, and the errcode of one without."""


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
