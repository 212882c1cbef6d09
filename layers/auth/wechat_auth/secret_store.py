"""What Secrets Manager holds: the key ring that seals our data, the AppSecrets, the API clients.

An environment reads each once and keeps it. It reads ring and clients again every five minutes, so
that what was added or taken out takes effect everywhere without a deployment, and any of them when
it turns out to be wrong: a blob does not unseal, WeChat refuses an AppSecret, a client is unknown,
or what was stored cannot be used.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from wechat_auth import invocation
from wechat_auth.app_secrets import AppSecretsError, api_security, app_secret, push
from wechat_auth.errors import misconfigured
from wechat_auth.storage import Aws, StorageError
from wechat_crypto import KeyRing, KeyRingError, UnsealError

Stored = TypeVar("Stored")

KEY_RING_AGE = 300
"""Seconds after which an environment reads the key ring, or the API clients, again."""
_DOUBTED_AGE = 60  # between two reads of what is doubted: a flood of bad input reads it once
_FAILURE_AGE = 5  # in which a secret that is missing is not asked for again


class SecretStore:
    """The key ring, the AppSecrets and the API clients of this deployment.

    Args:
        aws: Reads the secrets.
        key_ring_id: Secrets Manager id of ``{"current":"k1","k1":"…"}``.
        app_secrets_id: Secrets Manager id of ``{"<appid>":"<AppSecret>"}``, see ``app_secrets``.
        api_clients_id: Secrets Manager id of ``{"<name>":"<SHA-256 of the secret>"}``.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        aws: Aws,
        *,
        key_ring_id: str,
        app_secrets_id: str,
        api_clients_id: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._key_ring_secret = _Secret(aws, key_ring_id, clock, max_age=KEY_RING_AGE)
        self._app_secrets = _Secret(aws, app_secrets_id, clock)
        self._api_clients = _Secret(aws, api_clients_id, clock, max_age=KEY_RING_AGE)
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
            AuthError: ``misconfigured``, if it was never stored or cannot be read.
        """
        return self._of_app_secrets(app_secret, appid)

    def api_security(self, appid: str) -> dict[str, Any] | None:
        """Return the keys of a mini-program's API security as they are stored, if it has any.

        Raises:
            AuthError: As :meth:`app_secret`, if it cannot be told.
        """
        return self._of_app_secrets(api_security, appid)

    def push(self, appid: str) -> dict[str, Any] | None:
        """Return the keys of a mini-program's message push as they are stored, if it has any.

        Raises:
            AuthError: As :meth:`app_secret`, if it cannot be told.
        """
        return self._of_app_secrets(push, appid)

    def app_secret_refused(self) -> None:
        """Say that an AppSecret, or a key, does not fit: it may have been replaced, so read it."""
        self._app_secrets.doubt()

    def _of_app_secrets(self, read: Callable[[str, str], Stored], appid: str) -> Stored:
        try:
            return read(self._app_secrets.text(), appid)
        except AppSecretsError as error:
            self._app_secrets.doubt()
            raise misconfigured(f"{error}, by make app-secret (docs/deploy.md)") from None

    def api_clients(self) -> Mapping[str, str]:
        """Return the hash of each client's secret, by the client's name.

        Raises:
            AuthError: ``misconfigured``, if the secret holds something else.
        """
        try:
            clients = json.loads(self._api_clients.text())
            return {name: str(digest) for name, digest in clients.items()}
        except (ValueError, AttributeError):
            self._api_clients.doubt()
            raise misconfigured(
                "the ApiClients are not usable: store {} and make them again with make api-client"
            ) from None

    def is_api_client(self, name: str, secret: str) -> bool:
        """Tell whether this is a client's secret; if not, ask the clients as they are now stored.

        Secrets are random, so a plain hash keeps them. Read once a minute at most.

        Raises:
            AuthError: ``misconfigured``, if the clients cannot be used.
        """
        digest = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        if _is_kept(digest, self.api_clients().get(name)):
            return True
        self._api_clients.doubt()
        return _is_kept(digest, self.api_clients().get(name))


def _is_kept(digest: str, kept: str | None) -> bool:
    """Compare in the same time whatever is kept, also nothing."""
    same = hmac.compare_digest(digest.encode(), (kept or "-" * len(digest)).encode())
    return same and kept is not None


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
