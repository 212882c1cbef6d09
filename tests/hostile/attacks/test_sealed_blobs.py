"""Sealed blobs that an attacker with a hand in the tables moves, cuts or changes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import IDEMPOTENCY_KEY as KEY
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.hostile.attacks.leak_watch import Watch
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError
from wechat_auth.phone_records import PhoneRecords
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import Sessions
from wechat_auth.storage import Table
from wechat_auth.wechat import PhoneNumber
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


class OneItem(Table):
    """A table in which one item is found whatever is asked for."""

    def __init__(self, place: Place, deployment: Deployment) -> None:
        super().__init__(deployment.table(place.table), deployment.backend.aws.dynamodb, 1)
        self.item = {name: value for field in place.item.items() for name, value in [plain(field)]}

    def get(self, key: Item, *, consistent: bool = True) -> Item:  # noqa: ARG002
        return self.item

    def put_if(self, condition: str, item: Item, values: Item) -> Item:  # noqa: ARG002
        return self.item


def plain(field: tuple[str, Any]) -> tuple[str, Any]:
    """Return an attribute of the low-level API as a Python value."""
    name, attribute = field
    ((kind, value),) = attribute.items()
    return name, int(value) if kind == "N" else value


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
    )
    token = api.logged_in(phone)
    mine = new_item(deployment, "Sessions", [])
    api.logged_in(phone)
    other = new_item(deployment, "Sessions", [mine])
    deployment.put("Sessions", mine | {"sealed": other["sealed"]})
    assert api.session(token).status == 200


def test_a_blob_under_another_key_of_the_same_name_does_not_unseal(
    places: list[Place], deployment: Deployment
) -> None:
    foreign = KeyRing({"k1": "x" * 64}, "k1")
    ring = deployment.backend.secrets.key_ring()
    for place in places:
        kept = {"purpose": place.purpose, "context": place.context}
        content = ring.unseal(place.blob, **kept)
        for blob, answer in (
            (ring.seal(content, **kept), place.request()),
            (foreign.seal(content, **kept), REFUSED[place.table]),
            (foreign.seal(content, purpose=place.purpose, context=""), REFUSED[place.table]),
        ):
            deployment.put(place.table, place.holding(blob))
            assert place.request() == answer
            deployment.put(place.table, place.item)


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


def test_no_session_survives_a_cut_or_a_flipped_bit(
    places: list[Place], deployment: Deployment, say: Say
) -> None:
    """Read as the table would give it; the same over HTTP at each part's first bit, below."""
    place = places[0]
    table = OneItem(place, deployment)
    sessions = Sessions(
        table, deployment.backend.secrets, appids=(deployment.stack.appid,), life=7 * 86_400
    )
    assert sessions.find(place.key)
    count = 0
    for how, blob in changed(place.blob):
        table.item["sealed"] = blob
        with pytest.raises(AuthError):
            pytest.fail(f"{how}: {sessions.find(place.key)}")
        count += 1
    say(f"sealed blobs: a session's {len(place.blob)} bytes cut or changed in {count:,} ways")


def test_no_number_survives_a_cut_or_a_flipped_bit(
    places: list[Place], deployment: Deployment
) -> None:
    (place,) = [each for each in places if each.name == "number mine"]
    table = OneItem(place, deployment)
    records = PhoneRecords(table, deployment.backend.secrets)

    def kept() -> PhoneNumber:
        return records.once(
            deployment.stack.appid,
            None,
            place.key,
            lambda: pytest.fail("asked"),
            idempotency_key=KEY,
        )

    assert kept().phone_number == "13800138000"
    for how, blob in changed(place.blob):
        table.item["sealed"] = blob
        with pytest.raises(AuthError) as caught:
            pytest.fail(f"{how}: {kept()}")
        assert caught.value.problem is WECHAT_UNAVAILABLE


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
