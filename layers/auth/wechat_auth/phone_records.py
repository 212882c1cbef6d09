"""What is kept of a phone exchange, so that one code is one exchange and one answer.

A phone code works once and each exchange is billed, so the answer is kept, sealed, for the code's
5 minutes under a keyed hash of app, user and code, or without a user, of the Idempotency-Key too.

found                      what a request with the same code does
-------------------------  ------------------------------------------------------------------
nothing, or it expired     takes it, in progress until the worker's own time-out T; exchanges it
in progress, before T      reads again, slower and slower, until it finds something else
in progress, after T       takes it over: that worker cannot be alive any more
a number not yet accepted  asks the account function about it again, if there is one
an answer                  gives that answer, which is kept for 5 minutes

A worker whose exchange fails gives the code back; whoever has an answer keeps it, and a number that
the team's account function has not accepted is kept until it has.

A code is taken under the current key of the ring. Another environment may have another current
key for some minutes, so whoever has taken a code looks under the other keys too, and gives it back
if it is taken there: of two that take it at once, at least one finds the other.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from wechat_auth import invocation
from wechat_auth.errors import PHONE_CODE_REJECTED, WECHAT_UNAVAILABLE, AuthError
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Item, StorageError, Table
from wechat_auth.wechat import PhoneNumber
from wechat_crypto import UnsealError

KEPT_SECONDS = 300
"""Seconds an answer is kept: as long as the code itself would have lived."""
_FIRST_PAUSE = 0.1  # seconds until a request that waits reads again
_LONGEST_PAUSE = 0.8
# The system's, since environments that wake from one snapshot (SnapStart) would share a seed.
_random = random.SystemRandom()
_PURPOSE = "phone_answer"
_WITHDRAWN = "phone_withdrawn"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a phone code was exchanged for.

    Attributes:
        number: The number.
        hints: What the account function has for the client; ``None`` if it did not accept the
            number, or was not there to.
    """

    number: PhoneNumber = field(repr=False)
    hints: Mapping[str, bool] | None = None

    def document(self) -> dict[str, Any]:
        """Return what the client gets."""
        return {
            "phoneNumber": self.number.phone_number,
            "purePhoneNumber": self.number.pure_phone_number,
            "countryCode": self.number.country_code,
            **({"account": self.hints} if self.hints else {}),
        }


class PhoneRecords:
    """The PhoneExchanges table.

    Args:
        table: The table.
        secrets: For the key ring.
        clock: Gives the time in seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        table: Table,
        secrets: SecretStore,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._table = table
        self._secrets = secrets
        self._clock = clock
        self._sleep = sleep
        self.write_seconds = table.try_seconds
        """Seconds that a write can take."""

    def once(
        self,
        appid: str,
        openid: str | None,
        code: str,
        exchange: Callable[[], PhoneNumber],
        *,
        idempotency_key: str | None = None,
        accept: Callable[[PhoneNumber], Mapping[str, bool]] | None = None,
    ) -> Answer:
        """Return the number that a code was exchanged for, or exchange it.

        Args:
            appid: The app in which the user tapped.
            openid: Who is logged in, if anyone; others find nothing.
            code: The phone code.
            exchange: Asks WeChat; called only while no other worker may be at this code.
            idempotency_key: Finds the answer without a login too; needed if nobody is logged in.
            accept: Asks the account function; not again about a number that it has accepted.

        Raises:
            AuthError: What ``exchange`` and ``accept`` raise; ``wechat_unavailable`` if another
                worker is still at it when there is no time left; ``storage_unavailable`` before
                anything is spent.
        """
        own, *others = self._places(appid, openid, code, idempotency_key)
        worker = uuid.uuid4().hex
        kept: Item | None = None
        while True:
            found = self._take(own, worker)
            if found is None:
                try:
                    found = self._elsewhere(others)
                    number = None if found else exchange()
                except Exception:
                    self._give_back(own, worker)
                    raise
                if number:
                    break
                self._give_back(own, worker)
            if found and (kept := self._wait_for_answer(found)):
                if openid:
                    self._require_consent(appid, openid, kept)
                answer = self._open(kept)
                if accept is None or answer.hints is not None:
                    return answer
                own, number = kept["id"], answer.number
                break
        try:
            answer = Answer(number, accept(number) if accept else None)
        except Exception:
            if not kept:
                self._keep(own, Answer(number))
            raise
        self._keep(own, answer, kept)
        return answer

    def withdraw(self, appid: str, openid: str, *, until: int) -> None:
        """Give out no answer any more that was kept for this user until then.

        Which codes those were is not known, so this leaves a mark that whoever finds an answer
        looks for; it lasts as long as the youngest of those answers.

        Args:
            appid: The app.
            openid: The user.
            until: When consent was withdrawn, in seconds since 1970.
        """
        expires_at = until + KEPT_SECONDS
        if expires_at > self._clock():
            self._table.put_if(
                "attribute_not_exists(id) OR expires_at < :expires_at",
                {"id": self._marks(appid, openid)[0], "expires_at": expires_at},
                {"expires_at": expires_at},
            )

    def _require_consent(self, appid: str, openid: str, kept: Item) -> None:
        """Delete an answer instead of giving it out, if consent was withdrawn since."""
        marks = (self._table.get({"id": mark}) for mark in self._marks(appid, openid))
        if any(mark and mark["expires_at"] >= kept["expires_at"] for mark in marks):
            self._table.delete({"id": kept["id"]})
            raise AuthError(PHONE_CODE_REJECTED)

    def _marks(self, appid: str, openid: str) -> list[str]:
        ring = self._secrets.key_ring()
        return [each.hex() for each in ring.fingerprints(appid, openid, purpose=_WITHDRAWN)]

    def _places(
        self, appid: str, openid: str | None, code: str, idempotency_key: str | None
    ) -> list[str]:
        """Return where the answer may be kept; first, where this worker would keep it."""
        owners: list[tuple[str, ...]] = [(appid, openid, code)] if openid else []
        if idempotency_key:
            owners.append((appid, "", code, idempotency_key))
        ring = self._secrets.key_ring()
        return [
            place.hex() for owner in owners for place in ring.fingerprints(*owner, purpose=_PURPOSE)
        ]

    def _elsewhere(self, places: Sequence[str]) -> Item | None:
        """Find what other workers have taken or answered under another key, if anything."""
        found = (self._table.get({"id": place}) for place in places)
        return next((item for item in found if item and self._is_taken(item)), None)

    def _give_back(self, place: str, worker: str) -> None:
        with suppress(StorageError):  # it is free again when this worker's time is over
            self._table.delete_if("worker = :worker", {"id": place}, {"worker": worker})

    def _take(self, place: str, worker: str) -> Item | None:
        """Take a code unless it is taken or answered: then return what is there.

        The SDK repeats a write whose reply was lost: the second one finds this very worker.
        """
        now, lives = self._clock(), invocation.remaining(KEPT_SECONDS, reserve=0)
        until, expires_at = now + lives, int(now) + KEPT_SECONDS
        return self._table.put_if(
            "attribute_not_exists(id) OR expires_at <= :now OR worker = :worker "
            "OR (attribute_not_exists(sealed) AND in_progress_until < :now)",
            {"id": place, "worker": worker, "in_progress_until": until, "expires_at": expires_at},
            {"now": now, "worker": worker},
        )

    def _is_taken(self, found: Item) -> bool:
        now = self._clock()
        return found["expires_at"] > now and (
            "sealed" in found or found["in_progress_until"] >= now
        )

    def _wait_for_answer(self, found: Item | None) -> Item | None:
        """Read until there is an answer; ``None`` once the code can be taken."""
        pause = _FIRST_PAUSE
        while found and self._is_taken(found):
            if "sealed" in found:
                return found
            if invocation.remaining(KEPT_SECONDS) <= pause + self._table.try_seconds:
                raise AuthError(
                    WECHAT_UNAVAILABLE, "This code is being exchanged by another request."
                )
            self._sleep(pause * _random.uniform(0.5, 1))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            found = self._table.get({"id": found["id"]})
        return None

    def _keep(self, place: str, answer: Answer, before: Item | None = None) -> None:
        """Keep an answer in place of the one that was there before, if there was any."""
        content = json.dumps([asdict(answer.number), answer.hints]).encode()
        try:
            self._table.update_if(
                "attribute_not_exists(sealed) OR sealed = :before",
                {"id": place},
                "SET sealed = :sealed, expires_at = :ttl REMOVE worker, in_progress_until",
                {
                    "sealed": self._secrets.key_ring().seal(
                        content, purpose=_PURPOSE, context=place
                    ),
                    "before": before["sealed"] if before else b"",
                    "ttl": before["expires_at"] if before else int(self._clock()) + KEPT_SECONDS,
                },
            )
        except AuthError as error:
            invocation.log_fault(error)  # what was paid for is answered all the same

    def _open(self, kept: Item) -> Answer:
        try:
            content = self._secrets.unseal(kept["sealed"], purpose=_PURPOSE, context=kept["id"])
        except UnsealError:
            raise AuthError(WECHAT_UNAVAILABLE) from None
        invocation.count("PhoneExchangesReplayed")
        number, hints = json.loads(content)
        return Answer(PhoneNumber(**number), hints)
