r"""API security: calls of WeChat's that are signed and encrypted, and so are their answers.

A call is JSON of its parameters and three safety fields, encrypted by AES-256-GCM with
``url|appid|time|number of the symmetric key`` as associated data. ``url`` has neither query nor
slash at its end. The body that results is signed by RSASSA-PSS (SHA-256, salt of 32 bytes) over
``url\nappid\ntime\nbody``; no key's number is in that text. Answers are made in the same way,
signed with the key of WeChat's platform certificate.

Source: WeChat, "服务端 API 签名加密指南"
(developers.weixin.qq.com/miniprogram/dev/server/getting_started/api_signature.html).

This module and what it loads is for apps that have API security: import it only for them.
"""

import json
import re
import secrets
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from Crypto.Cipher import AES
from Crypto.Hash import SHA256
from Crypto.Signature import pss

from wechat_crypto.api_keys import (
    ApiKeyError,
    ApiKeys,
    Certificate,
    PrivateKey,
    SymmetricKey,
    previous,
)
from wechat_crypto.encoding import decode_base64
from wechat_crypto.strict_json import parse_json

__all__ = [
    "ApiAnswerError",
    "ApiKeyError",
    "ApiKeys",
    "Certificate",
    "OpenedAnswer",
    "PrivateKey",
    "SealedCall",
    "SymmetricKey",
    "is_sealed",
    "names_certificate",
    "open_answer",
    "previous",
    "seal_call",
]

MAX_AGE = 300
"""Seconds that an answer's time may be away from now; WeChat's sample code has the same."""
_IV = 12
_TAG = 16
_SALT = 32
_NONCE = 16
_TIME = re.compile(r"[1-9][0-9]{0,11}")
_MEMBERS = ("iv", "data", "authtag")
_SAFETY = ("_n", "_appid", "_timestamp")


class ApiAnswerError(Exception):
    """The answer is not WeChat's to this call, or not of now: the same error whatever is wrong."""

    def __init__(self) -> None:
        super().__init__("the answer is not one that WeChat has sealed for this call, or not now")


@dataclass(frozen=True, slots=True)
class SealedCall:
    """What goes out.

    Attributes:
        headers: The headers that belong to it.
        body: The body; it is signed, so not a byte of it may change.
    """

    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenedAnswer:
    """What came back.

    Attributes:
        content: The answer, without the three safety fields.
        outdated: Whether it was verified with a certificate that WeChat is about to replace.
    """

    content: dict[str, Any] = field(repr=False)
    outdated: bool


def seal_call(
    url: str,
    appid: str,
    parameters: Mapping[str, object],
    *,
    symmetric: SymmetricKey,
    private: PrivateKey,
    now: float,
    nonce: str | None = None,
    iv: bytes | None = None,
) -> SealedCall:
    """Encrypt and sign a call.

    Args:
        url: Where it goes, without query.
        appid: The app that calls.
        parameters: Those of the body and of the query; the access_token stays in the query, and is
            left out here.
        symmetric: Encrypts.
        private: Signs.
        now: The time, in seconds since the epoch.
        nonce: The random text ``_n``, if it is given.
        iv: The 12 random bytes of the encryption, if they are given.
    """
    timestamp = int(now)
    safety = {
        "_n": nonce or b64encode(secrets.token_bytes(_NONCE)).decode().rstrip("="),
        "_appid": appid,
        "_timestamp": timestamp,
    }
    others = {name: value for name, value in parameters.items() if name != "access_token"}
    iv = iv or secrets.token_bytes(_IV)
    cipher = _cipher(url, appid, str(timestamp), symmetric, iv)
    encrypted, tag = cipher.encrypt_and_digest(_compact({**safety, **others}))
    sealed = zip(_MEMBERS, (iv, encrypted, tag), strict=True)
    body = _compact({name: b64encode(value).decode() for name, value in sealed})
    signed = SHA256.new(_signed_text(url, appid, str(timestamp), body))
    signature = pss.new(private.rsa, salt_bytes=_SALT).sign(signed)
    return SealedCall(
        {
            "Content-Type": "application/json",
            "Wechatmp-Appid": appid,
            "Wechatmp-TimeStamp": str(timestamp),
            "Wechatmp-Serial": private.number,
            "Wechatmp-Signature": b64encode(signature).decode(),
        },
        body,
    )


def is_sealed(answer: Mapping[str, object]) -> bool:
    """Tell whether the body of an answer is an encrypted one; an error may come in plain text."""
    return answer.keys() >= set(_MEMBERS)


def names_certificate(headers: Mapping[str, str], certificates: Sequence[Certificate]) -> bool:
    """Tell whether an answer is signed with one of these certificates, by their numbers."""
    return _signature(_lower(headers), certificates) is not None


def open_answer(
    url: str,
    appid: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    symmetric: SymmetricKey,
    certificates: Sequence[Certificate],
    now: float,
) -> OpenedAnswer:
    """Verify the signature of an answer, then decrypt it.

    Args:
        url: Where the call went, without query.
        appid: The app that called.
        headers: Of the answer, in any case.
        body: Of the answer, as it came.
        symmetric: What the call was encrypted with.
        certificates: Those of the platform that are stored here.
        now: The time, in seconds since the epoch.

    Raises:
        ApiAnswerError: It is not WeChat's answer to a call of this app to this URL within the last
            300 seconds, or its certificate is not among these.
    """
    given = _lower(headers)
    timestamp = given.get("wechatmp-timestamp", "")
    chosen = _signature(given, certificates)
    if (
        chosen is None
        or given.get("wechatmp-appid") != appid
        or not _TIME.fullmatch(timestamp)
        or abs(now - int(timestamp)) > MAX_AGE
    ):
        raise ApiAnswerError
    certificate, signature, outdated = chosen
    signed = SHA256.new(_signed_text(url, appid, timestamp, body))
    try:
        pss.new(certificate.rsa, salt_bytes=_SALT).verify(signed, decode_base64(signature))
        content = _decrypt(body, url, appid, timestamp, symmetric)
    except (ValueError, TypeError, KeyError):
        raise ApiAnswerError from None
    inside = content.get("_timestamp")
    if content.get("_appid") != appid or type(inside) is not int or str(inside) != timestamp:
        raise ApiAnswerError
    return OpenedAnswer(
        {name: value for name, value in content.items() if name not in _SAFETY}, outdated
    )


def _signature(
    headers: Mapping[str, str], certificates: Sequence[Certificate]
) -> tuple[Certificate, str, bool] | None:
    """Choose the certificate by the numbers in the headers, and the signature that is its own."""
    for suffix in ("", "-deprecated"):
        number = headers.get(f"wechatmp-serial{suffix}")
        signature = headers.get(f"wechatmp-signature{suffix}")
        for certificate in certificates:
            if certificate.number == number and signature:
                return certificate, signature, suffix != ""
    return None


def _decrypt(
    body: bytes, url: str, appid: str, timestamp: str, symmetric: SymmetricKey
) -> dict[str, Any]:
    sealed = parse_json(body)
    iv, encrypted, tag = (decode_base64(sealed[name]) for name in _MEMBERS)
    if len(iv) != _IV or len(tag) != _TAG:
        raise ApiAnswerError
    cipher = _cipher(url, appid, timestamp, symmetric, iv)
    content = parse_json(cipher.decrypt_and_verify(encrypted, tag))
    if not isinstance(content, dict):
        raise ApiAnswerError
    return content


def _cipher(url: str, appid: str, timestamp: str, symmetric: SymmetricKey, iv: bytes) -> Any:
    cipher = AES.new(symmetric.key, AES.MODE_GCM, nonce=iv)
    cipher.update(f"{url}|{appid}|{timestamp}|{symmetric.number}".encode())
    return cipher


def _signed_text(url: str, appid: str, timestamp: str, body: bytes) -> bytes:
    return f"{url}\n{appid}\n{timestamp}\n".encode() + body


def _compact(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
