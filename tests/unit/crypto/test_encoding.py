"""Strict base64: every byte string has exactly one text, and damage is refused."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wechat_crypto import Base64Error, decode_base64, repair_base64

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", b""),
        ("Zg==", b"f"),
        ("Zm8=", b"fo"),
        ("Zm9v", b"foo"),
        ("Zm9vYg==", b"foob"),
        ("Zm9vYmE=", b"fooba"),
        ("Zm9vYmFy", b"foobar"),
        ("+/+/", b"\xfb\xff\xbf"),
    ],
)
def test_the_examples_of_rfc_4648_decode(text: str, content: bytes) -> None:
    assert decode_base64(text) == content


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Zg", id="no padding"),
        pytest.param("Zg=", id="half a padding"),
        pytest.param("Zg===", id="too much padding"),
        pytest.param("====", id="only padding"),
        pytest.param("Zg==Zg==", id="padding in the middle"),
        pytest.param("Zh==", id="stray bits in the last character"),
        pytest.param("Zm9=", id="stray bits before one padding"),
        pytest.param("Z", id="one character"),
        pytest.param("Zm9v\n", id="line break at the end"),
        pytest.param("Zm9v\r\nYmFy", id="line break inside"),
        pytest.param(" Zm9v", id="blank"),
        pytest.param("-_-_", id="the alphabet of URLs"),
        pytest.param("Zm9v!", id="foreign character"),
        pytest.param("Zm9\u0000", id="NUL"),
        pytest.param("Zm9\uff56", id="full-width letter"),
        pytest.param("Zm9\ud800", id="lone surrogate"),
    ],
)
def test_anything_but_canonical_base64_is_refused(text: str) -> None:
    with pytest.raises(Base64Error, match="send the text exactly as wx gave it") as refused:
        decode_base64(text)

    assert text not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.binary(max_size=64))
def test_every_byte_string_decodes_from_its_text(content: bytes) -> None:
    assert decode_base64(base64.b64encode(content).decode()) == content


@given(st.text(st.sampled_from(ALPHABET + "= \n-_")) | st.text())
@example("Zh==")
def test_no_other_text_decodes_to_the_same_bytes(text: str) -> None:
    try:
        content = decode_base64(text)
    except Base64Error:
        return
    assert text == base64.b64encode(content).decode()


@given(st.binary(max_size=64))
def test_each_blank_becomes_the_plus_it_was(content: bytes) -> None:
    text = base64.b64encode(content).decode()

    assert repair_base64(text.replace("+", " ")) == text


def test_a_text_with_some_blanks_and_some_plus_signs_is_repaired() -> None:
    assert repair_base64(" /+/") == "+/+/"


@pytest.mark.parametrize(
    "text", ["Zm9v\n", " Zm9v", "Zm9v ", "Zg", "%2B/+/", "Zh==", "-_ /", "Zm9v\t"]
)
def test_other_damage_is_not_repaired(text: str) -> None:
    with pytest.raises(Base64Error):
        repair_base64(text)
