"""PKCS#7 padding and damaged base64, against other implementations and form by form."""

import base64
from collections.abc import Callable

import pytest
from Crypto.Util.Padding import pad, unpad
from hypothesis import assume, example, given
from hypothesis import strategies as st

from wechat_crypto import Base64Error, decode_base64, repair_base64
from wechat_crypto.open_data import unpad_pkcs7

blocks = st.integers(1, 4).flatmap(lambda n: st.binary(min_size=16 * n, max_size=16 * n))
# Ends as they matter: some bytes of one value, behind anything.
nearly_padded = st.builds(
    lambda head, value, count: (head + bytes([value]) * count)[-len(head) :],
    blocks,
    st.integers(0, 18),
    st.integers(1, 18),
)


@given(blocks | nearly_padded)
@example(bytes(16))
@example(b"\x10" * 16)
@example(b"\x11" * 32)
def test_padding_is_good_just_where_another_implementation_says_so(padded: bytes) -> None:
    try:
        expected = (unpad(padded, 16), True)
    except ValueError:
        expected = (padded, False)

    assert unpad_pkcs7(padded) == expected


@given(st.binary(max_size=70))
def test_what_was_padded_comes_back(content: bytes) -> None:
    assert unpad_pkcs7(pad(content, 16)) == (content, True)


# ---------------------------------------------------------------------- base64

contents = st.binary(min_size=1, max_size=64)
positions = st.integers(0, 100)
# Half of them with a "/" and padding, so that each kind of damage meets something.
damageable = contents | st.binary(max_size=60).map(
    lambda head: head + b"\xff" * (3 if len(head) % 3 else 4)
)


def stray_bits(text: str, position: int) -> str:
    """Set a bit that no byte holds, where there is one."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    body = text.rstrip("=")
    return body[:-1] + letters[letters.index(body[-1]) | 1] + text[len(body) :]


BEYOND_DOUBT: dict[str, Callable[[str, int], str]] = {
    "alphabet of URLs": lambda text, _: text.replace("+", "-").replace("/", "_"),
    "no padding": lambda text, _: text.rstrip("="),
    "line break": lambda text, at: text[: at % len(text)] + "\n" + text[at % len(text) :],
    "line break of MIME": lambda text, at: text[: at % len(text)] + "\r\n" + text[at % len(text) :],
    "percent-encoded": lambda text, _: text.replace("+", "%2B").replace("=", "%3D"),
}
DAMAGE: dict[str, Callable[[str, int], str]] = {
    "more padding": lambda text, _: text + "=",
    "padding in the middle": lambda text, at: text[: at % len(text)] + "=" + text[at % len(text) :],
    "tab": lambda text, at: text[: at % len(text)] + "\t" + text[at % len(text) :],
    "three letters lost": lambda text, _: text.rstrip("=")[3:] + text[len(text.rstrip("=")) :],
    "another alphabet": lambda text, at: text[: at % len(text)] + "é" + text[at % len(text) + 1 :],
    "twice encoded": lambda text, _: base64.b64encode(text.encode()).decode() + "=",
    "stray bits": lambda text, at: stray_bits(text, at) if text.endswith("=") else text + "=",
}


STRICT: dict[str, Callable[[str, int], str]] = BEYOND_DOUBT | {
    "half a padding": lambda text, _: text.removesuffix("="),
    "a letter lost": lambda text, at: text[: at % len(text)] + text[at % len(text) + 1 :],
}


@pytest.mark.parametrize(
    ("read", "damage"),
    [
        *((decode_base64, damage) for damage in (DAMAGE | STRICT).values()),
        *((repair_base64, damage) for damage in DAMAGE.values()),
    ],
)
@given(content=damageable, position=positions)
@example(content=b"\xfb\xef\xff\xfb", position=3)
def test_each_kind_of_damage_is_refused_and_not_put_back_if_there_is_a_doubt(
    read: Callable[[str], object],
    damage: Callable[[str, int], str],
    content: bytes,
    position: int,
) -> None:
    text = base64.b64encode(content).decode()
    damaged = damage(text, position)
    assume(damaged != text)

    with pytest.raises(Base64Error):
        read(damaged)


@pytest.mark.parametrize("damage", BEYOND_DOUBT.values(), ids=BEYOND_DOUBT)
@given(content=damageable, position=positions)
def test_each_kind_that_leaves_none_is_put_back(
    damage: Callable[[str, int], str], content: bytes, position: int
) -> None:
    text = base64.b64encode(content).decode()

    assert repair_base64(damage(text, position)) == text


@given(contents, st.data())
def test_any_of_the_plus_signs_may_have_become_a_blank(content: bytes, data: st.DataObject) -> None:
    text = base64.b64encode(content).decode().replace("/", "+")
    assume(base64.b64encode(base64.b64decode(text)).decode() == text)
    damaged = "".join(data.draw(st.sampled_from(" +")) if c == "+" else c for c in text)

    assert repair_base64(damaged) == text
    if damaged != text:
        with pytest.raises(Base64Error):
            decode_base64(damaged)
