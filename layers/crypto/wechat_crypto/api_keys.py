"""The keys of an app's API security, as the console of the mini-program hands them out.

``{"symmetricKey": {"number", "key"}, "privateKey": {"number", "pem"}, "certificate": {"number",
"pem"}}``, and each once more as ``previousSymmetricKey`` and so on, for the day of a change.

Of the kinds that the console offers, AES-256 and RSA are supported; SM4 and SM2 are not. Sources:
WeChat, "服务端 API 签名加密指南", section 2 (developers.weixin.qq.com); RFC 8017, appendix A.1
(PKCS#1); RFC 5208 (PKCS#8); RFC 5280, section 4.1 (X.509); RFC 7468 (PEM). PEM and DER are read
here, since pycryptodome's own reader loads scrypt, DES and MD5 with it at every cold start.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from Crypto.PublicKey import RSA
from Crypto.Util.asn1 import DerBitString, DerObjectId, DerOctetString, DerSequence

from wechat_crypto.encoding import Base64Error, decode_base64

_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----([0-9A-Za-z+/=\s]+)-----END \1-----")
_LABEL = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")
_RSA = "1.2.840.113549.1.1.1"
_AES_256 = 32
_SM4 = 16
_LEAST_BITS = 2048  # NIST SP 800-131A; the console makes keys of this length
_TIMES = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}  # UTCTime and GeneralizedTime

_SM2 = "is of SM2, which is not supported: choose RSA in the console"
_KINDS = {
    "PUBLIC KEY": "a public key",
    "RSA PUBLIC KEY": "a public key",
    "CERTIFICATE": "a certificate",
    "PRIVATE KEY": "a private key",
    "RSA PRIVATE KEY": "a private key",
}
_WHERE = {
    "privateKey": "generate the key pair in the console first, then download the private key",
    "certificate": "download the platform certificate from the console",
}


class ApiKeyError(ValueError):
    """A key is missing or of the wrong kind; the message says which field, and quotes none."""


@dataclass(frozen=True, slots=True)
class SymmetricKey:
    """What calls and answers are encrypted with.

    Attributes:
        number: By which the console names it.
        key: 32 bytes, for AES-256.
    """

    number: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """What our calls are signed with.

    Attributes:
        number: By which the console names the pair.
        rsa: The key.
    """

    number: str
    rsa: RSA.RsaKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A platform certificate: what WeChat's answers are verified with.

    Attributes:
        number: By which the console and the answers name it; not the certificate's serial number.
        rsa: The public key in it.
        expires_at: The last second in which it is valid.
    """

    number: str
    rsa: RSA.RsaKey = field(repr=False)
    expires_at: int


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The keys of one app; of each kind the current one, then perhaps the one before it."""

    symmetric: tuple[SymmetricKey, ...]
    private: tuple[PrivateKey, ...]
    certificates: tuple[Certificate, ...]

    @classmethod
    def from_document(cls, document: object) -> "ApiKeys":
        """Read the keys; for the form see the module.

        Raises:
            ApiKeyError: A field is missing, or holds something else.
        """
        if not isinstance(document, dict):
            raise ApiKeyError("must hold symmetricKey, privateKey and certificate")
        return cls(
            tuple(_symmetric(each, name) for name, each in _of_kind(document, "symmetricKey")),
            tuple(_private(each, name) for name, each in _of_kind(document, "privateKey")),
            tuple(_certificate(each, name) for name, each in _of_kind(document, "certificate")),
        )

    def valid_certificates(self, now: float) -> tuple[Certificate, ...]:
        """Return the certificates that have not expired.

        Raises:
            ApiKeyError: The current one has.
        """
        current = self.certificates[0]
        if current.expires_at < now:
            day = datetime.fromtimestamp(current.expires_at, UTC).date()
            raise ApiKeyError(f"certificate: expired on {day}: {_WHERE['certificate']} again")
        return tuple(each for each in self.certificates if each.expires_at >= now)


def previous(name: str) -> str:
    """Return the name of the field for the key that came before: ``previousPrivateKey``."""
    return f"previous{name[0].upper()}{name[1:]}"


def _of_kind(document: Mapping[str, Any], name: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the fields for one kind of key that are there, by their names; one has to be."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for each in (name, previous(name)):
        value = document.get(each)
        if value is None and each != name:
            continue
        if not isinstance(value, dict):
            raise ApiKeyError(f"{each}: is missing")
        number = value.get("number")
        if not isinstance(number, str) or not _NUMBER.fullmatch(number):
            raise ApiKeyError(f"{each}.number: must be the number that the console shows for it")
        found.append((each, value))
    return found


def _symmetric(value: Mapping[str, Any], name: str) -> SymmetricKey:
    try:
        key = decode_base64(_text(value, name, "key").strip())
    except Base64Error:
        raise ApiKeyError(f"{name}.key: must be base64, as the console shows it") from None
    if len(key) == _SM4:
        raise ApiKeyError(f"{name}.key: is of SM4, which is not supported: choose AES256 there")
    if len(key) != _AES_256:
        raise ApiKeyError(f"{name}.key: must be base64 of 32 bytes, a key of AES256")
    return SymmetricKey(value["number"], key)


def _private(value: Mapping[str, Any], name: str) -> PrivateKey:
    label, der = _pem(value, name, ("RSA PRIVATE KEY", "PRIVATE KEY"), _WHERE["privateKey"])
    try:
        if label == "PRIVATE KEY":
            _, algorithm, wrapped, *_ = _sequence(der)
            _check_rsa(algorithm, name)
            der = DerOctetString().decode(wrapped).payload
        rsa = _rsa_of(*_sequence(der)[1:6])
    except ApiKeyError:
        raise
    except (ValueError, TypeError, IndexError, KeyError):
        raise ApiKeyError(f"{name}.pem: is damaged: download it again") from None
    return PrivateKey(value["number"], _large_enough(rsa, name))


def _rsa_of(n: int, e: int, d: int, p: int, q: int) -> RSA.RsaKey:
    """Make a key of its numbers, if they are one's.

    pycryptodome's own check also tries whether p and q are prime, which takes a tenth of a second.
    """
    if n != p * q or min(p, q) <= 2 or (e * d - 1) % (p - 1) or (e * d - 1) % (q - 1):  # noqa: PLR2004
        raise ValueError("not the numbers of one key")
    return RSA.construct((n, e, d, p, q), consistency_check=False)


def _certificate(value: Mapping[str, Any], name: str) -> Certificate:
    _, der = _pem(value, name, ("CERTIFICATE",), _WHERE["certificate"])
    try:
        content = _sequence(_sequence(der)[0])
        if isinstance(content[0], bytes):  # the version, which may be left out
            del content[0]
        serial, _, _, validity, _, key, *_ = content
        algorithm, bits = _sequence(key)
        _check_rsa(algorithm, name)
        n, e = _sequence(DerBitString().decode(bits).value)
        rsa = RSA.construct((n, e))
        expires_at = _time(_sequence(validity)[1])
    except ApiKeyError:
        raise
    except (ValueError, TypeError, IndexError, KeyError):
        raise ApiKeyError(f"{name}.pem: is damaged: download it again") from None
    if value["number"].lower().lstrip("0") == format(serial, "x"):
        raise ApiKeyError(
            f"{name}.number: is the serial number inside the certificate: take the number that the "
            "console shows beside it"
        )
    return Certificate(value["number"], _large_enough(rsa, name), expires_at)


def _text(value: Mapping[str, Any], name: str, member: str) -> str:
    text = value.get(member)
    if not isinstance(text, str) or not text:
        raise ApiKeyError(f"{name}.{member}: is missing")
    return text


def _pem(
    value: Mapping[str, Any], name: str, labels: tuple[str, ...], where: str
) -> tuple[str, bytes]:
    text = _text(value, name, "pem")
    found = _LABEL.search(text)
    if not found:
        raise ApiKeyError(f"{name}.pem: must be a PEM file, with its lines -----BEGIN and -----END")
    label = found[1]
    if label in {"EC PRIVATE KEY", "EC PARAMETERS", "SM2 PRIVATE KEY"}:
        raise ApiKeyError(f"{name}.pem: {_SM2}")
    if label == "ENCRYPTED PRIVATE KEY" or "Proc-Type" in text:
        raise ApiKeyError(f"{name}.pem: has a password: take it off with openssl rsa")
    if label not in labels:
        kind = _KINDS.get(label, "something else")
        raise ApiKeyError(f"{name}.pem: is {kind}: {where}")
    block = _PEM.search(text)
    try:
        return label, binascii.a2b_base64(block[2] if block else "=")
    except binascii.Error:
        raise ApiKeyError(f"{name}.pem: is damaged: download it again") from None


def _check_rsa(algorithm: bytes, name: str) -> None:
    if DerObjectId().decode(_sequence(algorithm)[0]).value != _RSA:
        raise ApiKeyError(f"{name}.pem: {_SM2}")


def _large_enough(rsa: RSA.RsaKey, name: str) -> RSA.RsaKey:
    if rsa.size_in_bits() < _LEAST_BITS:
        raise ApiKeyError(f"{name}.pem: has fewer than {_LEAST_BITS} bits")
    return rsa


def _sequence(der: bytes) -> list[Any]:
    """Take a SEQUENCE apart: integers as such, whatever else as it stands."""
    sequence = DerSequence().decode(der)
    return [sequence[index] for index in range(len(sequence))]


def _time(der: bytes) -> int:
    text = der[2:].decode("ascii")
    return int(datetime.strptime(text, _TIMES[der[0]]).replace(tzinfo=UTC).timestamp())
