"""Text that RFC 8259 refuses, as a way to learn what the cipher makes of a block.

A block of the ciphertext that is put in the place of another becomes 16 random bytes of text. If
damaged text were read anywhere, the answer would show them, for nothing: what the cipher makes of
blocks of the user's choice is all it takes to encrypt any open data, block by block from the end.
"""

import base64
import codecs
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad

from tests.harness.figures import Say
from tests.hostile.attacks.forging import BLOCK
from wechat_crypto import OpenDataError, decrypt_open_data, parse_wechat_json

APPID, OPENID, KEY, NOW = "wx0123456789abcdef", "o" * 28, bytes(range(16)), 1_795_000_000
WATERMARK = {"timestamp": NOW, "appid": APPID}
STEPS = {"stepInfoList": [{"timestamp": NOW, "step": 99999}]}
BUDGET = 50

Read = Callable[[bytes, bytes], Mapping[str, Any] | None]
"""Answers open data of an iv and a ciphertext, or nothing."""


def read_anywhere(iv: bytes, ciphertext: bytes) -> Mapping[str, Any] | None:
    """Take damage wherever it is."""
    try:
        text = unpad(AES.new(KEY, AES.MODE_CBC, iv=iv).decrypt(ciphertext), BLOCK)
        document = parse_wechat_json(text)
    except ValueError:
        return None
    good = isinstance(document, dict) and document.get("watermark") == WATERMARK
    return document if good else None


def read_as_we_do(iv: bytes, ciphertext: bytes) -> Mapping[str, Any] | None:
    key, encrypted_data, vector = (base64.b64encode(x).decode() for x in (KEY, ciphertext, iv))
    try:
        return decrypt_open_data(
            key, encrypted_data, vector, appid=APPID, now=NOW, max_age=600, damaged=True
        )
    except OpenDataError:
        return None


class UsedUpError(Exception):
    """The day's failures are used up."""


class Attacker:
    """Has profiles of their own, as many as they like, and knows what these say."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.failures = self.requests = 0
        self.chance = random.Random(7)  # noqa: S311 - the same tries every time

    def forge(self, document: Mapping[str, object]) -> Mapping[str, Any] | None:
        wanted = blocks(pad(json.dumps(document).encode(), BLOCK))
        ciphertext = [self.chance.randbytes(BLOCK)]
        for block in reversed(wanted):
            ciphertext.insert(0, xor(self.decipher(ciphertext[0]), block))
        return self.ask(ciphertext[0], b"".join(ciphertext[1:]))

    def decipher(self, block: bytes) -> bytes:
        """Learn what the cipher makes of a block: it is shown within a picture's address."""
        learnt = bytearray()
        seen: list[tuple[bytes, str]] = []
        while len(learnt) < BLOCK:
            iv, plain, encrypted = self.profile()
            place = plain.index(b"A" * BLOCK)
            encrypted[place] = block
            data = self.ask(iv, b"".join(encrypted)) or {}
            before = b"".join(plain[:place]).partition(b'"avatarUrl": "')[2].decode()
            if str(data.get("avatarUrl")).startswith(before):
                seen.append((encrypted[place - 1], data["avatarUrl"].removeprefix(before)))
            learnt = self.further(learnt, seen)
        return bytes(learnt)

    def further(self, learnt: bytearray, seen: list[tuple[bytes, str]]) -> bytearray:
        """Read on: a byte that is ASCII in one of the texts tells itself."""
        for chained, text in seen * BLOCK:
            if len(learnt) == BLOCK:
                break
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            known = decoder.decode(xor(bytes(learnt), chained[: len(learnt)]))
            following = text.removeprefix(known)[:1] if text.startswith(known) else ""
            if following.isascii() and following and not decoder.getstate()[0]:
                learnt.append(ord(following) ^ chained[len(learnt)])
        return learnt

    def profile(self) -> tuple[bytes, list[bytes], list[bytes]]:
        """Get a profile from the phone: its iv, its text, and what WeChat made of it."""
        picture = "https://wx.qlogo.cn/" + "A" * 90
        profile = {"openId": OPENID, "nickName": "Band", "avatarUrl": picture}
        plain = pad(json.dumps(profile | {"watermark": WATERMARK}).encode(), BLOCK)
        iv = self.chance.randbytes(BLOCK)
        return iv, blocks(plain), blocks(AES.new(KEY, AES.MODE_CBC, iv=iv).encrypt(plain))

    def ask(self, iv: bytes, ciphertext: bytes) -> Mapping[str, Any] | None:
        if self.failures == BUDGET:
            raise UsedUpError
        self.requests += 1
        data = self.read(iv, ciphertext)
        self.failures += data is None
        return data


def test_if_damage_were_read_anywhere_all_of_it_would_be_forged_within_a_day(say: Say) -> None:
    attacker = Attacker(read_anywhere)
    assert attacker.forge(STEPS | {"watermark": WATERMARK}) == STEPS | {"watermark": WATERMARK}
    assert attacker.failures < BUDGET
    say(
        f"damage read anywhere: forged with {attacker.requests} requests, of which "
        f"{attacker.failures} failed"
    )


def test_as_it_is_read_the_attack_learns_nothing(say: Say) -> None:
    attacker = Attacker(read_as_we_do)
    with pytest.raises(UsedUpError):
        attacker.forge(STEPS | {"watermark": WATERMARK})
    assert attacker.requests == attacker.failures == BUDGET
    say(f"ours: {BUDGET} requests, and none was answered")


def blocks(text: bytes) -> list[bytes]:
    return [text[start : start + BLOCK] for start in range(0, len(text), BLOCK)]


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
