"""JSON as RFC 8259 has it, and as WeChat writes it.

Python's own parser also takes NaN and what no double holds. WeChat copies nicknames as they are:
control characters stand in its JSON unescaped, and characters are cut in half.
"""

import json
import math
from typing import Any


def parse_json(text: str | bytes, *, unique: bool = False, finite: bool = True) -> Any:
    """Parse a JSON document.

    Args:
        text: The document; bytes may be UTF-8, UTF-16 or UTF-32.
        unique: Whether an object that has the same key twice is refused, when a second one would
            silently take the place of the first.
        finite: Whether a number that no double holds (1e400) is refused: it could not be answered.

    Raises:
        ValueError: It is no JSON, or nested deeper than Python can parse.
    """
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite if finite else None,
            object_pairs_hook=_without_duplicates if unique else None,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None


def parse_wechat_json(text: str | bytes) -> Any:
    """Parse a document of WeChat's: raw control characters stay, and broken UTF-8 is replaced.

    Args:
        text: The document; in bytes, what is no UTF-8 becomes U+FFFD.

    Raises:
        ValueError: It is no JSON even so, or nested deeper than Python can parse.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff")
    try:
        return json.loads(text, strict=False, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON (RFC 8259)")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number that no double holds")
    return number


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("duplicate key")
    return document
