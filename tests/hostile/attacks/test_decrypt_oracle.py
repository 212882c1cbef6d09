"""POST /decrypt is no oracle: what forges a phone number elsewhere learns nothing here."""

import base64
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import cast

import pytest
from Crypto.Cipher import AES

from local.runtime import Runtime, context_of, functions_write_to
from local.simulated_wechat import Phone
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.harness.leaks import spellings
from tests.hostile.attacks.forging import forge
from tests.hostile.attacks.leaky import LEAKS, leaking
from tests.hostile.attacks.observing import (
    CHANNELS,
    FALSE_ALARM,
    LEAST,
    MEASURED,
    PAIRS,
    Function,
    Sample,
    as_fields,
    compare,
    in_turn,
    learn,
    tell_apart,
    wrong_and_right,
)
from wechat_auth.backend import Backend
from wechat_auth.failure_budget import FailureBudget, Spent
from wechat_auth.sessions import History, Session, Sessions
from wechat_auth.tokens.access_tokens import AccessTokens
from wechat_crypto import decrypt_open_data

MINE, FORGED = "13800138000", "13580006666"


@pytest.fixture
def attacker(phone: Phone, api: Api) -> Phone:
    """A real user, logged in."""
    api.logged_in(phone)
    return phone


@pytest.fixture
def genuine(attacker: Phone) -> tuple[Sample, Sample]:
    """The attacker's one encryptedData with its iv, spoilt in the two ways that are compared."""
    tap = attacker.tap_phone_number()
    return wrong_and_right(tap.encrypted_data, tap.iv)


@pytest.fixture
def function(deployment: Deployment, attacker: Phone) -> Iterator[Function]:
    with alone(deployment, attacker) as function:
        yield function


@contextmanager
def alone(deployment: Deployment, phone: Phone, *older_keys: str) -> Iterator[Function]:
    """Give the decrypt function without a budget, and with nothing outside that takes time."""
    outside = _Outside(phone, older_keys)
    backend = Backend(deployment.backend.settings, aws=deployment.backend.aws)
    backend.sessions = cast(Sessions, outside)
    backend.failure_budget = cast(FailureBudget, outside)
    backend.access_tokens = cast(AccessTokens, outside)
    runtime = deployment.stack.functions
    assert isinstance(runtime, Runtime)
    context = context_of(deployment.stack.application.functions["decrypt"])
    function = Function(
        lambda event, context: runtime.handlers["decrypt"](event, context, lambda: backend),
        replace(context, deadline=time.perf_counter() + 3600),
        outside.calls,
        outside.quietly,
    )
    with functions_write_to(function.written):
        yield function
    for secret in (phone.openid, phone.unionid, phone.session_key, phone.number):
        assert not any(each in function.written.getvalue() for each in spellings(str(secret)))


class _Outside:
    """Knows one session, has no budget, and counts what would be asked of DynamoDB and WeChat."""

    def __init__(self, phone: Phone, older_keys: tuple[str, ...]) -> None:
        self.calls: list[str] = []
        self._asks = True
        key = str(phone.session_key)
        session = Session(bytes(16), "", phone.appid, phone.openid, phone.unionid, key, 2**40)
        self._history = History(session, (key, *older_keys), Spent(bytes(16)))

    def find_with_history(self, _: str) -> History:
        self.calls.append("Query")
        return self._history

    def is_vouched_for(self, *_: object) -> bool:
        """WeChat has vouched for nothing."""
        return False

    def check(self, _: Spent) -> None:
        """The budget is never used up."""

    def count(self, _: Spent) -> None:
        self.calls.append("UpdateItem")

    def using(self, *_: object) -> bool:
        """Be the access_tokens, and WeChat, which did not make what it is asked about."""
        if self._asks:
            self.calls.append("checkEncryptedData")
        return False

    @contextmanager
    def quietly(self) -> Iterator[None]:
        self._asks = False
        yield
        self._asks = True


def leaky(function: Function, channel: str, phone: Phone) -> Function:
    handler = leaking(
        function.handler, LEAKS[channel], lambda: str(phone.session_key), function.quietly
    )
    function.handler = handler
    return function


def chosen(phone: Phone, **watermark: object) -> dict[str, object]:
    """A phone number that WeChat never encrypted: right appid, fresh timestamp."""
    return {
        "phoneNumber": FORGED,
        "purePhoneNumber": FORGED,
        "countryCode": "86",
        "watermark": {"timestamp": int(time.time()), "appid": phone.appid} | watermark,
    }


def failures(phone: Phone) -> dict[str, Sample]:
    """Every way to fail, made with the session_key, which is more than an attacker could."""

    def encrypted(plaintext: dict[str, object] | bytes) -> Sample:
        ciphertext, iv = phone.encrypt(plaintext)
        return base64.b64decode(iv), base64.b64decode(ciphertext)

    tap = phone.tap_phone_number()
    wrong, right = wrong_and_right(tap.encrypted_data, tap.iv)
    longest = json.dumps(chosen(phone, appid="wxfedcba9876543210") | {"x": "y" * 11_000}).encode()
    iv, of_longest = encrypted(longest)
    cut = bytearray(of_longest)
    cut[-17] ^= 0x80
    return {
        "wrong padding": wrong,
        "right padding": right,
        "right padding, JSON": encrypted(b'{"phoneNumber": "13580006666"}'),
        "another app's": encrypted(chosen(phone, appid="wxfedcba9876543210")),
        "stale": encrypted(chosen(phone, timestamp=1_700_000_000)),
        "perfect, but not WeChat's": encrypted(chosen(phone)),
        "the longest body, right padding": (iv, of_longest),
        "the longest body, wrong padding": (iv, bytes(cut)),
    }


class TestTheAttackWorks:
    """Against each leak, so that it may be believed where it fails."""

    def test_a_whole_phone_number_is_forged_and_only_check_encrypted_data_refuses_it(
        self,
        api: Api,
        deployment: Deployment,
        attacker: Phone,
        genuine: tuple[Sample, Sample],
        say: Say,
    ) -> None:
        document = json.dumps(chosen(attacker), separators=(",", ":")).encode()
        with alone(deployment, attacker) as function:
            oracle = learn(leaky(function, "status", attacker), *genuine, "status")
            assert oracle
            iv, ciphertext = forge(oracle, document)
        say(
            f"forging a phone number ({len(ciphertext)} bytes) where the status tells of padding: "
            f"{function.sent:,} requests"
        )
        assert function.sent > 10_000

        token = api.logged_in(attacker)
        for check, status in (("true", 422), ("false", 200)):
            deployment.configure(CHECK_ENCRYPTED_DATA=check)
            answer = api.decrypt(token=token, **as_fields(iv, ciphertext))
            assert answer.status == status
        assert answer.json["data"]["phoneNumber"] == FORGED

    @pytest.mark.parametrize("channel", CHANNELS)
    def test_a_block_is_forged_through_whatever_leaks(
        self,
        channel: str,
        attacker: Phone,
        function: Function,
        genuine: tuple[Sample, Sample],
        say: Say,
    ) -> None:
        oracle = learn(leaky(function, channel, attacker), *genuine, channel)
        assert oracle
        learnt = function.sent
        seen = ""
        if channel in MEASURED:
            found = tell_apart(function, *genuine, channel)
            assert found.told_apart
            seen = f"{found.difference * 1e6:+.0f} µs, {found.pairs} pairs, p = {found.p:.2g}; "
            function.sent = learnt
        iv, ciphertext = forge(oracle, b'{"a":"chosen"}', looks=3 if seen else 1)
        key = base64.b64decode(str(attacker.session_key))
        plaintext = AES.new(key, AES.MODE_CBC, iv=iv).decrypt(ciphertext)
        assert plaintext == b'{"a":"chosen"}\x02\x02'
        say(
            f"leak by {channel}: {seen}learnt with {learnt} requests, a block of 16 bytes forged "
            f"with {function.sent - learnt:,} more"
        )


class TestOurs:
    @pytest.mark.parametrize("channel", CHANNELS)
    def test_teaches_the_attacker_nothing(
        self, channel: str, function: Function, genuine: tuple[Sample, Sample]
    ) -> None:
        assert learn(function, *genuine, channel) is None

    def test_every_failure_takes_the_same_time(
        self, deployment: Deployment, attacker: Phone, say: Say
    ) -> None:
        """With as many keys to try as there can be, and the longest body there can be."""
        older = [base64.b64encode(bytes([each]) * 16).decode() for each in range(3)]
        kinds = failures(attacker)
        longest = "the longest body, wrong padding"
        with alone(deployment, attacker, *older) as function:
            for kind, sample in kinds.items():
                usual = longest if kind.startswith("the longest") else "wrong padding"
                observations = in_turn(function, kinds[usual], sample)
                figures = []
                for channel, measure in MEASURED.items():
                    found = compare(*([measure(each) for each in seen] for seen in observations))
                    assert not found.told_apart, (kind, channel)
                    figures.append(
                        f"{found.difference * 1e6:+.0f} µs of {channel}, p = {found.p:.2g}"
                    )
                say(f"ours: {kind} v. {usual}, {PAIRS} pairs: {'; '.join(figures)}")

    def test_every_failure_tries_every_key(self, deployment: Deployment, attacker: Phone) -> None:
        older = [base64.b64encode(bytes([each]) * 16).decode() for each in range(3)]
        with alone(deployment, attacker, *older) as function:
            for kind, sample in failures(attacker).items():
                decryptions = 0

                def note(frame: FrameType, event: str, _: object) -> None:
                    nonlocal decryptions
                    decryptions += event == "call" and frame.f_code is decrypt_open_data.__code__

                sys.setprofile(note)
                try:
                    function(*sample)
                finally:
                    sys.setprofile(None)
                assert decryptions == 4, kind


class TestComparison:
    """The instrument itself."""

    def test_a_false_alarm_is_less_probable_than_one_in_a_million_in_all(self) -> None:
        assert FALSE_ALARM * 500 < 1e-6  # there are fewer looks than that

    def test_it_is_the_exact_probability_of_so_many_heads(self) -> None:
        gains = [0.001] * 20 + [0.0] * 10
        found = compare([0.0] * 30, gains)
        assert found.p == pytest.approx(2 * 0.0493685733526945)

    def test_noise_however_great_is_no_difference(self) -> None:
        chance = random.Random(1)  # noqa: S311
        noise = [[chance.lognormvariate(-5, 3) for _ in range(PAIRS)] for _ in range(2)]
        assert not compare(*noise).told_apart

    def test_a_millisecond_is_seen_in_noise_as_great_as_itself(self) -> None:
        chance = random.Random(1)  # noqa: S311
        one = [abs(chance.gauss(0, 0.0005)) for _ in range(PAIRS)]
        other = [0.001 + abs(chance.gauss(0, 0.0005)) for _ in range(PAIRS)]
        assert compare(one, other).told_apart
        assert compare(other, one).told_apart
        assert LEAST == 0.001 / 2


class TestTheIv:
    """checkEncryptedData knows the ciphertext, not the iv, which decides the first 16 bytes."""

    @pytest.mark.parametrize(
        "opening",
        [
            b'{"phonenumber":"',
            b'{"countryCode":"',
            b'{"a":"","bcde":"',
            b'{"openGId":"9999',  # then 13800138000","purePhoneNumber":…
            b'["phoneNumber":"',
            b' {"phoneNumber":',
            b'{"phoneNumber":1',
        ],
    )
    def test_with_another_one_a_number_is_none_any_more(
        self, opening: bytes, api: Api, attacker: Phone
    ) -> None:
        token = api.logged_in(attacker)
        tap = attacker.tap_phone_number()
        spelt = zip(base64.b64decode(tap.iv), b'{"phoneNumber":"', opening, strict=True)
        iv = bytes(a ^ b ^ c for a, b, c in spelt)
        answer = api.decrypt(token=token, **as_fields(iv, base64.b64decode(tap.encrypted_data)))
        assert answer.problem == (422, "undecryptable", "login_again")
