"""Decrypting and sealing beside OpenSSL, through `cryptography`: the same work, the same sizes.

Started as ``python3.13 -I -S -B crypto.py <JSON>`` with the path to both libraries; prints the
microseconds that each operation takes, as JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

_SECONDS: Final = 0.05


def main() -> None:
    """Measure each operation once, ours and OpenSSL's in turn."""
    order = json.loads(sys.argv[1])
    sys.path[:0] = order["path"]
    print(json.dumps({name: _microseconds(call) for name, call in operations(order).items()}))


def operations(order: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """Return the operations: ``<what> <bytes> <whose>``."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  off the path

    from wechat_crypto import KeyRing, decrypt_open_data  # noqa: PLC0415

    ring = KeyRing.from_json(order["key_ring"])
    aead = AESGCM(bytes(32))
    session_key, iv, appid = order["session_key"], order["iv"], order["appid"]
    calls: dict[str, Callable[[], object]] = {}
    for encrypted in order["encrypted"]:
        size = len(encrypted) * 3 // 4
        plain = bytes(size)
        calls |= {
            f"decrypt {size} ours": partial(
                decrypt_open_data, session_key, encrypted, iv, appid=appid
            ),
            f"decrypt {size} openssl": partial(
                decrypt_by_openssl, session_key, encrypted, iv, appid
            ),
            f"seal {size} ours": partial(ring.seal, plain, purpose="session", context="table|key"),
            f"seal {size} openssl": partial(seal_by_openssl, aead, plain),
        }
    return calls


def decrypt_by_openssl(session_key: str, data: str, iv: str, appid: str) -> dict[str, Any]:
    """Decrypt open data as WeChat's own sample does it, with OpenSSL's AES."""
    import base64  # noqa: PLC0415

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415
    from cryptography.hazmat.primitives.padding import PKCS7  # noqa: PLC0415

    key, vector = base64.b64decode(session_key), base64.b64decode(iv)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    padded = decryptor.update(base64.b64decode(data)) + decryptor.finalize()
    unpadder = PKCS7(128).unpadder()
    document: dict[str, Any] = json.loads(unpadder.update(padded) + unpadder.finalize())
    if document["watermark"]["appid"] != appid:
        raise ValueError("not for this app")
    return document


def seal_by_openssl(aead: Any, plain: bytes) -> bytes:
    """Encrypt and authenticate with a key that is ready."""
    import os  # noqa: PLC0415

    nonce = os.urandom(12)
    return nonce + bytes(aead.encrypt(nonce, plain, b"table|key"))


def _microseconds(call: Callable[[], object]) -> float:
    for _ in range(20):
        call()
    count, began = 0, time.process_time()
    while (spent := time.process_time() - began) < _SECONDS:
        for _ in range(10):
            call()
        count += 10
    return spent / count * 1e6


if __name__ == "__main__":
    main()
