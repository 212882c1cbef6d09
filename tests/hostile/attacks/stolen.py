"""What somebody who holds a dump of the tables can make of it."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from local.simulated_wechat import PhoneTap
from local.stack import Stack
from tests.harness.deployment import Dump
from tests.harness.leaks import Secrets
from wechat_crypto import OpenDataError, decrypt_open_data

_DEPTH = 4  # decodings within decodings
_USER, _SECRET, _KEY = 16, 32, 16
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_HASHES = ("md5", "sha1", "sha256")


@dataclass(frozen=True)
class Stolen:
    """A dump, and every way to read it.

    Attributes:
        dump: Every item of every table, as the low-level API gives it.
    """

    dump: Dump

    @cached_property
    def fields(self) -> list[bytes]:
        """Every field's value as bytes."""
        items = [item for table in self.dump.values() for item in table]
        return list(dict.fromkeys(leaf for item in items for leaf in _leaves(item)))

    @cached_property
    def readings(self) -> list[bytes]:
        """Every field and whatever it decodes to: JSON, base64, hex, parts between separators."""
        found = dict.fromkeys(self.fields)
        latest: Iterable[bytes] = self.fields
        for _ in range(_DEPTH):
            latest = [new for each in latest for new in _decoded(each) if new not in found]
            found |= dict.fromkeys(latest)
        return list(found)

    @cached_property
    def texts(self) -> list[str]:
        """Every reading as a text that could be sent, also encoded again."""
        found: dict[str, None] = {}
        for each in self.readings:
            if each.isascii():
                found[each.decode()] = None
            encoded = base64.urlsafe_b64encode(each).decode()
            found |= dict.fromkeys(
                (encoded, encoded.rstrip("="), base64.b64encode(each).decode(), each.hex())
            )
        return [text for text in found if text.isprintable() and text.strip() == text != ""]

    def pieces(self, length: int) -> set[bytes]:
        """Every stretch of so many bytes in any reading."""
        return {
            each[start : start + length]
            for each in self.readings
            for start in range(len(each) - length + 1)
        }

    def rebuilt_tokens(self) -> Iterator[str]:
        """Tokens of user id, issue time and whatever 32 bytes there are, for each session.

        Every session with every stretch would be a hundred thousand requests. A stretch whose
        SHA-256 is in no sort key is refused for sure: it is left out, which the planted secrets
        show to leave out nothing else.
        """
        hashes = {hashlib.sha256(piece).hexdigest(): piece for piece in self.pieces(_SECRET)}
        for item in self.dump["Sessions"]:
            issued, mark, stored = item["session"].get("S", "").partition("#")
            if not mark:
                continue
            head = item["user"]["B"] + int(issued[:10]).to_bytes(4, "big")
            # The hash itself in the secret's place, and what hashes to it.
            for secret in (bytes.fromhex(stored), hashes.get(stored)):
                if secret is not None:
                    yield base64.urlsafe_b64encode(head + secret).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Thief:
    """Tries a dump on everything.

    Attributes:
        captured: An encryptedData with its iv, seen on some user's phone.
        secrets: What is looked for by its text.
    """

    stack: Stack
    captured: PhoneTap
    secrets: Secrets

    def finds(self, stolen: Stolen) -> set[str]:
        """Name what the dump gives away."""
        return {*self._works(stolen), *self._stands_there(stolen)}

    def tries(self, stolen: Stolen) -> int:
        """Count what is tried as a credential."""
        return len(stolen.texts) * 4 + len(stolen.pieces(_KEY)) + len(stolen.pieces(_SECRET))

    def _works(self, stolen: Stolen) -> Iterator[str]:
        if any(map(self._authorized, (*stolen.texts, *stolen.rebuilt_tokens()))):
            yield "session token"
        for text in stolen.texts:
            if self._is_code("login", text):
                yield "login code"
            if self._is_code("phone", text):
                yield "phone code"
        if any(map(self.stack.wechat.accepts, stolen.texts)):
            yield "access_token"
        if any(map(self._decrypts, stolen.pieces(_KEY))):
            yield "session_key"

    def _authorized(self, text: str) -> bool:
        event = {"headers": {"authorization": f"Bearer {text}"}}
        return bool(self.stack.invoke("authorizer", event)["isAuthorized"])

    def _is_code(self, kind: Literal["login", "phone"], text: str) -> bool:
        """Ask WeChat itself, which would take it: the backend sends on what it is given."""
        return self.stack.wechat.is_fresh_code(kind, text)

    def _decrypts(self, key: bytes) -> bool:
        tap, appid = self.captured, self.stack.appid
        try:
            decrypt_open_data(
                base64.b64encode(key).decode(), tap.encrypted_data, tap.iv, appid=appid
            )
        except OpenDataError:
            return False
        return True

    def _stands_there(self, stolen: Stolen) -> Iterator[str]:
        whole = b"\0".join(stolen.readings)
        for value, what in self.secrets.known.items():
            for name in _HASHES:
                digest = hashlib.new(name, value.encode(), usedforsecurity=False)
                # The table may hold a hash of what nobody can guess: a token's random bytes.
                if digest.digest() in whole or digest.hexdigest().encode() in whole:
                    yield f"hash of {what}"
            if value.encode() in whole:
                yield what
        yield from self.secrets.found_in(repr(stolen.dump))


def _leaves(value: Any) -> Iterator[bytes]:
    """Walk through an attribute value of DynamoDB: {"S": …}, {"M": {…}}, {"L": […]}."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value if isinstance(value, bytes) else str(value).encode()


def _decoded(raw: bytes) -> Iterator[bytes]:
    if len(raw) < 4:
        return
    yield from re.split(rb"[#|:,~ ]", raw)
    for altchars in (b"+/", b"-_"):
        try:
            yield base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars, validate=True)
        except binascii.Error:
            continue
    if _HEX.fullmatch(raw):
        yield bytes.fromhex(raw.decode())
    try:
        yield from _leaves(json.loads(raw))
    except (ValueError, RecursionError):
        return
