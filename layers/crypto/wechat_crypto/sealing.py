r"""Sealing of what is stored: AES-256-GCM under keys that a ring names, so that keys can rotate.

A sealed blob is ``length of key id (1 byte) · key id · nonce (12 bytes) · ciphertext · tag (16)``.
For each purpose a ring key yields its own subkey by HKDF-SHA256 (RFC 5869), so that a blob of one
purpose means nothing to another. ``context`` says where the blob is kept and is authenticated with
it (NIST SP 800-38D): a blob moved elsewhere does not unseal.

Random 96-bit nonces are safe for 2\ :sup:`32` seals per subkey (SP 800-38D, section 8.3); rotate
the key before that.
"""

import hmac
import secrets
from collections.abc import Mapping
from functools import lru_cache

from Crypto.Cipher import AES

from wechat_crypto.strict_json import parse_json

_NONCE = 12
_TAG = 16
_MIN_KEY = 32  # characters; the template generates 64
_MAX_KEY_ID = 32


class KeyRingError(ValueError):
    """The key ring's document is not what it must be; the message never quotes a key."""


class UnsealError(Exception):
    """The blob was changed, cut, moved, or sealed for another purpose or under another key."""


class UnknownKeyError(UnsealError):
    """The blob names a key that this ring does not hold: the ring is older or was cut short."""


class KeyRing:
    """The keys that seal what is stored: the current one for new blobs, older ones to read with.

    Args:
        keys: Key id (1 to 32 ASCII letters and digits) to key text (32 characters or more, of
            full entropy per character).
        current: The id of the key that seals from now on.

    Raises:
        KeyRingError: An id or a key has the wrong form, or ``current`` names no key.
    """

    def __init__(self, keys: Mapping[str, str], current: str) -> None:
        for key_id, key in keys.items():
            if not (key_id.isascii() and key_id.isalnum() and len(key_id) <= _MAX_KEY_ID):
                raise KeyRingError("a key id must be 1 to 32 ASCII letters and digits, like k1")
            if not isinstance(key, str) or len(key) < _MIN_KEY:
                raise KeyRingError(f"key {key_id} must be a text of at least {_MIN_KEY} characters")
        if current not in keys:
            raise KeyRingError('"current" must name one of the keys, like "k1"')
        self._keys = dict(keys)
        self._current = current
        # Current first, then newest to oldest, as the document lists them oldest first.
        self._newest_first = [current, *(k for k in reversed(self._keys) if k != current)]

    def __repr__(self) -> str:
        """Name the keys, never show them."""
        return f"KeyRing(current={self._current!r}, keys={sorted(self._keys)})"

    @classmethod
    def from_json(cls, text: str) -> "KeyRing":
        """Read ``{"current": "k2", "k1": "…", "k2": "…"}``.

        Raises:
            KeyRingError: The text is not such a document.
        """
        try:
            # During a rotation, a second "k1" would silently take the place of the first.
            document = parse_json(text, unique=True)
        except ValueError:
            raise KeyRingError('the key ring must be JSON: {"current":"k1","k1":"…"}') from None
        if not isinstance(document, dict) or not isinstance(document.get("current"), str):
            raise KeyRingError('the key ring must be JSON: {"current":"k1","k1":"…"}')
        current = document.pop("current")
        return cls(document, current)

    def seal(self, plaintext: bytes, *, purpose: str, context: str) -> bytes:
        """Encrypt and authenticate under the current key.

        Args:
            plaintext: What to keep secret.
            purpose: What kind of thing it is, like ``session``.
            context: Where the blob will be kept, like ``table|key``.

        Returns:
            The sealed blob; two seals of the same plaintext never look alike.
        """
        nonce = secrets.token_bytes(_NONCE)
        cipher = AES.new(self._subkey(self._current, "seal", purpose), AES.MODE_GCM, nonce=nonce)
        cipher.update(context.encode())
        ciphertext, tag = cipher.encrypt_and_digest(plaintext)
        key_id = self._current.encode("ascii")
        return b"".join((bytes((len(key_id),)), key_id, nonce, ciphertext, tag))

    def is_current(self, blob: bytes) -> bool:
        """Tell whether a blob names the current key; what must last is sealed again if not."""
        key_id = self._current.encode("ascii")
        return blob.startswith(bytes((len(key_id),)) + key_id)

    def unseal(self, blob: bytes, *, purpose: str, context: str) -> bytes:
        """Decrypt a blob after checking that it is ours, whole, for this purpose and place.

        Args:
            blob: What :meth:`seal` returned.
            purpose: The purpose it was sealed for.
            context: Where the blob was found.

        Returns:
            The plaintext.

        Raises:
            UnknownKeyError: It was sealed under a key that this ring does not hold.
            UnsealError: It is not what was sealed for this purpose and place.
        """
        head = 1 + blob[0] if blob else 0
        if len(blob) < head + _NONCE + _TAG:
            raise UnsealError("the sealed blob is too short")
        key_id = blob[1:head].decode("ascii", "replace")
        if key_id not in self._keys:
            raise UnknownKeyError("the sealed blob names a key that the key ring does not hold")
        nonce, ciphertext, tag = (
            blob[head : head + _NONCE],
            blob[head + _NONCE : -_TAG],
            blob[-_TAG:],
        )
        cipher = AES.new(self._subkey(key_id, "seal", purpose), AES.MODE_GCM, nonce=nonce)
        cipher.update(context.encode())
        try:
            return cipher.decrypt_and_verify(ciphertext, tag)
        except ValueError:
            raise UnsealError(
                "the sealed blob was changed, moved or made for something else"
            ) from None

    def fingerprint(self, *parts: str, purpose: str) -> bytes:
        """Return a keyed hash of ``parts``, 32 bytes: the same parts, the same fingerprint.

        Without the key nobody can test a guess against it. The parts are hashed with their
        lengths, so ``("ab", "c")`` and ``("a", "bc")`` differ.

        Args:
            parts: What to hash.
            purpose: What kind of thing it is; other purposes give unrelated fingerprints.
        """
        return self._fingerprint(self._current, parts, purpose)

    def fingerprints(self, *parts: str, purpose: str) -> list[bytes]:
        """Return the fingerprint under every key of the ring, the current key's first.

        What was stored before a rotation is found under an older key's fingerprint.
        """
        return [self._fingerprint(key_id, parts, purpose) for key_id in self._newest_first]

    def _fingerprint(self, key_id: str, parts: tuple[str, ...], purpose: str) -> bytes:
        message = b"".join(
            len(encoded).to_bytes(4, "big") + encoded
            for encoded in (part.encode("utf-8", "surrogatepass") for part in parts)
        )
        return hmac.digest(self._subkey(key_id, "fingerprint", purpose), message, "sha256")

    def _subkey(self, key_id: str, use: str, purpose: str) -> bytes:
        return hkdf_sha256(self._keys[key_id].encode(), f"wechat_crypto/{use}/{purpose}".encode())


@lru_cache(maxsize=64)
def hkdf_sha256(key: bytes, info: bytes) -> bytes:
    """Derive 32 bytes by HKDF-SHA256 (RFC 5869) without salt: one block of extract and expand.

    Crypto.Protocol.KDF has it too, but loads scrypt and Blowfish with it at every cold start.
    """
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")
