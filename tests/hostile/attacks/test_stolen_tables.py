"""A dump of every table gives its holder nothing to use and nothing to read."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import IDEMPOTENCY_KEY, Api, legacy
from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.hostile.attacks.leak_watch import Watch
from tests.hostile.attacks.stolen import Stolen, Thief


class Life:
    """Some users' life, and what must not be found of it in the tables."""

    def __init__(
        self, api: Api, deployment: Deployment, watch: Watch, clock: time_machine.Traveller
    ):
        self.api = api
        self.deployment = deployment
        self.watch = watch
        self.clock = clock
        wechat = deployment.wechat
        self.people = [wechat.phone(number=n) for n in ("13800138000", "13580006666")]
        self.tokens: list[str] = []

    @property
    def wechat(self) -> SimulatedWeChat:
        return self.deployment.wechat

    def goes_on(self) -> None:
        """Log in, exchange and decrypt, fail, renew the token, rotate the key, and again."""
        for _ in range(2):
            for phone in self.people:
                self.of(phone)
            self.clock.shift(7000)  # into the access_token's last minutes
            self.deployment.stack.invoke("refresh_access_token", {})
            ring = self.deployment.secret("KeyRing")
            self.deployment.put_secret("KeyRing", ring | {"current": "k2", "k2": "k2" * 32})
            self.deployment.cold_start()
        for phone in self.people:
            self.of(phone)
        for key in ("k1" * 32, "k2" * 32):
            self.watch.secrets.note("key", key)
        for token in self.wechat.access_tokens:
            self.watch.secrets.note("access_token", token)

    def of(self, phone: Phone) -> None:
        code = phone.login()
        self.watch.secrets.note("login code", code)
        token = self.watch.token(self.api.login(code).json["token"])
        self.tokens.append(token)
        self.watch.person(phone)
        for sent in ({"token": token}, {"key": IDEMPOTENCY_KEY}):
            tap = self.watch.tap(phone.tap_phone_number())
            assert self.api.phone(tap.code, **sent).status == 200
            assert self.api.decrypt(token=token, **legacy(tap)).status == 200
        bad, iv = phone.encrypt(b"nonsense")
        assert self.api.decrypt(token=token, encryptedData=bad, iv=iv).status == 422

    def thief(self) -> Thief:
        captured = self.people[0].tap_phone_number()
        return Thief(self.deployment.stack, captured, self.watch.secrets)


@pytest.fixture
def life(api: Api, deployment: Deployment, watch: Watch, clock: time_machine.Traveller) -> Life:
    life = Life(api, deployment, watch, clock)
    life.goes_on()
    return life


def test_no_field_in_no_decoding_is_a_credential_or_personal_data(
    life: Life, deployment: Deployment, say: Say
) -> None:
    dump = deployment.dump()
    assert {name: len(items) for name, items in dump.items()} == {
        "Sessions": 10,  # of two users 3 logins each, and a count of failures under either key
        "AccessTokens": 1,
        "PhoneExchanges": 12,
    }
    stolen, thief = Stolen(dump), life.thief()
    assert thief.finds(stolen) == set()
    say(
        f"stolen tables: {sum(map(len, dump.values()))} items, {len(stolen.fields)} fields, "
        f"{len(stolen.readings)} readings of them, {thief.tries(stolen):,} tries as token, code, "
        "access_token or session_key: none works, nothing can be read"
    )


ENCODINGS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "as it is": lambda value: {"S": value.decode()},
    "as bytes": lambda value: {"B": value},
    "within JSON": lambda value: {"S": json.dumps({"a": [{"b": value.decode()}]})},
    "in base64": lambda value: {"S": base64.b64encode(value).decode()},
    "in base64url without padding": lambda value: {
        "S": base64.urlsafe_b64encode(value).decode().rstrip("=")
    },
    "in hex": lambda value: {"S": value.hex()},
    "in base64 of JSON in a map": lambda value: {
        "M": {"x": {"B": base64.b64encode(json.dumps({"y": value.decode()}).encode())}}
    },
    "between others": lambda value: {"S": f"user#{value.decode()}|1"},
}


def test_the_same_search_finds_what_a_careless_table_would_hold(life: Life) -> None:
    thief, phone = life.thief(), life.people[0]
    (app,) = life.wechat.apps
    values = {
        "openid": phone.openid,
        "unionid": phone.unionid,
        "phone number": phone.number,
        "AppSecret": app.secret,
        "session_key": phone.session_key,
        "access_token": next(filter(life.wechat.accepts, life.wechat.access_tokens)),
        "session token": life.tokens[0],
    }
    for encoding, encode in ENCODINGS.items():
        codes = {
            "login code": life.people[1].login(),
            "phone code": phone.tap_phone_number().code,
        }
        planted = [encode(str(value).encode()) for value in (values | codes).values()]
        found = thief.finds(beside(life.tokens[0], {"L": planted}))
        assert found >= set(values | codes), encoding

    # Bytes within bytes.
    token = life.tokens[0]
    secret = base64.urlsafe_b64decode(token + "==")[20:]
    key = base64.b64decode(str(life.people[0].session_key))
    for kind, value in (("session token", secret), ("session_key", key)):
        for around in (b"", b"around"):
            assert thief.finds(beside(token, {"B": around + value + around})) == {kind}

    # A hash of what can be guessed.
    for name in ("md5", "sha1", "sha256"):
        number = hashlib.new(name, b"13800138000", usedforsecurity=False)
        for hashed in ({"S": number.hexdigest()}, {"B": number.digest()}):
            assert thief.finds(beside(life.tokens[0], hashed)) == {"hash of phone number"}


def beside(token: str, planted: dict[str, Any]) -> Stolen:
    """Put a field beside the place of a session."""
    decoded = base64.urlsafe_b64decode(token + "==")
    issued, fraction = int.from_bytes(decoded[16:20], "big"), int.from_bytes(decoded[20:22], "big")
    place = {
        "user": {"B": decoded[:16]},
        "session": {
            "S": f"{issued:010d}.{fraction:05d}#{hashlib.sha256(decoded[20:]).hexdigest()}"
        },
    }
    return Stolen({"Sessions": [place | {"note": planted}]})
