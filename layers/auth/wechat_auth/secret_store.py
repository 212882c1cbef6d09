"""What Secrets Manager holds: the key ring that seals our data, and the AppSecrets.

An environment reads both once and keeps them. It reads the ring again every five minutes, so that
a key that was added or taken out takes effect everywhere without a deployment, and either of them
when it turns out to be wrong: a blob does not unseal, WeChat refuses an AppSecret, or what was
stored cannot be used.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from wechat_auth import invocation
from wechat_auth.errors import misconfigured
from wechat_auth.storage import Aws, StorageError
from wechat_crypto import KeyRing, KeyRingError, UnsealError

KEY_RING_AGE = 300
"""Seconds after which an environment reads the key ring again."""
API_SECURITY = "apiSecurity"
"""The member of an app's AppSecret that holds the keys of its API security."""
_DOUBTED_AGE = 60  # between two reads of what is doubted: a flood of bad input reads it once
_FAILURE_AGE = 5  # in which a secret that is missing is not asked for again


class SecretStore:
    """The key ring and the AppSecrets of this deployment.

    Args:
        aws: Reads the secrets.
        key_ring_id: Secrets Manager id of ``{"current":"k1","k1":"…"}``.
        app_secrets_id: Secrets Manager id of ``{"<appid>":"<AppSecret>"}``, or, for an app with API
            security, ``{"<appid>":{"secret":"<AppSecret>","apiSecurity":{…}}}``.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        aws: Aws,
        *,
        key_ring_id: str,
        app_secrets_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key_ring_secret = _Secret(aws, key_ring_id, clock, max_age=KEY_RING_AGE)
        self._app_secrets = _Secret(aws, app_secrets_id, clock)
        self._key_ring: tuple[str, KeyRing] | None = None

    def key_ring(self) -> KeyRing:
        """Return the key ring.

        Raises:
            AuthError: ``misconfigured``, if the secret is not a key ring.
        """
        text = self._key_ring_secret.text()
        if self._key_ring is None or self._key_ring[0] != text:
            try:
                self._key_ring = (text, KeyRing.from_json(text))
            except KeyRingError as error:
                self._key_ring_secret.doubt()
                fault = misconfigured(f"the key ring secret is not usable: {error}")
                if self._key_ring is None:
                    raise fault from None
                invocation.log_fault(fault)  # damaged meanwhile: keep serving the good one
        return self._key_ring[1]

    def unseal(self, blob: bytes, *, purpose: str, context: str) -> bytes:
        """Unseal with the key ring; if that fails, with the ring as it is now stored.

        It may lack the key, or have another one under the same name. Read once a minute at most.

        Raises:
            UnsealError: See :meth:`wechat_crypto.KeyRing.unseal`.
        """
        try:
            return self.key_ring().unseal(blob, purpose=purpose, context=context)
        except UnsealError:
            self._key_ring_secret.doubt()
            return self.key_ring().unseal(blob, purpose=purpose, context=context)

    def app_secret(self, appid: str) -> str:
        """Return the AppSecret of a mini-program.

        Raises:
            AuthError: ``misconfigured``, if it was never stored.
        """
        try:
            secret = json.loads(self._app_secrets.text()).get(appid)
        except (ValueError, AttributeError):
            self._app_secrets.doubt()
            raise misconfigured('the AppSecrets must be stored as {"<appid>":"…"}') from None
        if isinstance(secret, dict):
            secret = secret.get("secret")
        if not isinstance(secret, str) or not secret:
            self._app_secrets.doubt()
            raise misconfigured(f"no AppSecret is stored for {appid}: store it, see the README")
        return secret

    def api_security(self, appid: str) -> dict[str, Any] | None:
        """Return the keys of a mini-program's API security as they are stored, if it has any.

        Raises:
            AuthError: As :meth:`app_secret`, if it cannot be told.
        """
        text = self._app_secrets.text()
        if API_SECURITY not in text:
            return None
        try:
            entry = json.loads(text).get(appid)
        except (ValueError, AttributeError):
            self._app_secrets.doubt()
            raise misconfigured('the AppSecrets must be stored as {"<appid>":"…"}') from None
        return entry.get(API_SECURITY) if isinstance(entry, dict) else None

    def app_secret_refused(self) -> None:
        """Say that WeChat refused an AppSecret, or a key: it may have been replaced, so read it."""
        self._app_secrets.doubt()


class _Secret:
    """The text of one secret, kept until it is old or doubted."""

    def __init__(
        self,
        aws: Aws,
        secret_id: str,
        clock: Callable[[], float],
        *,
        max_age: float = float("inf"),
    ) -> None:
        self._aws = aws
        self._id = secret_id
        self._clock = clock
        self._max_age = max_age
        self._text: str | None = None
        self._read_at = float("-inf")
        self._doubted = False
        self._missing: tuple[float, StorageError] | None = None

    def doubt(self) -> None:
        """Have it read again by the next to want it, unless that was done within the minute."""
        self._doubted = True

    def text(self) -> str:
        """Return the text; keep serving the known one if it cannot be read again."""
        known, now = self._text, self._clock()
        age = _DOUBTED_AGE if self._doubted else self._max_age
        if known is not None and now < self._read_at + age:
            return known
        if self._missing and now < self._missing[0] + _FAILURE_AGE:
            missing = self._missing[1]
            raise StorageError(missing.reason, missing.remedy)
        try:
            text = self._text = self._aws.secret_text(self._id)
        except StorageError as error:
            if known is None:
                # What only the operator can mend is not mended by the next request.
                self._missing = (now, error) if error.remedy else None
                raise
            self._read_at, self._doubted = now, True
            return known
        self._read_at, self._doubted = now, False
        return text
