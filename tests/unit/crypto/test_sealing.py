"""Sealing: a blob opens only whole, in its place, for its purpose, under its key."""

import json
from typing import Any

import pytest
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from wechat_crypto import KeyRing, KeyRingError, UnknownKeyError, UnsealError
from wechat_crypto.sealing import hkdf_sha256

K1 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01"
K2 = "ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfedcba987654321098"
RING = KeyRing({"k1": K1}, current="k1")
ROTATED = KeyRing({"k1": K1, "k2": K2}, current="k2")
AHEAD = KeyRing({"k1": K1, "k2": K2}, current="k1")

any_text = st.text(st.characters(codec=None, exclude_categories=()))


def seal(ring: KeyRing = RING) -> bytes:
    return ring.seal(b"session_key", purpose="session", context="Sessions|user|1")


def unseal(
    blob: bytes,
    ring: KeyRing = RING,
    *,
    purpose: str = "session",
    context: str = "Sessions|user|1",
) -> bytes:
    return ring.unseal(blob, purpose=purpose, context=context)


# ---------------------------------------------------------------------- seal and unseal


@given(st.binary(), st.text(), st.text())
def test_what_was_sealed_unseals_in_its_place(content: bytes, purpose: str, context: str) -> None:
    blob = RING.seal(content, purpose=purpose, context=context)

    assert RING.unseal(blob, purpose=purpose, context=context) == content


def test_two_seals_of_one_plaintext_share_no_nonce() -> None:
    blobs = {seal() for _ in range(100)}

    assert len({blob[3:15] for blob in blobs}) == 100


def test_a_blob_is_key_id_nonce_ciphertext_and_tag_as_documented() -> None:
    blob = seal(ROTATED)
    assert len(blob) == 1 + len("k2") + 12 + len(b"session_key") + 16
    assert blob[:3] == b"\x02k2"

    subkey = HKDF(K2.encode(), 32, b"", SHA256, context=b"wechat_crypto/seal/session")
    assert isinstance(subkey, bytes)
    opened = AESGCM(subkey).decrypt(blob[3:15], blob[15:], b"Sessions|user|1")

    assert opened == b"session_key"


def test_a_blob_that_was_moved_does_not_unseal() -> None:
    with pytest.raises(UnsealError, match="changed, moved or made for something else"):
        unseal(seal(), context="Sessions|user|2")


def test_a_blob_of_another_purpose_does_not_unseal() -> None:
    with pytest.raises(UnsealError, match="changed, moved or made for something else"):
        unseal(seal(), purpose="access_token")


def test_a_blob_under_another_key_of_the_same_name_does_not_unseal() -> None:
    with pytest.raises(UnsealError, match="changed, moved or made for something else"):
        unseal(seal(), KeyRing({"k1": K2}, current="k1"))


def test_no_flipped_bit_unseals() -> None:
    blob = seal()

    for bit in range(8 * len(blob)):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UnsealError):
            unseal(bytes(changed))


def test_no_cut_or_lengthened_blob_unseals() -> None:
    blob = seal()

    for length in range(len(blob)):
        with pytest.raises(UnsealError):
            unseal(blob[:length])
    with pytest.raises(UnsealError):
        unseal(blob + b"\x00")


@pytest.mark.parametrize("blob", [b"", b"\x02", b"\x02k1", b"\x02k1" + bytes(27), b"\xff" * 64])
def test_a_blob_too_short_for_its_parts_is_said_to_be(blob: bytes) -> None:
    with pytest.raises(UnsealError, match="too short"):
        unseal(blob)


@given(st.binary(max_size=100))
def test_no_made_up_blob_unseals(blob: bytes) -> None:
    with pytest.raises(UnsealError):
        unseal(blob)


def test_an_empty_plaintext_is_sealed_too() -> None:
    blob = RING.seal(b"", purpose="session", context="")

    assert len(blob) == 1 + 2 + 12 + 16
    assert unseal(blob, context="") == b""


# ---------------------------------------------------------------------- rotation


def test_after_rotation_new_blobs_stand_under_the_new_key_and_old_ones_still_open() -> None:
    assert seal(ROTATED)[:3] == b"\x02k2"
    assert unseal(seal(RING), ROTATED) == b"session_key"


def test_a_ring_that_already_holds_the_next_key_opens_its_blobs() -> None:
    assert unseal(seal(ROTATED), AHEAD) == b"session_key"


def test_a_key_that_the_ring_does_not_hold_is_said_to_be_unknown() -> None:
    with pytest.raises(UnknownKeyError, match="names a key that the key ring does not hold"):
        unseal(seal(ROTATED), RING)


@pytest.mark.parametrize("key_id", [b"k3", b"K1", b"", b"\xff\xfe", b"k" * 32])
def test_a_blob_that_names_no_key_of_the_ring_is_unknown(key_id: bytes) -> None:
    with pytest.raises(UnknownKeyError):
        unseal(bytes([len(key_id)]) + key_id + bytes(28))


def test_fingerprints_come_under_the_current_key_first_then_newest_to_oldest() -> None:
    keys = {"k1": K1, "k2": K2, "k3": K1[::-1]}
    single = [
        KeyRing({name: key}, name).fingerprint("a", purpose="p") for name, key in keys.items()
    ]
    of_k1, of_k2, of_k3 = single

    assert KeyRing(keys, "k3").fingerprints("a", purpose="p") == [of_k3, of_k2, of_k1]
    assert KeyRing(keys, "k2").fingerprints("a", purpose="p") == [of_k2, of_k3, of_k1]
    assert KeyRing(keys, "k2").fingerprint("a", purpose="p") == of_k2


# ---------------------------------------------------------------------- fingerprints


def test_a_fingerprint_is_the_documented_hmac_of_length_prefixed_parts() -> None:
    subkey = HKDF(K1.encode(), 32, b"", SHA256, context=b"wechat_crypto/fingerprint/user")
    assert isinstance(subkey, bytes)
    openssl = hmac.HMAC(subkey, hashes.SHA256())
    openssl.update(b"\x00\x00\x00\x02ab" + b"\x00\x00\x00\x03\xe5\xbe\xae")

    assert RING.fingerprint("ab", "微", purpose="user") == openssl.finalize()


@given(st.lists(any_text), st.lists(any_text))
def test_only_the_same_parts_have_the_same_fingerprint(one: list[str], other: list[str]) -> None:
    same = RING.fingerprint(*one, purpose="user") == RING.fingerprint(*other, purpose="user")

    assert same is (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a",), ("a", "")),
        ((), ("",)),
        (("a\x00\x00\x00\x01b",), ("a", "b")),
    ],
)
def test_parts_do_not_run_into_one_another(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert RING.fingerprint(*one, purpose="user") != RING.fingerprint(*other, purpose="user")


def test_another_purpose_or_key_gives_another_fingerprint() -> None:
    prints = {
        RING.fingerprint("a", purpose="user"),
        RING.fingerprint("a", purpose="phone_exchange"),
        ROTATED.fingerprint("a", purpose="user"),
    }

    assert len(prints) == 3
    assert {len(each) for each in prints} == {32}


# ---------------------------------------------------------------------- HKDF


def test_hkdf_gives_the_first_block_of_test_case_3_of_rfc_5869() -> None:
    okm = hkdf_sha256(bytes.fromhex("0b" * 22), b"")

    assert okm.hex() == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=200))
def test_hkdf_is_that_of_pycryptodome(key: bytes, info: bytes) -> None:
    assert hkdf_sha256(key, info) == HKDF(key, 32, b"", SHA256, context=info)


# ---------------------------------------------------------------------- the ring's document


def test_a_ring_is_read_from_its_document() -> None:
    ring = KeyRing.from_json(json.dumps({"current": "k2", "k1": K1, "k2": K2}))

    assert unseal(seal(RING), ring) == b"session_key"
    assert unseal(seal(ring), ROTATED) == b"session_key"


def test_a_ring_names_its_keys_and_never_shows_them() -> None:
    assert repr(ROTATED) == "KeyRing(current='k2', keys=['k1', 'k2'])"
    assert str(ROTATED) == repr(ROTATED)


NOT_A_RING = 'the key ring must be JSON: {"current":"k1","k1":"…"}'
NO_KEY_ID = "a key id must be 1 to 32 ASCII letters and digits, like k1"
NO_CURRENT = '"current" must name one of the keys, like "k1"'
NO_KEY = "key k1 must be a text of at least 32 characters"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", NOT_A_RING, id="empty"),
        pytest.param(K1, NOT_A_RING, id="a key instead of the document"),
        pytest.param("[" * 100_000, NOT_A_RING, id="nested too deeply"),
        pytest.param(f'["{K1}"]', NOT_A_RING, id="an array"),
        pytest.param(f'{{"k1":"{K1}"}}', NOT_A_RING, id="no current"),
        pytest.param(f'{{"current":1,"k1":"{K1}"}}', NOT_A_RING, id="current a number"),
        pytest.param(f'{{"current":"k1","k1":"{K1}","k1":"{K2}"}}', NOT_A_RING, id="key twice"),
        pytest.param('{"current":"k1"}', NO_CURRENT, id="no key"),
        pytest.param(f'{{"current":"k2","k1":"{K1}"}}', NO_CURRENT, id="current names none"),
        pytest.param(f'{{"current":"","":"{K1}"}}', NO_KEY_ID, id="empty id"),
        pytest.param(f'{{"current":"k-1","k-1":"{K1}"}}', NO_KEY_ID, id="id with a hyphen"),
        pytest.param(f'{{"current":"钥","钥":"{K1}"}}', NO_KEY_ID, id="id not ASCII"),
        pytest.param(
            json.dumps({"current": "k" * 33, "k" * 33: K1}), NO_KEY_ID, id="id of 33 characters"
        ),
        pytest.param(f'{{"current":"k1","k1":"{K1[:31]}"}}', NO_KEY, id="key of 31 characters"),
        pytest.param('{"current":"k1","k1":""}', NO_KEY, id="empty key"),
        pytest.param('{"current":"k1","k1":12345678901234567890}', NO_KEY, id="key a number"),
        pytest.param(f'{{"current":"k1","k1":["{K1}"]}}', NO_KEY, id="key in an array"),
        pytest.param(f'{{"current":"k2","k2":"{K2}","k1":null}}', NO_KEY, id="old key null"),
    ],
)
def test_a_malformed_ring_is_refused_and_not_quoted(text: str, message: str) -> None:
    with pytest.raises(KeyRingError) as refused:
        KeyRing.from_json(text)

    assert str(refused.value) == message
    assert refused.value.__cause__ is None


def test_the_shortest_key_and_the_longest_id_will_do() -> None:
    ring = KeyRing.from_json(json.dumps({"current": "k" * 32, "k" * 32: K1[:32]}))

    assert unseal(seal(ring), ring) == b"session_key"


@given(st.recursive(st.none() | st.integers() | any_text, st.lists) | any_text)
def test_no_document_is_another_exception(document: Any) -> None:
    for text in (json.dumps(document), str(document)):
        with pytest.raises(KeyRingError):
            KeyRing.from_json(text)


def test_a_blob_tells_whether_the_current_key_sealed_it() -> None:
    first = KeyRing({"k1": "1" * 32}, "k1")
    second = KeyRing({"k1": "1" * 32, "k11": "2" * 32}, "k11")
    blobs = [ring.seal(b"text", purpose="test", context="here") for ring in (first, second)]

    assert [first.is_current(blob) for blob in blobs] == [True, False]
    assert [second.is_current(blob) for blob in blobs] == [False, True]
