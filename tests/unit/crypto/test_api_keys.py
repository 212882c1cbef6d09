"""The keys of API security: what the console hands out is read, and what is not that is named."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.crypto.api_security_peer import (
    AES_KEY,
    AES_NUMBER,
    EXPIRES,
    SERIAL,
    certificate,
    document,
    pem,
    rsa_key,
)
from wechat_crypto.api_keys import ApiKeyError, ApiKeys

CURVE = ec.generate_private_key(ec.SECP256K1())
PKCS8 = PrivateFormat.PKCS8


def encrypted(form: PrivateFormat) -> str:
    password = BestAvailableEncryption(b"password")
    return rsa_key("ours").private_bytes(Encoding.PEM, form, password).decode()


def public(form: PublicFormat) -> str:
    return rsa_key("ours").public_key().public_bytes(Encoding.PEM, form).decode()


def with_field(field: str, value: object) -> dict[str, Any]:
    """Return the document with another value in a field like ``privateKey.pem``."""
    name, _, member = field.partition(".")
    changed = document()
    changed.setdefault(name, {})
    if member:
        changed[name] = changed[name] | {member: value}
    else:
        changed[name] = value
    return changed


def reason(changed: object) -> str:
    with pytest.raises(ApiKeyError) as error:
        ApiKeys.from_document(changed)
    assert error.value.__cause__ is None
    return str(error.value)


def test_what_the_console_hands_out_is_read() -> None:
    keys = ApiKeys.from_document(document())

    assert [(key.number, key.key) for key in keys.symmetric] == [(AES_NUMBER, AES_KEY)]
    assert [key.number for key in keys.private] == ["ours"]
    numbers = rsa_key("ours").private_numbers()
    private, public_key = keys.private[0].rsa, keys.certificates[0].rsa
    assert (private.n, private.d) == (numbers.public_numbers.n, numbers.d)
    assert public_key.n == rsa_key("theirs").public_key().public_numbers().n
    assert not public_key.has_private()
    assert keys.certificates[0].expires_at == EXPIRES.timestamp()


@pytest.mark.parametrize(
    "text",
    [
        pem(rsa_key("ours"), PKCS8),
        pem(rsa_key("ours")).replace("\n", "\r\n"),
        "\ufeff" + pem(rsa_key("ours")),
        f"Bag Attributes\n  friendlyName: x\n{pem(rsa_key('ours'), PKCS8)}\n\n",
    ],
    ids=["PKCS#8", "CRLF", "byte order mark", "text before"],
)
def test_a_private_key_may_be_converted_or_have_other_line_ends(text: str) -> None:
    keys = ApiKeys.from_document(with_field("privateKey.pem", text))
    assert keys.private[0].rsa.n == rsa_key("ours").public_key().public_numbers().n


def test_of_each_kind_there_may_be_one_before() -> None:
    keys = ApiKeys.from_document(
        document()
        | {
            "previousSymmetricKey": {"number": "a", "key": base64.b64encode(bytes(32)).decode()},
            "previousPrivateKey": {"number": "b", "pem": pem(rsa_key("ours before"))},
            "previousCertificate": {"number": "c", "pem": certificate(rsa_key("theirs before"))},
        }
    )
    assert [key.number for key in keys.symmetric] == [AES_NUMBER, "a"]
    assert [key.number for key in keys.private] == ["ours", "b"]
    assert [each.number for each in keys.certificates] == ["theirs", "c"]


WHERE_PRIVATE = "generate the key pair in the console first, then download the private key"
WHERE_CERTIFICATE = "download the platform certificate from the console"
SM2 = "is of SM2, which is not supported: choose RSA in the console"
SERIAL_NUMBER = (
    "is the serial number inside the certificate: take the number that the console shows beside it"
)
DAMAGED = "is damaged: download it again"


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("symmetricKey", None, "is missing"),
        ("privateKey", "text", "is missing"),
        ("previousPrivateKey", {}, ".number: must be the number that the console shows for it"),
        ("certificate.number", 7, "must be the number that the console shows for it"),
        ("symmetricKey.number", "a|b", "must be the number that the console shows for it"),
        ("symmetricKey.key", None, "is missing"),
        ("symmetricKey.key", "*", "must be base64, as the console shows it"),
        ("symmetricKey.key", base64.b64encode(bytes(16)).decode(),
         "is of SM4, which is not supported: choose AES256 there"),
        ("symmetricKey.key", base64.b64encode(bytes(24)).decode(),
         "must be base64 of 32 bytes, a key of AES256"),
        ("privateKey.pem", "", "is missing"),
        ("privateKey.pem", "MIIE", "must be a PEM file, with its lines -----BEGIN and -----END"),
        ("privateKey.pem", public(PublicFormat.SubjectPublicKeyInfo),
         f"is a public key: {WHERE_PRIVATE}"),
        ("privateKey.pem", public(PublicFormat.PKCS1), f"is a public key: {WHERE_PRIVATE}"),
        ("privateKey.pem", certificate(rsa_key("theirs")), f"is a certificate: {WHERE_PRIVATE}"),
        ("privateKey.pem", "-----BEGIN X509 CRL-----", f"is something else: {WHERE_PRIVATE}"),
        ("privateKey.pem", pem(CURVE), SM2),
        ("privateKey.pem", pem(CURVE, PKCS8), SM2),
        ("privateKey.pem", encrypted(PKCS8), "has a password: take it off with openssl rsa"),
        ("privateKey.pem", encrypted(PrivateFormat.TraditionalOpenSSL),
         "has a password: take it off with openssl rsa"),
        ("privateKey.pem", pem(rsa_key("ours"))[:400], DAMAGED),
        ("privateKey.pem", "-----BEGIN PRIVATE KEY-----\nMAA\n-----END PRIVATE KEY-----", DAMAGED),
        ("privateKey.pem", "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----", DAMAGED),
        ("certificate.pem", pem(rsa_key("ours")), f"is a private key: {WHERE_CERTIFICATE}"),
        ("certificate.pem", certificate(CURVE), SM2),
        ("certificate.pem", certificate(rsa_key("theirs")).replace("MII", "MIJ", 1), DAMAGED),
        ("certificate.number", f"{SERIAL:X}",
         SERIAL_NUMBER),
        ("certificate.number", f"00{SERIAL:x}",
         SERIAL_NUMBER),
    ],
)  # fmt: skip
def test_another_kind_is_named_with_its_field_and_what_to_do(
    field: str, value: object, expected: str
) -> None:
    separator = "" if expected.startswith(".") else ": "
    assert reason(with_field(field, value)) == f"{field}{separator}{expected}"


@pytest.mark.parametrize("changed", [None, [], "text", 1])
def test_what_is_no_document_says_what_it_must_hold(changed: object) -> None:
    assert reason(changed) == "must hold symmetricKey, privateKey and certificate"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("privateKey.pem", pem(rsa_key("short", 1024))),
        ("certificate.pem", certificate(rsa_key("short", 1024))),
    ],
    ids=["private key", "certificate"],
)
def test_a_key_that_is_too_short_is_refused(field: str, text: str) -> None:
    assert reason(with_field(field, text)) == f"{field}: has fewer than 2048 bits"


@given(st.data())
def test_whatever_is_damaged_is_an_error_that_quotes_nothing(data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(["privateKey.pem", "certificate.pem", "symmetricKey.key"]))
    name, member = field.split(".")
    text: str = document()[name][member]
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.sampled_from("Az09+/=-\n *")) + text[at + 1 :]
    said = f"{field}: "
    try:
        ApiKeys.from_document(with_field(field, damaged))
    except ApiKeyError as error:
        said = str(error)
    assert said.startswith(f"{field}: ")
    assert not any(line in said for line in damaged.splitlines() if len(line) > 20)


def test_of_certificates_only_those_count_that_have_not_expired() -> None:
    old = certificate(rsa_key("theirs before"), datetime(2026, 11, 1, tzinfo=UTC))
    keys = ApiKeys.from_document(
        document() | {"previousCertificate": {"number": "before", "pem": old}}
    )
    then = datetime(2026, 11, 1, tzinfo=UTC).timestamp()

    assert [each.number for each in keys.valid_certificates(then)] == ["theirs", "before"]
    assert [each.number for each in keys.valid_certificates(then + 1)] == ["theirs"]
    with pytest.raises(ApiKeyError) as error:
        keys.valid_certificates(EXPIRES.timestamp() + 1)
    assert str(error.value) == (
        "certificate: expired on 2030-01-01: download the platform certificate from the console "
        "again"
    )


def test_a_certificate_of_the_second_half_of_the_century_is_read() -> None:
    late = datetime(2051, 2, 3, 4, 5, 6, tzinfo=UTC)  # GeneralizedTime, by RFC 5280
    text = certificate(rsa_key("theirs"), late)
    keys = ApiKeys.from_document(with_field("certificate.pem", text))
    assert keys.certificates[0].expires_at == late.timestamp()


def test_no_key_is_shown() -> None:
    shown = repr(ApiKeys.from_document(document()))
    assert shown == (
        f"ApiKeys(symmetric=(SymmetricKey(number='{AES_NUMBER}'),), "
        "private=(PrivateKey(number='ours'),), "
        f"certificates=(Certificate(number='theirs', expires_at={int(EXPIRES.timestamp())}),))"
    )
