"""Decryption of WeChat open data: the ``encryptedData`` and ``iv`` that a mini-program receives.

Source: "Signature, encryption and decryption of open data", WeChat mini-program documentation
(framework/open-ability/signature.html): AES-128-CBC, PKCS#7, key = base64(session_key),
plaintext = UTF-8 JSON with a ``watermark``.

CBC carries no authentication. Whoever can tell "bad padding" from "bad JSON" from "wrong app" can
forge a plaintext of their choice, so every check always runs, and one error serves them all.
"""

import hmac
import re
from collections.abc import Mapping
from typing import Any

from Crypto.Cipher import AES

from wechat_crypto.encoding import Base64Error, decode_base64
from wechat_crypto.strict_json import parse_json, parse_wechat_json

_BLOCK = 16  # bytes; also the length of an AES-128 key and of a CBC iv
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?', re.DOTALL)
_CHARACTER = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]|\xed[\x80-\x9f])"
    rb"[\x80-\xbf]|(?:\xf0[\x90-\xbf]|[\xf1-\xf3][\x80-\xbf]|\xf4[\x80-\x8f])[\x80-\xbf]{2}"
)  # beyond ASCII, in UTF-8 (RFC 3629, section 4)
_NOT_PLAIN = re.compile(rb"[\x00-\x1f\x80-\xff]")
_ENOUGH_JSON = 4  # bytes of a block: 1 in 16 million blocks of random bytes has them in place
_ENOUGH_TEXT = 13  # bytes of a block: 1 in 2 million


class OpenDataError(Exception):
    """The data cannot be decrypted or is not for this app; on purpose it never says which."""

    def __init__(self) -> None:
        """Make the one error, with the one text, that stands for every cause."""
        super().__init__(
            "encryptedData does not decrypt to fresh data of this app with this session_key and "
            "iv: log in again, then let the user tap once more"
        )


def decrypt_open_data(
    session_key: str,
    encrypted_data: str,
    iv: str,
    *,
    appid: str,
    now: float | None = None,
    max_age: float | None = None,
    damaged: bool = False,
) -> dict[str, Any]:
    """Decrypt open data and check that it was made for this app, and lately.

    Args:
        session_key: Base64 of 16 bytes, as code2Session answered it.
        encrypted_data: Base64 of the ciphertext, as the phone gave it.
        iv: Base64 of 16 bytes, as the phone gave it.
        appid: The app that ``watermark.appid`` must name.
        now: The time in seconds since 1970, needed with ``max_age``.
        max_age: How many seconds ``watermark.timestamp`` may be away from ``now``, either way;
            ``None`` accepts any age.
        damaged: Whether text that RFC 8259 refuses is read; see `damage_is_credible`.

    Returns:
        The decrypted object, ``watermark`` included.

    Raises:
        OpenDataError: Anything at all is wrong: base64, a length, the padding, the JSON, the
            watermark, its appid or its age.
        ValueError: ``max_age`` was given without ``now``.
    """
    if max_age is not None and now is None:
        raise ValueError("max_age needs now: pass the time in seconds since 1970")
    try:
        key, vector = decode_base64(session_key), decode_base64(iv)
        ciphertext = decode_base64(encrypted_data)
    except Base64Error:
        raise OpenDataError from None
    if len(key) != _BLOCK or len(vector) != _BLOCK:
        raise OpenDataError
    if not ciphertext or len(ciphertext) % _BLOCK:
        raise OpenDataError

    plaintext, padding_good = unpad_pkcs7(AES.new(key, AES.MODE_CBC, iv=vector).decrypt(ciphertext))
    regular = parse_object(plaintext)
    credible = damaged and damage_is_credible(plaintext)
    document = regular or (parse_object(plaintext, irregular=True) if credible else {})
    watermark_good = has_watermark(document, appid=appid, now=now, max_age=max_age)
    if not (padding_good & watermark_good):
        raise OpenDataError
    return document


def has_watermark(
    document: Mapping[str, Any],
    *,
    appid: str,
    now: float | None = None,
    max_age: float | None = None,
) -> bool:
    """Tell whether open data was made for this app, and lately; see `decrypt_open_data`."""
    watermark = document.get("watermark")
    if not isinstance(watermark, dict):
        watermark = {}
    appid_good = _same(watermark.get("appid"), appid)
    age_good = _within(watermark.get("timestamp"), now, max_age)
    return appid_good & age_good


def unpad_pkcs7(padded: bytes) -> tuple[bytes, bool]:
    """Remove PKCS#7 padding (RFC 5652, section 6.3); look at all 16 bytes whatever they hold."""
    length = padded[-1]
    wrong = (length == 0) | (length > _BLOCK)
    for position in range(1, _BLOCK + 1):
        wrong |= (position <= length) & (padded[-position] != length)
    return padded[: len(padded) - length * (not wrong)], not wrong


def damage_is_credible(plaintext: bytes) -> bool:
    """Tell whether what RFC 8259 refuses in this text can be WeChat's, and is no altered block.

    WeChat copies control characters and halves of characters from nicknames. But whoever alters a
    block of the ciphertext turns its plaintext into 16 random bytes, and if the answer showed them,
    they would learn what the cipher makes of blocks of their choice, which is all it takes to
    encrypt anything. So damage is taken only in a value, and only if its block also holds what
    chance does not write: bytes of the JSON around the value, or text beyond ASCII.
    """
    outside, keys, text = bytearray(b"\1" * len(plaintext)), set[int](), bytearray(len(plaintext))
    for string in _STRING.finditer(plaintext):
        if string[1]:
            keys.update(range(*string.span()))
        else:
            outside[string.start() + 1 : string.end() - 1] = bytes(len(string[0]) - 2)
    for character in _CHARACTER.finditer(plaintext):
        text[slice(*character.span())] = b"\1" * len(character[0])
    for found in _NOT_PLAIN.finditer(plaintext):
        at = found.start()
        if text[at] or (found[0].isspace() and outside[at] and at not in keys):
            continue
        block = slice(at - at % _BLOCK, at - at % _BLOCK + _BLOCK)
        enough = sum(outside[block]) >= _ENOUGH_JSON or sum(text[block]) >= _ENOUGH_TEXT
        if outside[at] or not enough:
            return False
    return True


def parse_object(plaintext: bytes, *, irregular: bool = False) -> dict[str, Any]:
    """Parse a JSON object; anything else counts as an empty one, which no check accepts."""
    try:
        document = (
            parse_wechat_json(plaintext) if irregular else parse_json(plaintext.decode("utf-8"))
        )
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _same(found: object, expected: str) -> bool:
    text = found if isinstance(found, str) else ""
    return hmac.compare_digest(
        text.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )


def _within(timestamp: object, now: float | None, max_age: float | None) -> bool:
    if isinstance(timestamp, bool) or not isinstance(timestamp, int):
        return False
    if now is None or max_age is None:
        return True
    return now - max_age <= timestamp <= now + max_age
