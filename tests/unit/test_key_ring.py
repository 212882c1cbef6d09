"""`make rotate-keys`: two runs of one write each, and no key that is needed is dropped."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
import time_machine

from infra.key_ring import Rotation
from infra.secret import SecretError, read
from wechat_crypto import KeyRing

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

BEGIN = datetime(2027, 1, 1, 12, tzinfo=UTC)
K1 = "k1" * 32
WEEK = timedelta(days=7)


class Operator:
    """Rotates the keys of a stack whose sessions live a week."""

    def __init__(self, client: "SecretsManagerClient", clock: time_machine.Traveller) -> None:
        self.client = client
        self.clock = clock
        self.rotation = Rotation(client, client.create_secret(Name="KeyRing")["ARN"], WEEK)
        self.put({"current": "k1", "k1": K1})

    def put(self, ring: object) -> None:
        text = ring if isinstance(ring, str) else json.dumps(ring)
        self.client.put_secret_value(SecretId="KeyRing", SecretString=text)

    @property
    def ring(self) -> dict[str, str]:
        answer = self.client.get_secret_value(SecretId="KeyRing", VersionStage="AWSCURRENT")
        assert KeyRing.from_json(answer["SecretString"])
        ring: dict[str, str] = json.loads(answer["SecretString"])
        return ring

    def run_after(self, pause: timedelta) -> str:
        self.clock.shift(pause)
        return self.rotation.go_on()

    def refused_after(self, pause: timedelta) -> str:
        before = self.ring
        self.clock.shift(pause)
        with pytest.raises(SecretError) as refused:
            self.rotation.go_on()
        assert self.ring == before
        return str(refused.value)


@pytest.fixture
def operator(aws_account: None) -> Iterator[Operator]:
    with time_machine.travel(BEGIN, tick=False) as clock:
        yield Operator(boto3.client("secretsmanager", region_name="ap-southeast-1"), clock)


NOW, TEN_MINUTES, QUARTER = timedelta(), timedelta(minutes=10), timedelta(days=90)


def test_the_first_run_adds_a_key_that_seals_nothing_and_says_when_to_come_back(
    operator: Operator,
) -> None:
    assert operator.run_after(NOW) == (
        "Added the key k20270101T120000Z. k1 still is the current one.\n"
        "Run this again at 2027-01-01 12:10:00 UTC or later: by then every function knows the new "
        "key."
    )
    assert list(operator.ring) == ["current", "k1", "k20270101T120000Z"]
    assert (operator.ring["current"], operator.ring["k1"]) == ("k1", K1)
    assert re.fullmatch(r"[\w-]{64}", operator.ring["k20270101T120000Z"])


def test_the_second_is_refused_for_ten_minutes_and_says_how_long(operator: Operator) -> None:
    operator.run_after(NOW)
    for pause in (NOW, TEN_MINUTES - timedelta(seconds=1)):
        assert operator.refused_after(pause) == (
            "k20270101T120000Z was added at 2027-01-01 12:00:00 UTC, and not every function knows "
            "it yet. Nothing was changed: run this again at 2027-01-01 12:10:00 UTC or later."
        )
    operator.run_after(timedelta(seconds=1))
    assert operator.ring["current"] == "k20270101T120000Z"


def test_the_second_makes_it_current_and_keeps_the_one_before(operator: Operator) -> None:
    operator.run_after(NOW)
    added = operator.ring
    assert operator.run_after(TEN_MINUTES) == (
        "k20270101T120000Z now is the current key.\n"
        "Kept k1: sessions may need it until 2027-01-09 12:10:00 UTC. The first rotation after "
        "that drops it.\n"
        "This rotation is complete. To run this again begins the next one."
    )
    assert operator.ring == added | {"current": "k20270101T120000Z"}


def test_the_next_rotation_drops_what_no_session_needs_any_more(operator: Operator) -> None:
    operator.run_after(NOW)
    operator.run_after(TEN_MINUTES)
    operator.run_after(QUARTER)
    assert list(operator.ring) == ["current", "k1", "k20270101T120000Z", "k20270401T121000Z"]
    said = operator.run_after(TEN_MINUTES)
    assert "Dropped k1: no session that it sealed is left.\n" in said
    assert list(operator.ring) == ["current", "k20270101T120000Z", "k20270401T121000Z"]
    assert operator.ring["current"] == "k20270401T121000Z"


@pytest.mark.parametrize(("days", "kept"), [(7, True), (8, False)])
def test_a_key_is_kept_for_the_life_of_a_session_and_a_day(
    operator: Operator, days: int, kept: bool
) -> None:
    operator.run_after(NOW)
    operator.run_after(TEN_MINUTES)  # k1 stops being current
    operator.run_after(timedelta(days=days) - TEN_MINUTES)
    operator.run_after(TEN_MINUTES)
    assert ("k1" in operator.ring) is kept


def test_rotations_in_quick_succession_drop_nothing(operator: Operator) -> None:
    for _ in range(10):
        operator.run_after(TEN_MINUTES)
    assert len(operator.ring) == 1 + 6
    assert operator.ring["current"] == max(operator.ring.keys() - {"current", "k1"})


def test_a_second_run_that_comes_late_keeps_the_key_that_sealed_until_then(
    operator: Operator,
) -> None:
    operator.run_after(NOW)
    operator.run_after(QUARTER)
    assert list(operator.ring) == ["current", "k1", "k20270101T120000Z"]


def test_ids_are_never_used_twice_though_keys_are_dropped(operator: Operator) -> None:
    seen: set[str] = set()
    for _ in range(12):
        operator.run_after(TEN_MINUTES)
        new = operator.ring.keys() - seen
        assert len(new) == (3 if not seen else 1)
        seen |= new
        operator.run_after(QUARTER)
        assert operator.ring.keys() <= seen
    assert len(operator.ring) == 1 + 2


def test_a_ring_of_the_earlier_recipe_goes_on(operator: Operator) -> None:
    operator.put({"current": "k2", "k1": K1, "k2": K1[::-1]})
    operator.run_after(QUARTER)
    operator.run_after(TEN_MINUTES)
    assert list(operator.ring) == ["current", "k2", "k20270401T120000Z"]


def test_two_operators_at_the_same_time_make_one_step(operator: Operator) -> None:
    def other() -> None:
        operator.rotation.go_on()

    with pytest.raises(SecretError, match="changed meanwhile and nothing was written"):
        meanwhile(operator, other).go_on()
    added = operator.ring
    assert len(added) == 1 + 2
    operator.clock.shift(TEN_MINUTES)
    assert "now is the current key" in meanwhile(operator, other).go_on()  # both do the same
    assert operator.ring == added | {"current": "k20270101T120000Z"}
    assert len(read(operator.client, operator.rotation.secret_id)) == 2


def meanwhile(operator: Operator, other: Callable[[], None]) -> Rotation:
    """Return a rotation that another one overtakes between its reads and its write."""

    class Overtaken:
        def __init__(self) -> None:
            self.get_secret_value = operator.client.get_secret_value

        def put_secret_value(self, **arguments: Any) -> Any:
            other()
            return operator.client.put_secret_value(**arguments)

    rotation = operator.rotation
    return Rotation(cast("Any", Overtaken()), rotation.secret_id, rotation.session_life)


def test_a_run_whose_answer_was_lost_may_be_repeated(operator: Operator) -> None:
    operator.run_after(NOW)
    done = operator.ring
    assert "run this again at 2027-01-01 12:10:00 UTC" in operator.refused_after(NOW)
    operator.run_after(TEN_MINUTES)
    assert operator.ring == done | {"current": "k20270101T120000Z"}


def test_a_version_that_was_put_back_by_hand_gets_a_date_first(operator: Operator) -> None:
    operator.run_after(NOW)
    old = read(operator.client, operator.rotation.secret_id)[0]
    operator.run_after(TEN_MINUTES)
    operator.clock.shift(QUARTER)
    label_again(operator.client, old.id)
    assert operator.run_after(NOW) == (
        "An older version of the key ring had been put back. It was written again as it is, so "
        "that its date is right.\n"
        "Run this again at 2027-04-01 12:20:00 UTC or later."
    )
    label_again(operator.client, None)
    assert "was added at 2027-04-01 12:10:00 UTC" in operator.refused_after(NOW)
    operator.run_after(TEN_MINUTES)
    assert list(operator.ring) == ["current", "k1", "k20270101T120000Z"]


def label_again(client: "SecretsManagerClient", version_id: str | None) -> None:
    """Move AWSCURRENT to a version; or only take it off the older one, where moto leaves it."""
    current = client.get_secret_value(SecretId="KeyRing", VersionStage="AWSCURRENT")["VersionId"]
    target = {"MoveToVersionId": version_id} if version_id else {}
    client.update_secret_version_stage(
        SecretId="KeyRing",
        VersionStage="AWSCURRENT",
        RemoveFromVersionId=current,
        **cast("Any", target),
    )


def test_a_ring_that_has_leaked_is_replaced_whole_at_once(operator: Operator) -> None:
    operator.run_after(NOW)
    operator.clock.shift(1)
    assert operator.rotation.replace() == (
        "Replaced all keys by k20270101T120001Z. Within 5 minutes no function uses another one, "
        "and all users have to log in again; the client does it by itself."
    )
    assert list(operator.ring) == ["current", "k20270101T120001Z"]


@pytest.mark.parametrize("content", ["oops", {"current": "k2", "k1": K1}])
def test_what_is_no_key_ring_is_left_alone_but_may_be_replaced(
    operator: Operator, content: object
) -> None:
    operator.put(content)
    with pytest.raises(SecretError, match="the key ring cannot be used"):
        operator.rotation.go_on()
    operator.rotation.replace()
    assert operator.ring["current"] == "k20270101T120000Z"
    operator.clock.shift(1)
    operator.rotation.go_on()  # what was wrong before does not matter any more
    assert len(operator.ring) == 1 + 2


def test_a_clock_that_went_back_makes_no_older_key(operator: Operator) -> None:
    operator.put({"current": "k20280101T000000Z", "k20280101T000000Z": K1})
    assert "no older than k20270101T120000Z" in operator.refused_after(NOW)


def test_a_secret_that_is_missing_or_empty_is_said_so(operator: Operator) -> None:
    operator.client.create_secret(Name="Empty")
    with pytest.raises(SecretError, match="the key ring is empty"):
        Rotation(operator.client, "Empty", WEEK).go_on()
    operator.client.delete_secret(SecretId="KeyRing")
    with pytest.raises(SecretError, match="cannot be read"):
        operator.rotation.go_on()


def test_no_key_is_in_what_is_said(operator: Operator, capsys: pytest.CaptureFixture[str]) -> None:
    said = [operator.run_after(NOW), operator.run_after(TEN_MINUTES), repr(operator.rotation)]
    said += [repr(read(operator.client, operator.rotation.secret_id)), *capsys.readouterr()]
    assert not any(
        key in text for key in operator.ring.values() - operator.ring.keys() for text in said
    )
