"""Sealed blobs that an attacker with a hand in the tables moves, cuts or changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import IDEMPOTENCY_KEY as KEY
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.hostile.attacks.leak_watch import Watch
from wechat_auth.secret_store import SecretStore
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
        key: The session token or the phone code.
        request: What the owner asks, and what the blob gave them before.
    """

    name: str
    table: str
    item: Item
    purpose: str
    context: str
    key: str
    request: Callable[[], object]

    @property
    def blob(self) -> bytes:
        return bytes(self.item["sealed"]["B"])

    def holding(self, blob: bytes) -> Item:
        """Return the item with another blob."""
        return self.item | {"sealed": {"B": blob}}


@pytest.fixture
def places(
    api: Api, deployment: Deployment, phone: Phone, wechat: SimulatedWeChat, watch: Watch
) -> list[Place]:
    """Two sessions of one user, one of another, two phone exchanges and the access_token."""
    other = wechat.phone(number="13580006666")
    places: list[Place] = []
    for name, owner in (("mine", phone), ("mine too", phone), ("theirs", other)):
        known = deployment.items("Sessions")
        token = watch.token(api.logged_in(watch.person(owner)))
        item = new_item(deployment, "Sessions", known)
        where = "|".join(
            (
                deployment.table("Sessions"),
                item["user"]["B"].hex(),
                item["session"]["S"],
                item["expires_at"]["N"],
            )
        )

        def session(token: str = token) -> object:
            answer = api.session(token)
            return answer.problem if answer.status >= 400 else answer.status

        places.append(Place(f"session {name}", "Sessions", item, "session", where, token, session))
    for name, owner in (("mine", phone), ("theirs", other)):
        known = deployment.items("PhoneExchanges")
        code = watch.tap(owner.tap_phone_number()).code
        assert api.phone(code, key=KEY).json["phoneNumber"] == owner.number
        item = new_item(deployment, "PhoneExchanges", known)
        ring = deployment.backend.secrets.key_ring()
        where = ring.fingerprint(owner.appid, "", code, KEY, purpose="phone_exchange").hex()

        def number(code: str = code) -> object:
            answer = api.phone(code, key=KEY)
            return answer.problem if answer.status >= 400 else answer.json["phoneNumber"]

        places.append(
            Place(f"number {name}", "PhoneExchanges", item, "phone_exchange", where, code, number)
        )

    def access_token(token: str = token) -> object:
        deployment.cold_start()
        asked = wechat.count("getStableAccessToken")
        assert api.session(token, "?verify=true").json["sessionKeyValid"] is True
        return "asked WeChat" if wechat.count("getStableAccessToken") > asked else "stored"

    item = new_item(deployment, "AccessTokens", [])
    where = f"{deployment.table('AccessTokens')}|{phone.appid}"
    places.append(
        Place("access_token", "AccessTokens", item, "access_token", where, "", access_token)
    )
    return places


def new_item(deployment: Deployment, table: str, known: list[Item]) -> Item:
    (item,) = [each for each in deployment.items(table) if each not in known]
    return item


REFUSED = {"Sessions": ENDED, "PhoneExchanges": UNAVAILABLE, "AccessTokens": "asked WeChat"}


def test_a_blob_unseals_in_its_own_place_alone(
    places: list[Place], deployment: Deployment, say: Say
) -> None:
    moved = 0
    for here in places:
        good = here.request()
        assert good != REFUSED[here.table]
        for there in places:
            if there is not here:
                deployment.put(here.table, here.holding(there.blob))
                assert here.request() == REFUSED[here.table], f"{there.name} in {here.name}"
                moved += 1
            deployment.put(here.table, here.item)
        assert here.request() == good
    say(f"sealed blobs: {moved} moved between items, users, tables and purposes: none unseals")


class Anywhere(KeyRing):
    """Seals without the place."""

    def seal(self, plaintext: bytes, *, purpose: str, context: str) -> bytes:  # noqa: ARG002
        return super().seal(plaintext, purpose=purpose, context="anywhere")

    def unseal(self, blob: bytes, *, purpose: str, context: str) -> bytes:  # noqa: ARG002
        return super().unseal(blob, purpose=purpose, context="anywhere")


class Placeless(SecretStore):
    """A store whose ring seals without the place."""

    def key_ring(self) -> KeyRing:
        return Anywhere({"k1": "k1" * 32}, "k1")


def test_without_its_place_sealed_in_a_moved_blob_would_unseal(
    api: Api, deployment: Deployment, phone: Phone
) -> None:
    settings = deployment.backend.settings
    deployment.backend.secrets = Placeless(
        deployment.backend.aws,
        key_ring_id=settings.key_ring_id,
        app_secrets_id=settings.app_secrets_id,
        api_clients_id=settings.api_clients_id,
    )
    token = api.logged_in(phone)
    mine = new_item(deployment, "Sessions", [])
    api.logged_in(phone)
    other = new_item(deployment, "Sessions", [mine])
    deployment.put("Sessions", mine | {"sealed": other["sealed"]})
    assert api.session(token).status == 200


def test_over_http_a_damaged_blob_is_the_contracts_answer_and_never_500(
    places: list[Place], deployment: Deployment
) -> None:
    for place in places:
        parts = (0, 1, 3, len(place.blob) - 1)  # length of key id, key id, nonce, tag
        damages = [place.blob[:part] for part in parts] + [
            place.blob[:part] + bytes([place.blob[part] ^ 0x80]) + place.blob[part + 1 :]
            for part in parts
        ]
        for damaged in damages:
            deployment.put(place.table, place.holding(damaged))
            assert place.request() == REFUSED[place.table]
            deployment.put(place.table, place.item)
