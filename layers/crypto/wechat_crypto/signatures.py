"""Signatures and hashes as WeChat defines them; each is lower-case hexadecimal text.

In all of them session_key is used as the **base64 text** that code2Session answered, not decoded.
"""

import hashlib
import hmac


def raw_data_signature(raw_data: str, session_key: str) -> str:
    """Sign ``rawData`` as wx.getUserInfo does: SHA-1 of rawData followed by session_key.

    SHA-1 is WeChat's choice and not a secret of ours (framework/open-ability/signature.html).

    Args:
        raw_data: The ``rawData`` text, exactly as the phone gave it.
        session_key: The base64 text from code2Session.

    Returns:
        40 hexadecimal characters.
    """
    message = _bytes(raw_data) + _bytes(session_key)
    return hashlib.sha1(message, usedforsecurity=False).hexdigest()


def verify_raw_data_signature(raw_data: str, session_key: str, signature: str) -> bool:
    """Tell, in constant time, whether ``signature`` is that of ``raw_data`` under session_key.

    Args:
        raw_data: The ``rawData`` text, exactly as the phone gave it.
        session_key: The base64 text from code2Session.
        signature: The ``signature`` that came with it.

    Returns:
        True only if they belong together.
    """
    expected = raw_data_signature(raw_data, session_key)
    return hmac.compare_digest(expected.encode("ascii"), _bytes(signature))


def session_signature(session_key: str, message: str = "") -> str:
    """Sign for checkSessionKey and resetUserSessionKey (``sig_method=hmac_sha256``).

    Both sign the empty string; other calls sign their POST body
    (open-ability/http-signature.html).

    Args:
        session_key: The base64 text from code2Session; the text itself is the HMAC key.
        message: What is signed.

    Returns:
        64 hexadecimal characters.
    """
    return hmac.digest(_bytes(session_key), _bytes(message), "sha256").hex()


def encrypted_data_hash(encrypted_data: str) -> str:
    """Hash for checkEncryptedData's ``encrypted_msg_hash``: SHA-256 of the base64 text.

    Args:
        encrypted_data: The ``encryptedData`` text, exactly as the phone gave it.

    Returns:
        64 hexadecimal characters.
    """
    return hashlib.sha256(_bytes(encrypted_data)).hexdigest()


def _bytes(text: str) -> bytes:
    # JSON may smuggle in a lone surrogate; it must give a wrong signature, not an exception.
    return text.encode("utf-8", "surrogatepass")
