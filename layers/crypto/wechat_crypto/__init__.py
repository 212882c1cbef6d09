"""Cryptography for WeChat mini-program backends: pure functions, no network, clock or environment.

* Open data (``encryptedData``): :func:`decrypt_open_data`.
* Signatures and hashes that WeChat defines: :func:`raw_data_signature`,
  :func:`verify_raw_data_signature`, :func:`session_signature`, :func:`encrypted_data_hash`.
* Sealing of what we store ourselves: :class:`KeyRing`.
* Base64 as it arrives from phones: :func:`decode_base64`, :func:`repair_base64`.
* JSON without Python's extensions: :func:`parse_json`.

For apps with API security alone, and so not imported here: ``wechat_crypto.api_security`` (signed
and encrypted calls) and ``wechat_crypto.api_keys``. For WeChat's pushes alone, likewise:
``wechat_crypto.push_message``.
"""

from wechat_crypto.encoding import Base64Error, decode_base64, repair_base64
from wechat_crypto.open_data import OpenDataError, decrypt_open_data, has_watermark
from wechat_crypto.sealing import KeyRing, KeyRingError, UnknownKeyError, UnsealError
from wechat_crypto.signatures import (
    encrypted_data_hash,
    raw_data_signature,
    session_signature,
    verify_raw_data_signature,
)
from wechat_crypto.strict_json import parse_json, parse_wechat_json

__all__ = [
    "Base64Error",
    "KeyRing",
    "KeyRingError",
    "OpenDataError",
    "UnknownKeyError",
    "UnsealError",
    "decode_base64",
    "decrypt_open_data",
    "encrypted_data_hash",
    "has_watermark",
    "parse_json",
    "parse_wechat_json",
    "raw_data_signature",
    "repair_base64",
    "session_signature",
    "verify_raw_data_signature",
]
