"""The other side of API security, by another library: it reads our calls and seals answers."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from wechat_crypto.api_security import OpenedAnswer, SealedCall, open_answer

URL = "https://api.weixin.qq.com/wxa/business/getuserphonenumber"
APPID = "wxba6223c06417af7b"
AES_NUMBER, AES_KEY = "fa05fe1e5bcc79b81ad5ad4b58acf787", bytes(range(32))
NOW = 1_793_534_400
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
SERIAL = 0x784F98CBBBCCFE8F9E1C7B1F33ED5B1892446534
EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make a key, the same one for the same name."""
    return rsa.generate_private_key(65537, bits)


def pem(key: Any, form: PrivateFormat = PrivateFormat.TraditionalOpenSSL) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, form, NoEncryption())
    return text.decode()


@cache
def certificate(key: Any, expires: datetime = EXPIRES) -> str:
    """Issue a certificate for the public half of a key, signed by another one."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "WeChat")])
    issued = (
        x509.CertificateBuilder(name, name, key.public_key(), SERIAL)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(expires)
        .sign(rsa_key("authority"), hashes.SHA256())
    )
    return issued.public_bytes(Encoding.PEM).decode()


def document() -> dict[str, Any]:
    """Return what the AppSecrets hold of an app's API security."""
    return {
        "symmetricKey": {"number": AES_NUMBER, "key": base64.b64encode(AES_KEY).decode()},
        "privateKey": {"number": "ours", "pem": pem(rsa_key("ours"))},
        "certificate": {"number": "theirs", "pem": certificate(rsa_key("theirs"))},
    }


def sign(key: rsa.RSAPrivateKey, text: bytes) -> str:
    return base64.b64encode(key.sign(text, PSS, hashes.SHA256())).decode()


def read_call(call: SealedCall, url: str, number: str = AES_NUMBER) -> dict[str, Any]:
    """Verify and decrypt a call."""
    timestamp = call.headers["Wechatmp-TimeStamp"]
    text = f"{url}\n{APPID}\n{timestamp}\n".encode() + call.body
    signature = base64.b64decode(call.headers["Wechatmp-Signature"])
    rsa_key("ours").public_key().verify(signature, text, PSS, hashes.SHA256())
    sealed = {name: base64.b64decode(part) for name, part in json.loads(call.body).items()}
    plain = AESGCM(AES_KEY).decrypt(
        sealed["iv"],
        sealed["data"] + sealed["authtag"],
        f"{url}|{APPID}|{timestamp}|{number}".encode(),
    )
    content: dict[str, Any] = json.loads(plain)
    return content


@dataclass(frozen=True)
class Answer:
    """An answer, and what it takes to open it; `altered` makes one that is wrong in one way."""

    headers: Mapping[str, str]
    body: bytes
    url: str = URL
    appid: str = APPID
    now: float = NOW
    more: Mapping[str, Any] = field(default_factory=dict)

    def altered(self, **changes: Any) -> "Answer":
        return replace(self, **changes)

    def with_header(self, name: str, value: str | None) -> "Answer":
        headers = {**self.headers, name: value}
        return replace(self, headers={key: each for key, each in headers.items() if each})

    def open(self, keys: Any) -> OpenedAnswer:
        return open_answer(
            self.url,
            self.appid,
            self.headers,
            self.body,
            **{
                "symmetric": keys.symmetric[0],
                "certificates": keys.certificates,
                "now": self.now,
                **self.more,
            },
        )


def seal_answer(
    content: Mapping[str, Any], *, safety: Mapping[str, Any] | None = None, iv: bytes = bytes(12)
) -> Answer:
    """Seal an answer as WeChat does; `safety` replaces what it says of itself inside."""
    inside = {"_n": "nonce", "_appid": APPID, "_timestamp": NOW, **(safety or {}), **content}
    return seal_text(json.dumps(inside).encode(), iv=iv)


def seal_text(plain: bytes, *, iv: bytes = bytes(12), tag: int = 16) -> Answer:
    """Seal any text as if it were an answer."""
    sealed = AESGCM(AES_KEY).encrypt(iv, plain, f"{URL}|{APPID}|{NOW}|{AES_NUMBER}".encode())
    parts = {"iv": iv, "data": sealed[:-16], "authtag": sealed[-16:][:tag]}
    body = json.dumps({name: base64.b64encode(part).decode() for name, part in parts.items()})
    return sign_body(body.encode())


def sign_body(body: bytes) -> Answer:
    """Sign any body as if it were an answer's, for the certificate and for the one before."""
    text = f"{URL}\n{APPID}\n{NOW}\n".encode() + body
    return Answer(
        {
            "Wechatmp-Appid": APPID,
            "Wechatmp-TimeStamp": str(NOW),
            "Wechatmp-Serial": "theirs",
            "Wechatmp-Signature": sign(rsa_key("theirs"), text),
            "Wechatmp-Serial-Deprecated": "theirs-before",
            "Wechatmp-Signature-Deprecated": sign(rsa_key("theirs-before"), text),
        },
        body,
    )
