"""What is kept of a phone exchange, so that one code is one exchange and one answer.

A phone code works once and each exchange is billed, so the answer is kept, sealed, for the code's
5 minutes under a keyed hash of (app, user or none, code).

found                      what a request with the same code does
-------------------------  ------------------------------------------------------------------
nothing, or it expired     takes it, in progress until the worker's own time-out T; exchanges it
in progress, before T      reads again, slower and slower, until it finds something else
in progress, after T       takes it over: that worker cannot be alive any more
an answer                  gives that answer, which is kept for 5 minutes

A worker whose exchange fails gives the code back; whoever has an answer keeps it.
"""

import json
import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict

from wechat_auth import invocation
from wechat_auth.errors import WECHAT_UNAVAILABLE, AuthError
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
_PURPOSE = "phone_exchange"


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

    def once(
        self, appid: str, openid: str | None, code: str, exchange: Callable[[], PhoneNumber]
    ) -> PhoneNumber:
        """Return the number that a code was exchanged for, or exchange it.

        Args:
            appid: The app in which the user tapped.
            openid: Who is logged in, if anyone; others find nothing.
            code: The phone code.
            exchange: Asks WeChat; called only while no other worker may be at this code.

        Raises:
            AuthError: What ``exchange`` raises; ``wechat_unavailable`` if another worker is still
                at it when there is no time left; ``storage_unavailable`` before anything is spent.
        """
        ring = self._secrets.key_ring()
        key = ring.fingerprint(appid, openid or "", code, purpose=_PURPOSE).hex()
        worker = uuid.uuid4().hex
        while (found := self._take(key, worker)) is not None:
            if (answer := self._wait_for_answer(key, found)) is not None:
                return self._open(key, answer)
        try:
            number = exchange()
        except Exception:
            with suppress(StorageError):  # it is free again when this worker's time is over
                self._table.delete_if("worker = :worker", {"id": key}, {"worker": worker})
            raise
        try:
            self._keep(key, number)
        except AuthError as error:
            invocation.log_fault(error)  # what was paid for is answered all the same
        return number

    def _take(self, key: str, worker: str) -> Item | None:
        """Take a code unless it is taken or answered: then return what is there.

        The SDK repeats a write whose reply was lost: the second one finds this very worker.
        """
        now, lives = self._clock(), invocation.remaining(KEPT_SECONDS, reserve=0)
        until, expires_at = now + lives, int(now) + KEPT_SECONDS
        return self._table.put_if(
            "attribute_not_exists(id) OR expires_at <= :now OR worker = :worker "
            "OR (attribute_not_exists(sealed) AND in_progress_until < :now)",
            {"id": key, "worker": worker, "in_progress_until": until, "expires_at": expires_at},
            {"now": now, "worker": worker},
        )

    def _wait_for_answer(self, key: str, found: Item | None) -> bytes | None:
        """Read until there is an answer; ``None`` once the code can be taken."""
        pause = _FIRST_PAUSE
        while found and found["expires_at"] > self._clock():
            if "sealed" in found:
                return bytes(found["sealed"])
            if found["in_progress_until"] < self._clock():
                break
            if invocation.remaining(KEPT_SECONDS) <= pause + self._table.try_seconds:
                raise AuthError(
                    WECHAT_UNAVAILABLE, "This code is being exchanged by another request."
                )
            self._sleep(pause * _random.uniform(0.5, 1))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
            found = self._table.get({"id": key})
        return None

    def _keep(self, key: str, number: PhoneNumber) -> None:
        content = json.dumps(asdict(number)).encode()
        sealed = self._secrets.key_ring().seal(content, purpose=_PURPOSE, context=key)
        self._table.update_if(
            "attribute_not_exists(sealed)",
            {"id": key},
            "SET sealed = :sealed, expires_at = :ttl REMOVE worker, in_progress_until",
            {"sealed": sealed, "ttl": int(self._clock()) + KEPT_SECONDS},
        )

    def _open(self, key: str, sealed: bytes) -> PhoneNumber:
        try:
            content = self._secrets.unseal(sealed, purpose=_PURPOSE, context=key)
        except UnsealError:
            raise AuthError(WECHAT_UNAVAILABLE) from None
        invocation.count("PhoneExchangesReplayed")
        return PhoneNumber(**json.loads(content))
