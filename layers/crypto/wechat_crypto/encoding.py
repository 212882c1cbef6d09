"""Base64 (RFC 4648, section 4), read strictly: what is damaged is refused, never guessed at."""

import base64
import binascii
import re

_ENCODINGS = 3
_PERCENT = re.compile("%([0-9A-Fa-f]{2})")
_ELSEWHERE = str.maketrans({"-": "+", "_": "/", " ": "+", "\r": None, "\n": None})


class Base64Error(ValueError):
    """The text is not canonical base64; it was damaged on the way or never was base64."""


def decode_base64(text: str) -> bytes:
    """Decode canonical base64: standard alphabet, padded, no white space, no stray bits.

    ``base64.b64decode`` alone would drop foreign characters and accept several spellings of
    the same bytes; here every byte string has exactly one text.

    Args:
        text: The base64 text.

    Returns:
        The decoded bytes.

    Raises:
        Base64Error: The text is not canonical base64. The message does not quote it.
    """
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Base64Error("not base64 (RFC 4648): send the text exactly as wx gave it") from None
    if base64.b64encode(decoded).decode("ascii") != text:
        raise Base64Error("not canonical base64: send the text exactly as wx gave it")
    return decoded


def repair_base64(text: str) -> str:
    """Put back what forms, URLs and lines made of base64, when there is no doubt what it was.

    Percent-encoding, up to three times over (base64 has no ``%``); line breaks; the alphabet of
    URLs (``-_`` for ``+/``); a blank for ``+``; padding that is missing as a whole. None of these
    characters occurs in base64, so nothing is guessed. Any other damage is refused.

    Args:
        text: Base64 text as it arrived from a client.

    Returns:
        The canonical base64 text.

    Raises:
        Base64Error: The text is damaged in some other way.
    """
    repaired = text
    for _ in range(_ENCODINGS):
        repaired = _PERCENT.sub(lambda found: chr(int(found[1], 16)), repaired)
    repaired = repaired.translate(_ELSEWHERE)
    if not repaired.endswith("="):
        repaired += "=" * (-len(repaired) % 4)
    decode_base64(repaired)
    return repaired
