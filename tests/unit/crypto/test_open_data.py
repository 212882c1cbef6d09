"""Open data: what decrypts, and that every way not to is one and the same error.

The encryptor is OpenSSL, through the ``cryptography`` package.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wechat_crypto import OpenDataError, decrypt_open_data

from .openssl import (
    IV,
    SESSION_KEY,
    base64_text,
    encrypt,
    encrypt_blocks,
    encrypt_bytes,
)

APPID = "wx0123456789abcdef"
NOW = 1_700_000_000
OTHER_KEY = base64_text(bytes(range(50, 66)))

PHONE: dict[str, Any] = {
    "phoneNumber": "13800138000",
    "purePhoneNumber": "13800138000",
    "countryCode": "86",
    "watermark": {"timestamp": NOW, "appid": APPID},
}
WATERMARK = json.dumps(PHONE["watermark"])


def decrypt(encrypted_data: str, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "session_key": SESSION_KEY,
        "iv": IV,
        "appid": APPID,
        "now": NOW,
        "max_age": 600,
        **changes,
    }
    return decrypt_open_data(encrypted_data=encrypted_data, **arguments)


def assert_refused(encrypted_data: str, **changes: Any) -> None:
    with pytest.raises(OpenDataError) as refused:
        decrypt(encrypted_data, **changes)
    assert str(refused.value) == str(OpenDataError())
    assert refused.value.__cause__ is None


def outcome(encrypted_data: str, iv: str = IV) -> dict[str, Any] | None:
    """Return what decrypts, or None for the error: quicker than assert_refused, in long loops."""
    try:
        return decrypt(encrypted_data, iv=iv)
    except OpenDataError:
        return None


def marked(**changes: Any) -> dict[str, Any]:
    """Change the watermark."""
    return {**PHONE, "watermark": {**PHONE["watermark"], **changes}}


def without(mark: str) -> dict[str, Any]:
    return {**PHONE, "watermark": {k: v for k, v in PHONE["watermark"].items() if k != mark}}


def test_data_of_this_app_and_lately_is_returned_with_its_watermark() -> None:
    assert decrypt(encrypt(PHONE)) == PHONE


def test_the_one_text_says_what_to_do_next() -> None:
    assert str(OpenDataError()) == (
        "encryptedData does not decrypt to fresh data of this app with this session_key and iv: "
        "log in again, then let the user tap once more"
    )


# ---------------------------------------------------------------------- text of WeChat's own kind

NAME = b'{"nickName":"#","gender":0,"watermark":' + WATERMARK.encode() + b"}"


@given(
    st.binary(max_size=11).filter(lambda name: not {0x22, 0x5C} & set(name)),
)
@example(b"\x14abc")
@example(b"half \xf0\x9f\x98")
@example(b"caf\xe9")
@example(b"\0" * 11)
def test_whatever_a_short_nickname_holds_is_read(name: bytes) -> None:
    data = decrypt(encrypt_bytes(NAME.replace(b"#", name)), damaged=True)
    assert data["nickName"] == name.decode("utf-8", "replace")


@given(st.binary(min_size=16, max_size=16))
@example(b"\x14" * 16)
@example(bytes(range(16)))
def test_an_altered_block_within_a_value_is_not_read_unless_it_is_good_text(block: bytes) -> None:
    text = b'{"nickName":"' + b"a" * 19 + block + b"a" * 16 + NAME.partition(b"#")[2]
    assert text.index(block, 32) == 32
    if not _is_text(block) and sum(byte >= 0x80 for byte in block) < 13:
        assert_refused(encrypt_bytes(text), damaged=True)


@pytest.mark.parametrize("key", [b"\x14", b"a\xff", b"\0"])
def test_damage_in_a_members_name_is_not_read(key: bytes) -> None:
    assert_refused(encrypt_bytes(NAME.replace(b"gender", key)), damaged=True)


def _is_text(block: bytes) -> bool:
    try:
        return min(block.decode()) >= " "
    except UnicodeDecodeError:
        return False


# ---------------------------------------------------------------------- what comes in

BROKEN_BASE64 = [
    pytest.param("", id="empty"),
    pytest.param("no base64!", id="foreign characters"),
    pytest.param("AAECAwQFBgcICQoLDA0ODw", id="no padding"),
    pytest.param("AAECAwQFBgcICQoLDA0ODx==", id="stray bits"),
    pytest.param("AAECAwQFBgcICQoLDA0ODw==\n", id="line break"),
    pytest.param("编码", id="not ASCII"),
    pytest.param("\ud800", id="lone surrogate"),
]


@pytest.mark.parametrize("argument", ["session_key", "iv", "encrypted_data"])
@pytest.mark.parametrize("text", BROKEN_BASE64)
def test_broken_base64_is_refused(argument: str, text: str) -> None:
    assert_refused(**{"encrypted_data": encrypt(PHONE), argument: text})


@pytest.mark.parametrize("argument", ["session_key", "iv"])
@pytest.mark.parametrize("length", [0, 1, 15, 17, 24, 32])
def test_a_key_or_iv_of_another_length_is_refused(argument: str, length: int) -> None:
    assert_refused(encrypt(PHONE), **{argument: base64_text(bytes(length))})


@pytest.mark.parametrize("length", [0, 1, 15, 17, 31, 33])
def test_ciphertext_that_is_not_whole_blocks_is_refused(length: int) -> None:
    assert_refused(base64_text(bytes(length)))


def test_another_session_key_is_refused() -> None:
    assert_refused(encrypt(PHONE), session_key=OTHER_KEY)


def test_another_iv_is_refused() -> None:
    assert_refused(encrypt(PHONE), iv=OTHER_KEY)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_ciphertext_with_its_last_blocks_cut_off_is_refused(blocks: int) -> None:
    ciphertext = base64.b64decode(encrypt(PHONE))

    assert_refused(base64_text(ciphertext[: -16 * blocks]))


# ---------------------------------------------------------------------- padding


def document_of(length: int) -> bytes:
    """Make a document that is fine but for its length, which is ``length`` modulo 16."""
    text = json.dumps(PHONE).encode()
    filler = (length - len(text) - len(b', "filler": ""')) % 16
    return json.dumps({**PHONE, "filler": "x" * filler}).encode()


@pytest.mark.parametrize(
    ("space", "count"),
    [
        pytest.param(b" ", 16, id="16 blanks say 32"),
        pytest.param(b" ", 32, id="32 blanks say 32, which is more than a block"),
        pytest.param(b"\n", 9, id="9 line feeds say 10"),
        pytest.param(b"\t", 8, id="8 tabs say 9"),
        pytest.param(b"\r", 12, id="12 carriage returns say 13"),
    ],
)
def test_json_that_needs_no_unpadding_still_needs_its_padding(space: bytes, count: int) -> None:
    blocks = document_of(-count) + space * count
    json.loads(blocks)  # so that only the padding can be what is refused

    assert_refused(encrypt_blocks(blocks))


def test_a_ciphertext_that_is_all_padding_is_refused() -> None:
    assert_refused(encrypt_blocks(bytes([16]) * 16))


# ---------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    "plaintext",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"13800138000", id="a number"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(json.dumps([PHONE]).encode(), id="an array"),
        pytest.param(json.dumps(PHONE).encode()[:-1], id="cut"),
        pytest.param(json.dumps(PHONE).encode() + b"}", id="more after it"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(PHONE).encode(), id="byte order mark"),
        pytest.param(json.dumps(PHONE).encode("utf-16"), id="UTF-16"),
        pytest.param(json.dumps(PHONE).encode().replace(b"86", b"\xff\xfe"), id="not UTF-8"),
        pytest.param(json.dumps(PHONE).encode().replace(b"86", b"\x01"), id="control character"),
        pytest.param(f'{{"n": NaN, "watermark": {WATERMARK}}}'.encode(), id="NaN"),
        pytest.param(f'{{"n": Infinity, "watermark": {WATERMARK}}}'.encode(), id="Infinity"),
        pytest.param(f'{{"n": -Infinity, "watermark": {WATERMARK}}}'.encode(), id="-Infinity"),
        pytest.param(f'{{"n": 1e999, "watermark": {WATERMARK}}}'.encode(), id="1e999"),
        pytest.param(f'{{"n": {"9" * 5000}, "watermark": {WATERMARK}}}'.encode(), id="huge"),
        pytest.param(
            f'{{"n": {"[" * 100_000}{"]" * 100_000}, "watermark": {WATERMARK}}}'.encode(),
            id="deep nesting",
        ),
    ],
)
def test_a_plaintext_that_is_no_json_object_is_refused(plaintext: bytes) -> None:
    assert_refused(encrypt_bytes(plaintext))


# ---------------------------------------------------------------------- watermark


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"phoneNumber": "13800138000"}, id="none"),
        pytest.param({**PHONE, "watermark": None}, id="null"),
        pytest.param({**PHONE, "watermark": []}, id="an array"),
        pytest.param({**PHONE, "watermark": APPID}, id="a text"),
        pytest.param({**PHONE, "watermark": {}}, id="empty"),
        pytest.param(without("appid"), id="no appid"),
        pytest.param(marked(appid="wxfedcba9876543210"), id="another app"),
        pytest.param(marked(appid=APPID.upper()), id="appid in upper case"),
        pytest.param(marked(appid=APPID + " "), id="appid and a blank"),
        pytest.param(marked(appid=""), id="empty appid"),
        pytest.param(marked(appid=None), id="appid null"),
        pytest.param(marked(appid=[APPID]), id="appid in an array"),
        pytest.param(marked(appid="应用"), id="appid not ASCII"),
        pytest.param(without("timestamp"), id="no timestamp"),
        pytest.param(marked(timestamp=None), id="timestamp null"),
        pytest.param(marked(timestamp=str(NOW)), id="timestamp a text"),
        pytest.param(marked(timestamp=float(NOW)), id="timestamp a float"),
        pytest.param(marked(timestamp=True), id="timestamp true"),
        pytest.param(marked(timestamp=NOW * 1000), id="timestamp in milliseconds"),
        pytest.param(marked(timestamp=10**400), id="timestamp beyond a double"),
        pytest.param(marked(timestamp=-(10**400)), id="timestamp beyond a double, negative"),
    ],
)
def test_a_watermark_that_is_not_of_this_app_and_lately_is_refused(
    document: dict[str, Any],
) -> None:
    assert_refused(encrypt(document))


def test_a_lone_surrogate_as_appid_is_refused_and_no_exception() -> None:
    plaintext = json.dumps(marked(appid="\ud800")).encode()  # ASCII: the escape \ud800

    assert_refused(encrypt_bytes(plaintext))


def test_a_timestamp_of_true_is_not_the_first_second_of_1970() -> None:
    assert_refused(encrypt(marked(timestamp=True)), now=1)


@pytest.mark.parametrize("mark", ["appid", "timestamp"])
def test_both_marks_are_checked_even_if_any_age_will_do(mark: str) -> None:
    assert_refused(encrypt(without(mark)), now=None, max_age=None)


@pytest.mark.parametrize(
    ("age", "fresh"),
    [
        (600, True),
        (600.001, False),
        (601, False),
        (0, True),
        (-600, True),
        (-600.001, False),
        (-601, False),
    ],
)
def test_the_age_may_be_max_age_either_way_and_no_more(age: float, fresh: bool) -> None:
    encrypted_data = encrypt(PHONE)

    if fresh:
        assert decrypt(encrypted_data, now=NOW + age) == PHONE
    else:
        assert_refused(encrypted_data, now=NOW + age)


def test_with_a_max_age_of_0_only_the_very_second_will_do() -> None:
    assert decrypt(encrypt(PHONE), max_age=0) == PHONE
    assert_refused(encrypt(PHONE), max_age=0, now=NOW + 1)


@pytest.mark.parametrize("timestamp", [0, 1_477_314_187, 10**400])
@pytest.mark.parametrize("now", [None, NOW])
def test_without_max_age_any_age_will_do(timestamp: int, now: float | None) -> None:
    document = marked(timestamp=timestamp)

    assert decrypt(encrypt(document), max_age=None, now=now) == document


def test_max_age_without_now_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="max_age needs now"):
        decrypt(encrypt(PHONE), now=None)


# ---------------------------------------------------------------------- properties

any_text = st.text(st.characters(codec=None, exclude_categories=()))
documents = st.dictionaries(
    st.text(),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
)
sixteen_bytes = st.binary(min_size=16, max_size=16).map(base64_text)


@given(documents, sixteen_bytes, sixteen_bytes)
def test_whatever_openssl_encrypts_comes_back(
    document: dict[str, Any], session_key: str, iv: str
) -> None:
    document = {**document, "watermark": PHONE["watermark"]}

    assert decrypt(encrypt(document, session_key, iv), session_key=session_key, iv=iv) == document


@given(st.binary(max_size=80))
def test_no_plaintext_without_the_watermark_gets_through(plaintext: bytes) -> None:
    assert_refused(encrypt_bytes(plaintext))


@given(st.binary(min_size=16, max_size=160).map(lambda blocks: blocks[: len(blocks) // 16 * 16]))
def test_no_made_up_ciphertext_gets_through(ciphertext: bytes) -> None:
    assert_refused(base64_text(ciphertext))


@given(any_text, any_text, any_text, any_text)
def test_no_text_that_json_can_carry_is_another_exception(
    session_key: str, encrypted_data: str, iv: str, appid: str
) -> None:
    assert_refused(encrypted_data, session_key=session_key, iv=iv, appid=appid)


@given(any_text)
def test_no_appid_is_another_exception(appid: str) -> None:
    assert_refused(encrypt(PHONE), appid=appid)


# ---------------------------------------------------------------------- changed on the way


def flipped(text: str) -> Iterator[str]:
    content = base64.b64decode(text)
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield base64_text(bytes(changed))


def test_no_single_flipped_bit_returns_the_number_that_was_encrypted() -> None:
    document = {"watermark": PHONE["watermark"], "phoneNumber": "13800138000"}
    encrypted_data = encrypt(document)

    outcomes = [outcome(each) for each in flipped(encrypted_data)]
    outcomes += [outcome(encrypted_data, each) for each in flipped(IV)]

    assert len(outcomes) == 8 * (len(base64.b64decode(encrypted_data)) + 16)
    assert [data for data in outcomes if data is not None] == []


def test_cbc_alone_cannot_tell_a_forged_first_block() -> None:
    """Why a phone number is believed only after checkEncryptedData."""
    document = {"n": "13800138000", "watermark": PHONE["watermark"]}
    encrypted_data = encrypt(document)
    vector = bytearray(base64.b64decode(IV))
    vector[len('{"n": "')] ^= ord("1") ^ ord("9")

    assert decrypt(encrypted_data, iv=base64_text(bytes(vector))) == {
        "n": "93800138000",
        "watermark": PHONE["watermark"],
    }
