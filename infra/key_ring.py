"""`make rotate-keys ENV=…`: rotates the key that seals what the tables hold, in two runs.

The first run adds a key. Once every execution environment has read the ring again, the second
makes it the current one; so at no moment does one of them meet a key that it does not know, and
nobody is logged out. Keys that stopped being current so long ago that no session is left are
dropped by the second run. Each run is one write, which either happens or does not: it can be
interrupted and repeated at any moment, and tells what it did and when to run it again.

What is known of a key's past: its id is the time at which it was added, so ids are never used
twice, and a key with a greater id than the current one waits for the second run. When a key
stopped being current is not written anywhere, but was before each version in which another one is.
"""

import json
import secrets
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from infra.release import ReleaseError
from infra.secret import SecretError, Version, read, write
from infra.stack import deployed
from wechat_auth.secret_store import KEY_RING_AGE
from wechat_crypto import KeyRing, KeyRingError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

PAUSE = timedelta(seconds=2 * KEY_RING_AGE)
"""Between the two runs: twice the age at which the functions read the ring again."""
MARGIN = timedelta(days=1)
"""For which a key is kept after the last session that it may have sealed."""
_ID = "k%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Ring:
    """A version of the key ring.

    Attributes:
        keys: Key id to key, oldest first.
        current: The id of the key that seals.
        since: When this version was written.
    """

    keys: Mapping[str, str] = field(repr=False)
    current: str
    since: datetime

    @classmethod
    def of(cls, version: Version) -> "Ring":
        """Read a version.

        Raises:
            SecretError: It is no key ring.
        """
        try:
            KeyRing.from_json(version.text)
        except KeyRingError as error:
            raise SecretError(f"the key ring cannot be used: {error}") from None
        document = json.loads(version.text)
        return cls(document, document.pop("current"), version.created)

    @property
    def waiting(self) -> str | None:
        """The key that was added and never was current, if there is one."""
        added = [key_id for key_id in self.keys if _added(key_id) > _added(self.current)]
        return max(added, key=_added, default=None)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The key ring of a stack, to be rotated.

    Attributes:
        client: Of Secrets Manager.
        secret_id: The key ring.
        session_life: How long a session lives.
    """

    client: "SecretsManagerClient"
    secret_id: str
    session_life: timedelta

    def go_on(self) -> str:
        """Make the next of the two steps.

        Returns:
            What was done, and when to run this again.

        Raises:
            SecretError: Nothing was done; the message says why and when to run this again.
        """
        versions = self._read()
        rings = [Ring.of(versions[0])]
        if versions[0].created < versions[-1].created:
            return self._date(versions)
        with suppress(SecretError):  # what was wrong and is mended tells nothing
            rings += [Ring.of(version) for version in versions[1:]]
        if waiting := rings[0].waiting:
            return self._promote(waiting, versions, rings)
        return self._add(versions, rings[0])

    def replace(self) -> str:
        """Replace all keys by a new one, since the ring has leaked. This ends all sessions.

        Returns:
            What was done.

        Raises:
            SecretError: Nothing was done.
        """
        versions = self._read()
        keys: Iterable[str] = ()
        with suppress(SecretError):
            keys = Ring.of(versions[0]).keys
        key_id = _new_id(versions[0].now, keys)
        self._write({key_id: _new_key()}, key_id, versions)
        return (
            f"Replaced all keys by {key_id}. Within 5 minutes no function uses another one, and "
            "all users have to log in again; the client does it by itself."
        )

    def _add(self, versions: list[Version], ring: Ring) -> str:
        now = versions[0].now
        key_id = _new_id(now, ring.keys)
        self._write({**ring.keys, key_id: _new_key()}, ring.current, versions)
        return (
            f"Added the key {key_id}. {ring.current} still is the current one.\n"
            f"Run this again at {_shown(now + PAUSE)} or later: by then every function knows the "
            "new key."
        )

    def _promote(self, waiting: str, versions: list[Version], rings: list[Ring]) -> str:
        ring, now = rings[0], versions[0].now
        if now < (ready := ring.since + PAUSE):
            raise SecretError(
                f"{waiting} was added at {_shown(ring.since)}, and not every function knows it "
                f"yet. Nothing was changed: run this again at {_shown(ready)} or later."
            )
        others = [key_id for key_id in ring.keys if key_id != waiting]
        until = {
            key_id: _retired(key_id, rings, now) + self.session_life + MARGIN for key_id in others
        }
        kept = [key_id for key_id in others if until[key_id] > now]
        keys = {key_id: ring.keys[key_id] for key_id in (*kept, waiting)}
        self._write(keys, waiting, versions)
        return "\n".join(
            (
                f"{waiting} now is the current key.",
                *(
                    f"Kept {key_id}: sessions may need it until {_shown(until[key_id])}. The first "
                    "rotation after that drops it."
                    for key_id in kept
                ),
                *(
                    f"Dropped {key_id}: no session that it sealed is left."
                    for key_id in others
                    if key_id not in kept
                ),
                "This rotation is complete. To run this again begins the next one.",
            )
        )

    def _date(self, versions: list[Version]) -> str:
        """Write the ring again that was put back by hand, since its date tells nothing now."""
        write(self.client, self.secret_id, versions[0].text, after=versions)
        return (
            "An older version of the key ring had been put back. It was written again as it is, "
            "so that its date is right.\n"
            f"Run this again at {_shown(versions[0].now + PAUSE)} or later."
        )

    def _read(self) -> list[Version]:
        versions = read(self.client, self.secret_id)
        if not versions:
            raise SecretError("the key ring is empty, though the stack created one")
        return versions

    def _write(self, keys: Mapping[str, str], current: str, after: list[Version]) -> None:
        text = json.dumps({"current": current, **keys})
        KeyRing.from_json(text)  # nothing is written that cannot be used
        write(self.client, self.secret_id, text, after=after)


def _retired(key_id: str, rings: list[Ring], now: datetime) -> datetime:
    """Return a time by which a key was current no more: now, unless a version proves another."""
    retired = now
    for ring in rings:
        if ring.current == key_id:
            break
        retired = ring.since
    return retired


def _new_id(now: datetime, keys: Iterable[str]) -> str:
    key_id = now.strftime(_ID)
    if any(_added(other) >= _added(key_id) for other in keys):
        raise SecretError(f"the ring has a key that is no older than {key_id}: run this again")
    return key_id


def _new_key() -> str:
    return secrets.token_urlsafe(48)


def _added(key_id: str) -> datetime:
    """Return when a key was added; one whose id is no time is older than all others."""
    try:
        return datetime.strptime(key_id, _ID)  # noqa: DTZ007 - all of them are UTC
    except ValueError:
        return datetime.min  # noqa: DTZ901


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def main() -> None:
    """Rotate the keys of the environment that the command line names."""
    arguments = sys.argv[1:]
    leaked = "--leaked" in arguments
    environment = next((each for each in arguments if each != "--leaked"), "")
    try:
        stack = deployed(environment)
        life = timedelta(days=int(stack.parameters["SessionDays"]))
        rotation = Rotation(stack.secrets_manager, stack.outputs["KeyRingArn"], life)
        print(rotation.replace() if leaked else rotation.go_on())
    except (ReleaseError, SecretError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
