"""What Secrets Manager holds: the key ring that seals our data, and the AppSecrets.

Both are read once per environment and kept, so that no warm request waits for Secrets Manager.
They are read again when they turn out to be old or wrong: a blob names a key that the ring lacks,
WeChat refuses an AppSecret, or what was stored cannot be used.
"""

import json
import time
from collections.abc import Callable

from wechat_auth import invocation
from wechat_auth.errors import misconfigured
from wechat_auth.storage import Aws, StorageError
from wechat_crypto import KeyRing, KeyRingError, UnknownKeyError

_READ_AGAIN_AFTER = 60
"""Seconds between two reads of the same secret, so that a flood of bad input reads it once."""


class SecretStore:
    """The key ring and the AppSecrets of this deployment.

    Args:
        aws: Reads the secrets.
        key_ring_id: Secrets Manager id of ``{"current":"k1","k1":"…"}``.
        app_secrets_id: Secrets Manager id of ``{"<appid>":"<AppSecret>"}``.
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
        self._key_ring_secret = _Secret(aws, key_ring_id, clock)
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
        """Unseal with the key ring; if it lacks the key, read it again, once a minute at most.

        Raises:
            UnsealError: See :meth:`wechat_crypto.KeyRing.unseal`.
        """
        try:
            return self.key_ring().unseal(blob, purpose=purpose, context=context)
        except UnknownKeyError:
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
        if not isinstance(secret, str) or not secret:
            self._app_secrets.doubt()
            raise misconfigured(f"no AppSecret is stored for {appid}: store it, see the README")
        return secret

    def app_secret_refused(self) -> None:
        """Say that WeChat refused an AppSecret: it may have been replaced, so read it again."""
        self._app_secrets.doubt()


class _Secret:
    """The text of one secret, kept until it is doubted."""

    def __init__(self, aws: Aws, secret_id: str, clock: Callable[[], float]) -> None:
        self._aws = aws
        self._id = secret_id
        self._clock = clock
        self._text: str | None = None
        self._read_at = float("-inf")
        self._doubted = False

    def doubt(self) -> None:
        """Have it read again by the next to want it, unless that was done within the minute."""
        self._doubted = True

    def text(self) -> str:
        """Return the text; keep serving the cached one if it cannot be refreshed."""
        known, now = self._text, self._clock()
        if known is not None and not (self._doubted and now >= self._read_at + _READ_AGAIN_AFTER):
            return known
        try:
            text = self._text = self._aws.secret_text(self._id)
        except StorageError:
            if known is None:
                raise
            self._read_at = now
            return known
        self._read_at, self._doubted = now, False
        return text
