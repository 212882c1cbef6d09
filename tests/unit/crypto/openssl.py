"""A second opinion: open data encrypted by OpenSSL, through the ``cryptography`` package."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

SESSION_KEY = base64.b64encode(bytes(range(16))).decode()
IV = base64.b64encode(bytes(range(100, 116))).decode()


def base64_text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def encrypt_blocks(blocks: bytes, session_key: str = SESSION_KEY, iv: str = IV) -> str:
    """Encrypt whole blocks as they are, whatever their padding."""
    key, vector = base64.b64decode(session_key), base64.b64decode(iv)
    encryptor = Cipher(algorithms.AES128(key), modes.CBC(vector)).encryptor()
    return base64_text(encryptor.update(blocks) + encryptor.finalize())


def padded(plaintext: bytes) -> bytes:
    padder = PKCS7(128).padder()
    return padder.update(plaintext) + padder.finalize()


def encrypt_bytes(plaintext: bytes, session_key: str = SESSION_KEY, iv: str = IV) -> str:
    return encrypt_blocks(padded(plaintext), session_key, iv)


def encrypt(document: Any, session_key: str = SESSION_KEY, iv: str = IV) -> str:
    return encrypt_bytes(json.dumps(document, ensure_ascii=False).encode(), session_key, iv)
