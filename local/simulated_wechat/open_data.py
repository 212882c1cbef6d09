"""Open data: encrypting, signing, and what WeChat remembers of it.

Formats: developers.weixin.qq.com, "open data verification and decryption". Written without a look
at the backend's own decryption, on purpose.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad

from .clock import Clock
from .expiring_dict import Expiring

CIPHERTEXT_MEMORY: Final = 3 * 86400
CLOUD_ID_LIFE: Final = 300


def to_json(document: Mapping[str, object]) -> str:
    """Write JSON the way WeChat does: compact, characters as they are."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def encrypt(session_key: str, plaintext: bytes) -> tuple[str, str]:
    """Return (encryptedData, iv), both base64: AES-128-CBC with PKCS#7 under a random iv."""
    iv = secrets.token_bytes(16)
    cipher = AES.new(base64.b64decode(session_key), AES.MODE_CBC, iv=iv)
    encrypted = cipher.encrypt(pad(plaintext, AES.block_size))
    return base64.b64encode(encrypted).decode(), base64.b64encode(iv).decode()


def raw_data_signature(raw_data: str, session_key: str) -> str:
    """Return wx.getUserInfo's signature: hex SHA-1 of rawData and the session_key text."""
    message = (raw_data + session_key).encode()
    return hashlib.sha1(message, usedforsecurity=False).hexdigest()  # SHA-1 is WeChat's choice


def session_signature(session_key: str) -> str:
    """Return hex HMAC-SHA256 of the empty message, keyed with the session_key text."""
    return hmac.new(session_key.encode(), b"", hashlib.sha256).hexdigest()


def encrypted_data_hash(encrypted_data: str) -> str:
    """Return hex SHA-256 of the encryptedData text."""
    return hashlib.sha256(encrypted_data.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _CloudData:
    appid: str
    openid: str
    data: Mapping[str, object]


class OpenData:
    """What WeChat remembers: phone ciphertexts for three days, cloudIDs for five minutes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ciphertexts: Expiring[tuple[str, str], int] = Expiring(clock, CIPHERTEXT_MEMORY)
        self._cloud: Expiring[str, _CloudData] = Expiring(clock, CLOUD_ID_LIFE)

    def remember_phone(self, appid: str, encrypted_data: str) -> None:
        """Note that WeChat itself made this phone ciphertext now."""
        self._ciphertexts[appid, encrypted_data_hash(encrypted_data)] = int(self._clock.now())

    def keep_phone(self, appid: str, encrypted_data: str) -> None:
        """As `remember_phone`, for good."""
        digest = encrypted_data_hash(encrypted_data)
        self._ciphertexts.keep((appid, digest), int(self._clock.now()))

    def keep_cloud_id(
        self, appid: str, openid: str, cloud_id: str, data: Mapping[str, object]
    ) -> None:
        """Keep `data` for good, under a cloudID that is given."""
        self._cloud.keep(cloud_id, _CloudData(appid, openid, data))

    def created(self, appid: str, digest: str) -> int | None:
        """Return when a phone ciphertext was made; None if unknown, too old or another app's."""
        return self._ciphertexts.get((appid, digest))

    def issue_cloud_id(self, appid: str, openid: str, data: Mapping[str, object]) -> str:
        """Keep `data` and return the cloudID it can be had for."""
        cloud_id = f"39_{secrets.token_urlsafe(48)}"
        self._cloud[cloud_id] = _CloudData(appid, openid, data)
        return cloud_id

    def by_cloud_id(self, appid: str, openid: str, cloud_id: str) -> Mapping[str, object] | None:
        """Return the data behind a cloudID; None if unknown, expired or someone else's."""
        kept = self._cloud.get(cloud_id)
        if kept is None or (kept.appid, kept.openid) != (appid, openid):
            return None
        return kept.data
