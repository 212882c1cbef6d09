"""WeChat's signatures: the session_key's text is the key, and a wrong one is never an error."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import given
from hypothesis import strategies as st

from wechat_crypto import (
    encrypted_data_hash,
    raw_data_signature,
    session_signature,
    verify_raw_data_signature,
)

SESSION_KEY = "HyVFkGl5F5OQWJZZaNzBBg=="
RAW_DATA = '{"nickName":"李雷","gender":1}'
SIGNATURE = hashlib.sha1((RAW_DATA + SESSION_KEY).encode()).hexdigest()  # noqa: S324  WeChat's

any_text = st.text(st.characters(codec=None, exclude_categories=()))


def test_the_signature_of_raw_data_belongs_to_it() -> None:
    assert verify_raw_data_signature(RAW_DATA, SESSION_KEY, SIGNATURE) is True


@pytest.mark.parametrize(
    ("raw_data", "session_key", "signature"),
    [
        pytest.param(RAW_DATA + " ", SESSION_KEY, SIGNATURE, id="other rawData"),
        pytest.param(RAW_DATA, "o0q0otL8aEzpcZL/FT9WsQ==", SIGNATURE, id="other session_key"),
        pytest.param(RAW_DATA, SESSION_KEY, SIGNATURE.upper(), id="upper case"),
        pytest.param(RAW_DATA, SESSION_KEY, SIGNATURE[:-1], id="cut"),
        pytest.param(RAW_DATA, SESSION_KEY, SIGNATURE + "0", id="longer"),
        pytest.param(RAW_DATA, SESSION_KEY, "", id="empty"),
        pytest.param(RAW_DATA, SESSION_KEY, "签名", id="not ASCII"),
        pytest.param(RAW_DATA, SESSION_KEY, "\ud800", id="lone surrogate"),
        pytest.param("\ud800", SESSION_KEY, SIGNATURE, id="lone surrogate in rawData"),
    ],
)
def test_any_other_signature_does_not(raw_data: str, session_key: str, signature: str) -> None:
    assert verify_raw_data_signature(raw_data, session_key, signature) is False


@given(any_text, any_text, any_text)
def test_no_text_that_json_can_carry_is_an_exception(raw: str, key: str, signature: str) -> None:
    assert verify_raw_data_signature(raw, key, raw_data_signature(raw, key)) is True
    assert verify_raw_data_signature(raw, key, signature) is (
        signature == raw_data_signature(raw, key)
    )


@given(st.text(), st.text(min_size=1))
def test_the_session_signature_is_the_hmac_that_openssl_makes(message: str, key: str) -> None:
    openssl = hmac.HMAC(key.encode(), hashes.SHA256())
    openssl.update(message.encode())

    assert session_signature(key, message) == openssl.finalize().hex()


def test_without_a_message_the_empty_one_is_signed() -> None:
    assert session_signature(SESSION_KEY) == session_signature(SESSION_KEY, "")


def test_the_hash_is_of_the_base64_text_and_not_of_the_bytes() -> None:
    assert encrypted_data_hash("Zm9v") == (
        "a9348e4afdda1c9e00c21e7a8be625e5c75360bf6f741804551b58b7f491f3f2"
    )
