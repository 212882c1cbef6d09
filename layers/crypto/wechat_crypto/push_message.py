"""Messages that WeChat pushes to a server's address, in safe mode; JSON or XML.

``Encrypt`` is AES-256-CBC under the EncodingAESKey, whose first 16 bytes are the iv too, of
``random (16) · length (4, big-endian) · message · appid``, padded by PKCS#7 in blocks of 32 bytes.
``msg_signature`` is SHA-1 of the Token, ``timestamp``, ``nonce`` and ``Encrypt``, sorted and
joined; only it covers the message. A third-party platform gets its messages in the same form, with
the platform's own appid.

Source: WeChat, "消息推送" (developers.weixin.qq.com/miniprogram/dev/framework/server-ability/
message-push.html).

This module and what it loads is for WeChat's pushes alone: import it only for them.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.parsers import expat

from Crypto.Cipher import AES

from wechat_crypto.strict_json import parse_json, parse_wechat_json

_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
_ECHO = re.compile(r"[0-9A-Za-z_-]{1,128}")
_IV = 16
_BLOCK = 16
_PADDING = 32
_RANDOM, _LENGTH = 16, 4
_DEEPEST = 16  # elements; WeChat nests three

Message = dict[str, Any]


class PushMessageError(Exception):
    """This is no message of WeChat's to this app; on purpose it never says why."""

    def __init__(self) -> None:
        super().__init__("not a message that WeChat has sealed for this app")


class PlainPushError(PushMessageError):
    """WeChat's signature is there, but the message is not encrypted: it is sent in plain mode."""


class EncodingAesKeyError(ValueError):
    """An EncodingAESKey has not the form that the console gives it; the text never quotes it."""

    def __init__(self) -> None:
        super().__init__("an EncodingAESKey is 43 letters and digits, as the console shows it")


def decode_aes_key(encoding_aes_key: str) -> bytes:
    """Return the 32 bytes of an EncodingAESKey.

    Its last character has two bits too many, of any value, so base64 is not read strictly here.

    Raises:
        EncodingAesKeyError: It is no such key.
    """
    if not _AES_KEY.fullmatch(encoding_aes_key):
        raise EncodingAesKeyError
    return base64.b64decode(encoding_aes_key + "=")


def push_signature(*parts: str) -> str:
    """Sign as WeChat does for pushes: SHA-1 of the parts, sorted and joined; 40 hex digits.

    SHA-1 is WeChat's choice. The Token among the parts is what nobody else knows.
    """
    joined = b"".join(sorted(part.encode("utf-8", "surrogatepass") for part in parts))
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


def answer_to_verification(query: Mapping[str, str], *, token: str) -> str:
    """Check the GET by which WeChat verifies an address, and return the ``echostr`` to answer.

    Args:
        query: The request's query, decoded.
        token: The Token of the console.

    Raises:
        PushMessageError: It is not signed with this Token, or its echostr is none.
    """
    echo = query.get("echostr", "")
    if not _is_signed(query, "signature", token) or not _ECHO.fullmatch(echo):
        raise PushMessageError
    return echo


def open_push(
    body: bytes,
    *,
    query: Mapping[str, str],
    token: str,
    encoding_aes_keys: Sequence[str],
    appid: str,
) -> Message:
    """Check and decrypt a pushed message.

    Args:
        body: The request's body, JSON or XML.
        query: The request's query, decoded.
        token: The Token of the console.
        encoding_aes_keys: The EncodingAESKeys that may be in use: the current one, then the one
            before it, which WeChat may still use while a new one spreads.
        appid: Whom the message must be sealed for: the mini-program, or the platform.

    Returns:
        The message by its fields' names, without the blanks that WeChat writes around some. Of
        XML every value is text, an element with others in it a dict, a repeated one a list.

    Raises:
        PlainPushError: It is WeChat's, by ``signature``, but is not encrypted.
        PushMessageError: Anything at all is wrong with it.
        EncodingAesKeyError: One of the keys is none.
    """
    keys = [decode_aes_key(each) for each in encoding_aes_keys]
    encrypted = _envelope(body).get("Encrypt")
    if not isinstance(encrypted, str):
        raise PlainPushError if _is_signed(query, "signature", token) else PushMessageError
    if not _is_signed(query, "msg_signature", token, encrypted):
        raise PushMessageError
    try:
        ciphertext = base64.b64decode(encrypted, validate=True)
    except ValueError:
        raise PushMessageError from None
    if not ciphertext or len(ciphertext) % _BLOCK:
        raise PushMessageError
    opened = [_decrypt(ciphertext, key, appid.encode()) for key in keys]
    content = next((each for each in opened if each is not None), None)
    if content is None:
        raise PushMessageError
    return {name.strip(): value for name, value in _parse(content, irregular=True).items()}


def _is_signed(query: Mapping[str, str], name: str, token: str, *more: str) -> bool:
    expected = push_signature(token, query.get("timestamp", ""), query.get("nonce", ""), *more)
    given = query.get(name, "").encode("utf-8", "surrogatepass")
    return hmac.compare_digest(given, expected.encode("ascii"))


def _envelope(body: bytes) -> Message:
    """Read what is not authentic yet; whatever cannot be read is as good as empty."""
    try:
        return _parse(body)
    except PushMessageError:
        return {}


def _decrypt(ciphertext: bytes, key: bytes, appid: bytes) -> bytes | None:
    """Return the message if it was sealed with this key for this app."""
    padded = AES.new(key, AES.MODE_CBC, iv=key[:_IV]).decrypt(ciphertext)
    length = padded[-1]
    if not 0 < length <= _PADDING or padded[-length:] != bytes((length,)) * length:
        return None
    content = padded[_RANDOM:-length]
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "big")
    return content[_LENGTH:end] if content[end:] == appid else None


def _parse(text: bytes, *, irregular: bool = False) -> Message:
    """Parse an object of JSON, or XML whose root is ``<xml>``."""
    try:
        if text.lstrip()[:1] == b"<":
            return _Xml().read(text.lstrip())
        document = parse_wechat_json(text) if irregular else parse_json(text)
    except (ValueError, expat.ExpatError):
        raise PushMessageError from None
    if not isinstance(document, dict):
        raise PushMessageError
    return document


class _Xml:
    """Reads XML into dicts, lists and text; without document types, and so without entities."""

    def __init__(self) -> None:
        self._open: list[tuple[str, Message, list[str]]] = [("", {}, [])]

    def read(self, text: bytes) -> Message:
        parser = expat.ParserCreate("utf-8")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(text, True)  # noqa: FBT003 - its arguments have no names
        document = self._open[0][1].get("xml")
        if not isinstance(document, dict):
            raise PushMessageError
        return document

    def _refuse(self, *_: object) -> None:
        raise PushMessageError

    def _start(self, name: str, _: Mapping[str, str]) -> None:
        if len(self._open) > _DEEPEST:
            raise PushMessageError
        self._open.append((name, {}, []))

    def _text(self, text: str) -> None:
        self._open[-1][2].append(text)

    def _end(self, _: str) -> None:
        name, children, text = self._open.pop()
        value: object = children or "".join(text)
        siblings = self._open[-1][1]
        if name not in siblings:
            siblings[name] = value
        elif isinstance(siblings[name], list):
            siblings[name].append(value)
        else:
            siblings[name] = [siblings[name], value]
