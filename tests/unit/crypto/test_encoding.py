"""Strict base64: every byte string has exactly one text, and damage is refused."""

import base64
from collections.abc import Callable
from urllib.parse import quote, unquote

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


# ---------------------------------------------------------------------- put back


def percent_encoded(text: str) -> str:
    return quote(text, safe="")


def in_lines(text: str) -> str:
    return "\r\n".join(text[start : start + 76] for start in range(0, len(text), 76)) + "\n"


DONE_TO_IT: dict[str, Callable[[str], str]] = {
    "encodeURIComponent": percent_encoded,
    "a form decoder": lambda text: text.replace("+", " "),
    "the alphabet of URLs": lambda text: text.replace("+", "-").replace("/", "_"),
    "padding stripped": lambda text: text.rstrip("="),
    "broken into lines": in_lines,
}


@given(st.binary(max_size=120), st.lists(st.sampled_from(sorted(DONE_TO_IT)), max_size=3))
@example(b"\xfb\xff\xbf" * 40, ["a form decoder", "encodeURIComponent", "encodeURIComponent"])
@example(b"f", ["padding stripped", "broken into lines", "encodeURIComponent"])
def test_whatever_was_done_to_base64_up_to_three_times_is_put_back(
    content: bytes, chain: list[str]
) -> None:
    text = damaged = base64.b64encode(content).decode()
    for step in chain:
        damaged = DONE_TO_IT[step](damaged)

    assert repair_base64(damaged) == text


@given(st.text(st.sampled_from(ALPHABET + "= \r\n-_%2BFD")) | st.text())
def test_no_text_becomes_anything_but_what_it_says(text: str) -> None:
    """What is put back is the text itself, but for what stands for one character each."""
    try:
        repaired = repair_base64(text)
    except Base64Error:
        return
    plain = text
    for _ in range(3):
        plain = unquote(plain, errors="strict") if "%" in plain else plain
    one_by_one = plain.replace("\r", "").replace("\n", "").translate(str.maketrans("-_ ", "+/+"))
    assert repaired.rstrip("=") == one_by_one.rstrip("=")
    assert base64.b64encode(decode_base64(repaired)).decode() == repaired


@pytest.mark.parametrize(
    "text",
    [
        "Zg=",
        "Zg===",
        "Z",
        "Zh==",
        "Zm9v\t",
        "Zm9v\\n",
        "Zm9v!",
        "%",
        "%2",
        "%zz",
        "%E4%BD",
        "Zm9v,",
    ],
)
def test_other_damage_is_not_put_back(text: str) -> None:
    with pytest.raises(Base64Error, match="send the text exactly as wx gave it"):
        repair_base64(text)


def test_what_was_encoded_four_times_is_refused() -> None:
    text = "+/+/"
    for _ in range(4):
        text = percent_encoded(text)
    with pytest.raises(Base64Error):
        repair_base64(text)
