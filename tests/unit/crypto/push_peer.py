"""A second opinion: messages sealed by OpenSSL (``cryptography``), and opened by wechatpy."""

import base64
import hashlib
import json
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from wechatpy.crypto import WeChatCrypto

APPID = "wx0123456789abcdef"
TOKEN = "AToken"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
TIMESTAMP, NONCE = "1715943329", "1590219412"

Query = dict[str, str]


def encrypt(full: bytes, key: str = KEY) -> str:
    """Encrypt whole blocks as they are, whatever their padding."""
    aes_key = base64.b64decode(key + "=")
    encryptor = Cipher(algorithms.AES256(aes_key), modes.CBC(aes_key[:16])).encryptor()
    return base64.b64encode(encryptor.update(full) + encryptor.finalize()).decode()


def pad(content: bytes, block: int = 32) -> bytes:
    missing = block - len(content) % block
    return content + bytes([missing]) * missing


def full(message: bytes, appid: str = APPID, length: int | None = None) -> bytes:
    stated = len(message) if length is None else length
    return b"r" * 16 + stated.to_bytes(4, "big") + message + appid.encode()


def signature(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324  WeChat's


def signed(encrypted: str, token: str = TOKEN) -> Query:
    return {
        "signature": signature(token, TIMESTAMP, NONCE),
        "timestamp": TIMESTAMP,
        "nonce": NONCE,
        "encrypt_type": "aes",
        "msg_signature": signature(token, TIMESTAMP, NONCE, encrypted),
    }


def as_json(encrypted: str) -> bytes:
    return json.dumps({"ToUserName": "gh_0123456789ab", "Encrypt": encrypted}).encode()


def as_xml(encrypted: str) -> bytes:
    return (
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>"
        f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    ).encode()


def xml_message(**fields: str) -> str:
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    return f"<xml>{inner}</xml>"


def wechatpy(token: str = TOKEN, key: str = KEY, appid: str = APPID) -> WeChatCrypto:
    return WeChatCrypto(token, key, appid)
