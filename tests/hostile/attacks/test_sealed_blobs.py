"""Sealed blobs that an attacker with a hand in the tables moves, cuts or changes."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.harness.figures import Say
from tests.hostile.attacks.leak_watch import Watch
from wechat_auth import phone as phone_exchange
from wechat_auth import services
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError
from wechat_auth.sessions import Sessions
from wechat_crypto import KeyRing

Item = dict[str, Any]

ENDED = (401, "session_invalid", "login_again")
UNAVAILABLE = (503, "wechat_unavailable", "retry")


@dataclass(frozen=True, slots=True)
class Place:
    """A blob in its item, and what is answered where it does not unseal.

    Attributes:
        name: Whose it is, for messages.
        table: Of the item.
        item: The item, whole.
        purpose: What the blob was sealed for.
        context: Where it was sealed for.
        request: What the owner asks, and what the blob gave them before.
    """

    name: str
    table: str
    item: Item
    purpose: str
    context: str
    request: Callable[[], object]

    @property
    def blob(self) -> bytes:
        if "data" in self.item:
            return base64.b64decode(json.loads(self.item["data"]["S"])["sealed"])
        return bytes(self.item["sealed"]["B"])

    def holding(self, blob: bytes) -> Item:
        """Return the item with another blob."""
        if "data" in self.item:
            text = json.dumps({"sealed": base64.b64encode(blob).decode()})
            return self.item | {"data": {"S": text}}
        return self.item | {"sealed": {"B": blob}}


@pytest.fixture
def places(
    api: Api, backend: Backend, phone: Phone, wechat: SimulatedWeChat, watch: Watch
) -> list[Place]:
    """Two sessions of one user, one of another, two phone exchanges and the access_token."""
    other = wechat.phone(number="13580006666")
    places: list[Place] = []
    for name, owner in (("mine", phone), ("mine too", phone), ("theirs", other)):
        known = backend.items("Sessions")
        token = watch.token(api.logged_in(watch.person(owner)))
        item = new_item(backend, "Sessions", known)
        where = f"{backend.table('Sessions')}|{item['user']['B'].hex()}|{item['session']['S']}"

        def session(token: str = token) -> object:
            answer = api.session(token)
            return answer.problem if answer.status >= 400 else answer.status

        places.append(Place(f"session {name}", "Sessions", item, "session", where, session))
    for name, owner in (("mine", phone), ("theirs", other)):
        known = backend.items("PhoneExchanges")
        code = watch.tap(owner.tap_phone_number()).code
        assert api.phone(code).json["phoneNumber"] == owner.number
        item = new_item(backend, "PhoneExchanges", known)
        ring = services.secret_store().key_ring()
        where = ring.fingerprint(owner.appid, "", code, purpose="phone_exchange").hex()

        def number(code: str = code) -> object:
            answer = api.phone(code)
            return answer.problem if answer.status >= 400 else answer.json["phoneNumber"]

        places.append(
            Place(f"number {name}", "PhoneExchanges", item, "phone_exchange", where, number)
        )

    def access_token(token: str = token) -> object:
        services.access_tokens.cache_clear()
        asked = wechat.count("getStableAccessToken")
        assert api.session(token, "?verify=true").json["sessionKeyValid"] is True
        return "asked WeChat" if wechat.count("getStableAccessToken") > asked else "stored"

    item = new_item(backend, "AccessTokens", [])
    where = f"{backend.table('AccessTokens')}|{phone.appid}"
    places.append(Place("access_token", "AccessTokens", item, "access_token", where, access_token))
    return places


def new_item(backend: Backend, table: str, known: list[Item]) -> Item:
    (item,) = [each for each in backend.items(table) if each not in known]
    return item


REFUSED = {"Sessions": ENDED, "PhoneExchanges": UNAVAILABLE, "AccessTokens": "asked WeChat"}


def test_a_blob_unseals_in_its_own_place_alone(
    places: list[Place], backend: Backend, say: Say
) -> None:
    moved = 0
    for here in places:
        good = here.request()
        assert good != REFUSED[here.table]
        for there in places:
            if there is not here:
                backend.put(here.table, here.holding(there.blob))
                assert here.request() == REFUSED[here.table], f"{there.name} in {here.name}"
                moved += 1
            backend.put(here.table, here.item)
        assert here.request() == good
    say(f"sealed blobs: {moved} moved between items, users, tables and purposes: none unseals")


def test_without_its_place_sealed_in_a_moved_blob_would_unseal(
    api: Api, backend: Backend, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sessions, "_context", lambda *_: "anywhere")
    token = api.logged_in(phone)
    mine = new_item(backend, "Sessions", [])
    api.logged_in(phone)
    other = new_item(backend, "Sessions", [mine])
    backend.put("Sessions", mine | {"sealed": other["sealed"]})
    assert api.session(token).status == 200


def test_a_blob_under_another_key_of_the_same_name_does_not_unseal(
    places: list[Place], backend: Backend
) -> None:
    foreign = KeyRing({"k1": "x" * 64}, "k1")
    ring = services.secret_store().key_ring()
    for place in places:
        kept = {"purpose": place.purpose, "context": place.context}
        content = ring.unseal(place.blob, **kept)
        for blob, answer in (
            (ring.seal(content, **kept), place.request()),
            (foreign.seal(content, **kept), REFUSED[place.table]),
            (foreign.seal(content, purpose=place.purpose, context=""), REFUSED[place.table]),
        ):
            backend.put(place.table, place.holding(blob))
            assert place.request() == answer
            backend.put(place.table, place.item)


def changed(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Every way to cut a blob, at either end, and to flip one of its bits."""
    for length in range(len(blob)):
        yield f"cut to {length}", blob[:length]
        yield f"its first {length} cut off", blob[length + 1 :]
    for bit in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} flipped", bytes(flipped)
    yield "lengthened", blob + b"\0"


def test_no_session_survives_a_cut_or_a_flipped_bit(places: list[Place], say: Say) -> None:
    """Read as the table would give it; the same over HTTP at each part's first bit, below."""
    sessions, place = services.sessions(), places[0]
    user = place.item["user"]["B"]
    assert sessions._open(user, place.item) is not None
    count = 0
    for how, blob in changed(place.blob):
        assert sessions._open(user, place.holding(blob)) is None, how
        count += 1
    say(f"sealed blobs: a session's {len(place.blob)} bytes cut or changed in {count:,} ways")


def test_no_number_survives_a_cut_or_a_flipped_bit(places: list[Place]) -> None:
    (place,) = [each for each in places if each.name == "number mine"]

    def opens(text: str) -> bool:
        try:
            phone_exchange._open({"sealed": text}, place.context)
        except AuthError as error:
            if error.problem is WECHAT_UNAVAILABLE:
                return False
            raise
        return True

    text = base64.b64encode(place.blob).decode()
    assert opens(text)
    for how, blob in changed(place.blob):
        assert not opens(base64.b64encode(blob).decode()), how
    for length in range(len(text)):
        assert not opens(text[:length]), length
    assert not opens("号" + text)


def test_over_http_a_damaged_blob_is_the_contracts_answer_and_never_500(
    places: list[Place], backend: Backend
) -> None:
    for place in places:
        parts = (0, 1, 3, len(place.blob) - 1)  # length of key id, key id, nonce, tag
        damages = [place.blob[:part] for part in parts] + [
            place.blob[:part] + bytes([place.blob[part] ^ 0x80]) + place.blob[part + 1 :]
            for part in parts
        ]
        for damaged in damages:
            backend.put(place.table, place.holding(damaged))
            assert place.request() == REFUSED[place.table]
            backend.put(place.table, place.item)
