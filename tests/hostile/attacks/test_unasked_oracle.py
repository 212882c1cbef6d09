"""Forging open data while WeChat cannot be asked, as when the app's quota is used up.

The answers then still tell "it decrypted" (200) from "it did not" (503). Users know their own
plaintext, and in CBC that lets them write into a block what they like, at the price of the block
before it, which becomes 16 random bytes. Those must happen to be text that JSON takes, which is so
once in some 400,000 tries: hours, if tries are free, and decades at 50 a day.
"""

import base64
import json
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from local.simulated_wechat import Phone, Quota, SimulatedWeChat
from tests.harness.api import Api, legacy
from tests.harness.deployment import Asked, Deployment
from tests.harness.figures import Say
from tests.hostile.attacks.forging import BLOCK
from tests.hostile.attacks.observing import as_fields
from wechat_auth.errors import TOO_MANY_FAILURES, AuthError, WeChatError
from wechat_auth.failure_budget import FailureBudget, Spent
from wechat_auth.fields import EncryptedOpenData
from wechat_auth.open_data import OpenData
from wechat_auth.sessions import History, Session
from wechat_auth.tokens.access_tokens import AccessTokens
from wechat_auth.wechat import WeChat

BUDGET = 50
APPID, OPENID, KEY = "wx0123456789abcdef", "o" * 28, bytes(range(16))
LUCKY = 395  # a seed whose attacker is lucky early, so that the whole attack can be run


class QuotaUsedUp(AccessTokens):
    """WeChat, which answers nothing about ciphertexts any more."""

    def __init__(self) -> None:
        """Need nothing."""

    def using(self, appid: str, call: object) -> Any:  # noqa: ARG002 - nothing is asked
        """Answer that the quota is used up."""
        raise WeChatError("checkEncryptedData", 45009)


class CountsAfterAsking(FailureBudget):
    """The order that was: a failure is counted once WeChat has said no. Here it never does."""

    def count(self, spent: Spent) -> None:
        """Wait for WeChat's no."""


@dataclass(frozen=True, slots=True)
class Attacker:
    """Has user information of their own as a phone encrypts it, and knows what it says."""

    open_data: OpenData
    session: Session
    budget: FailureBudget
    failures: Counter[str]

    def forge(self) -> dict[str, object]:
        """Write a member of their own into the data.

        Raises:
            AuthError: Nothing is answered any more.
        """
        plaintext = json.dumps(
            {
                "openId": OPENID,
                "avatarUrl": "https://wx.qlogo.cn/" + "0" * 80,
                "watermark": {"timestamp": int(time.time()), "appid": APPID},
            },
            separators=(",", ":"),
        ).encode()
        known = blocks(pad(plaintext, BLOCK))
        encrypted = blocks(AES.new(KEY, AES.MODE_CBC, iv=bytes(16)).encrypt(b"".join(known)))
        garbled = known.index(b"0" * BLOCK)
        unchained = xor(known[garbled + 1], encrypted[garbled])
        chance = random.Random(LUCKY)  # noqa: S311 - the same tries every time
        while True:
            wanted = b'","forged":"' + base64.b64encode(chance.randbytes(3))
            tried = [*encrypted]
            tried[garbled] = xor(unchained, wanted)
            try:
                return self.ask(b"".join(tried))
            except AuthError as error:
                self.failures[error.problem.code] += 1
                if error.problem is TOO_MANY_FAILURES:
                    raise

    def ask(self, ciphertext: bytes) -> dict[str, object]:
        fields = as_fields(bytes(BLOCK), ciphertext)
        encrypted = EncryptedOpenData(fields["encryptedData"], fields["iv"])
        spent = Spent(self.session.user, begun=True, failures=self.failures.total())
        history = History(self.session, (self.session.session_key,), spent)
        data: dict[str, object] = self.open_data.read(encrypted, history)["data"]
        return data


def attacker(deployment: Deployment, kind: type[FailureBudget]) -> Attacker:
    table = deployment.backend.aws.table(deployment.table("Sessions"))
    budget = kind(
        table, deployment.backend.secrets, limit=BUDGET if kind is FailureBudget else 2**31
    )
    wechat = cast(WeChat, None)  # is never reached
    open_data = OpenData(
        budget, QuotaUsedUp(), wechat, lambda _: None, max_age=600, check_encrypted_data=True
    )
    session_key = base64.b64encode(KEY).decode()
    session = Session(bytes(16), "", APPID, OPENID, None, session_key, 2**40)
    return Attacker(open_data, session, budget, Counter())


def test_where_failures_count_after_the_question_a_member_of_choice_is_forged(
    deployment: Deployment, say: Say
) -> None:
    lucky = attacker(deployment, CountsAfterAsking)
    data = lucky.forge()
    assert "forged" in data
    tries = lucky.failures.total()
    assert lucky.failures == {"quota_exhausted": tries}
    assert tries > 10 * BUDGET
    assert deployment.items("Sessions") == []
    say(f"WeChat cannot be asked, failures counted after asking: forged after {tries:,} free tries")


def test_counted_before_it_the_attack_ends_with_the_days_budget(
    deployment: Deployment, say: Say
) -> None:
    same = attacker(deployment, FailureBudget)
    with pytest.raises(AuthError) as refused:
        same.forge()
    assert refused.value.problem is TOO_MANY_FAILURES
    assert same.failures == {"quota_exhausted": BUDGET, "too_many_failures": 1}
    say(f"ours: {BUDGET} tries, then nothing until the next day")


def test_over_http_while_the_quota_is_used_up_failures_are_counted_and_refused(
    api: Api, phone: Phone, wechat: SimulatedWeChat, asked: Asked, say: Say
) -> None:
    token, tap = api.logged_in(phone), phone.tap_phone_number()
    assert api.decrypt(token=token, **legacy(tap)).status == 200
    wechat.set_quota("checkEncryptedData", Quota(per_day=0))
    bad = as_fields(bytes(16), bytes(32))
    answers = [api.decrypt(token=token, **bad).status for _ in range(200)]
    wechat.set_quota("checkEncryptedData", Quota())
    assert answers == [503] * BUDGET + [429] * (200 - BUDGET)
    assert asked("checkEncryptedData") == 1 + BUDGET
    say(f"200 failures while the quota is used up: {BUDGET} answered, {200 - BUDGET} refused")


def blocks(text: bytes) -> list[bytes]:
    return [text[start : start + BLOCK] for start in range(0, len(text), BLOCK)]


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
