"""What Secrets Manager holds is read once, and again when it is old or turns out to be wrong."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from wechat_auth.errors import MISCONFIGURED, STORAGE_UNAVAILABLE, AuthError
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Aws, OutOfTimeError, StorageError
from wechat_crypto import KeyRing, UnknownKeyError, UnsealError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

APPID = "wx0123456789abcdef"
OTHER = "wxfedcba9876543210"
K1 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01"
K2 = K1[::-1]
OLD_RING = {"current": "k1", "k1": K1}
NEW_RING = {"current": "k2", "k1": K1, "k2": K2}
NOW = 1_700_000_000.0


class Vault:
    """Secrets Manager with our two secrets, a store in front of it, and a clock."""

    def __init__(self, client: "SecretsManagerClient") -> None:
        self.client = client
        self.now = NOW
        self.reads: list[str] = []
        client.create_secret(Name="KeyRing")
        client.create_secret(Name="AppSecrets")
        client.create_secret(Name="ApiClients", SecretString="{}")
        client.meta.events.register(
            "provide-client-params.secretsmanager.GetSecretValue",
            lambda params, **_: self.reads.append(params["SecretId"]),
        )
        self.store = SecretStore(
            Aws(lambda **_: self.client),
            key_ring_id="KeyRing",
            app_secrets_id="AppSecrets",
            api_clients_id="ApiClients",
            clock=lambda: self.now,
        )

    def put(self, secret_id: str, content: Any) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self.client.put_secret_value(SecretId=secret_id, SecretString=text)

    def unseal(self, blob: bytes) -> bytes:
        return self.store.unseal(blob, purpose="session", context="Sessions|1")


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield Vault(boto3.client("secretsmanager", region_name="ap-southeast-1"))


def sealed(ring: dict[str, str]) -> bytes:
    text = json.dumps(ring)
    return KeyRing.from_json(text).seal(b"openid", purpose="session", context="Sessions|1")


def remedy(read: Any, *arguments: str) -> str:
    with pytest.raises(AuthError) as refused:
        read(*arguments)
    assert refused.value.problem is MISCONFIGURED
    return str(refused.value.remedy)


# ---------------------------------------------------------------------- read once


def test_nothing_is_read_before_it_is_needed(vault: Vault) -> None:
    assert vault.reads == []


def test_app_secrets_are_read_once_however_old_they_get(vault: Vault) -> None:
    vault.put("AppSecrets", {APPID: "secret", OTHER: "other-secret"})

    for _ in range(3):
        assert vault.store.app_secret(APPID) == "secret"
        assert vault.store.app_secret(OTHER) == "other-secret"
        vault.now += 86_400

    assert vault.reads == ["AppSecrets"]


def test_the_ring_is_read_again_every_five_minutes(vault: Vault) -> None:
    vault.put("KeyRing", OLD_RING)

    for _ in range(3600):  # one a second, an hour
        assert vault.unseal(sealed(OLD_RING)) == b"openid"
        vault.now += 1

    assert vault.reads == ["KeyRing"] * 12


def test_the_ring_is_the_same_object_every_time(vault: Vault) -> None:
    vault.put("KeyRing", OLD_RING)

    assert vault.store.key_ring() is vault.store.key_ring()


# ---------------------------------------------------------------------- the ring, read again


def test_a_blob_of_a_new_key_makes_the_ring_be_read_again(vault: Vault) -> None:
    vault.put("KeyRing", OLD_RING)
    vault.store.key_ring()
    vault.put("KeyRing", NEW_RING)
    vault.now += 60

    assert vault.unseal(sealed(NEW_RING)) == b"openid"
    assert vault.unseal(sealed(OLD_RING)) == b"openid"
    assert repr(vault.store.key_ring()) == "KeyRing(current='k2', keys=['k1', 'k2'])"
    assert vault.reads == ["KeyRing", "KeyRing"]


def test_but_not_within_a_minute(vault: Vault) -> None:
    vault.put("KeyRing", OLD_RING)
    vault.store.key_ring()
    vault.put("KeyRing", NEW_RING)
    vault.now += 59.9

    with pytest.raises(UnknownKeyError):
        vault.unseal(sealed(NEW_RING))
    assert vault.reads == ["KeyRing"]


def test_a_flood_of_unknown_keys_reads_the_ring_once_a_minute(vault: Vault) -> None:
    vault.put("KeyRing", OLD_RING)

    for _ in range(300):  # one a second, 5 minutes
        with pytest.raises(UnknownKeyError):
            vault.unseal(sealed(NEW_RING))
        vault.now += 1

    assert len(vault.reads) == 5


def test_another_key_under_the_same_name_makes_the_ring_be_read_again(vault: Vault) -> None:
    other = {"current": "k1", "k1": K2}
    vault.put("KeyRing", OLD_RING)
    vault.store.key_ring()
    vault.put("KeyRing", other)

    vault.now += 59.9
    with pytest.raises(UnsealError):
        vault.unseal(sealed(other))
    vault.now += 0.1
    assert vault.unseal(sealed(other)) == b"openid"
    assert vault.reads == ["KeyRing", "KeyRing"]


def test_an_environment_that_only_seals_stops_using_a_key_that_was_taken_out(vault: Vault) -> None:
    vault.put("KeyRing", NEW_RING)
    vault.store.key_ring()
    vault.put("KeyRing", OLD_RING)

    vault.now += 299.9
    assert repr(vault.store.key_ring()) == "KeyRing(current='k2', keys=['k1', 'k2'])"
    vault.now += 0.1
    assert repr(vault.store.key_ring()) == "KeyRing(current='k1', keys=['k1'])"


def test_a_ring_that_cannot_be_read_again_goes_on_and_is_tried_once_a_minute(vault: Vault) -> None:
    vault.put("KeyRing", OLD_RING)
    vault.store.key_ring()
    vault.client.delete_secret(SecretId="KeyRing")

    for _ in range(600):
        vault.now += 1
        assert vault.unseal(sealed(OLD_RING)) == b"openid"
    assert len(vault.reads) == 1 + 6  # at 300, 360, … 600 seconds
    vault.client.restore_secret(SecretId="KeyRing")
    vault.put("KeyRing", NEW_RING)
    vault.now += 60
    assert repr(vault.store.key_ring()) == "KeyRing(current='k2', keys=['k1', 'k2'])"


def test_a_ring_that_was_damaged_meanwhile_leaves_the_good_one_in_use(vault: Vault) -> None:
    vault.put("KeyRing", OLD_RING)
    vault.store.key_ring()
    vault.put("KeyRing", "oops")
    vault.now += 60

    with pytest.raises(UnknownKeyError):
        vault.unseal(sealed(NEW_RING))
    assert vault.unseal(sealed(OLD_RING)) == b"openid"


# ---------------------------------------------------------------------- AppSecret, read again


def test_a_refused_app_secret_is_read_again(vault: Vault) -> None:
    vault.put("AppSecrets", {APPID: "old-secret"})
    assert vault.store.app_secret(APPID) == "old-secret"
    vault.put("AppSecrets", {APPID: "new-secret"})
    vault.now += 60

    vault.store.app_secret_refused()

    for _ in range(3):
        assert vault.store.app_secret(APPID) == "new-secret"
        vault.now += 3600
    assert vault.reads == ["AppSecrets", "AppSecrets"]


def test_within_a_minute_it_is_not_but_as_soon_as_the_minute_is_over(vault: Vault) -> None:
    vault.put("AppSecrets", {APPID: "old-secret"})
    vault.store.app_secret(APPID)
    vault.put("AppSecrets", {APPID: "new-secret"})

    vault.store.app_secret_refused()

    vault.now += 59.9
    assert vault.store.app_secret(APPID) == "old-secret"
    vault.now += 0.1
    assert vault.store.app_secret(APPID) == "new-secret"


def test_a_secret_that_stays_refused_is_read_once_a_minute(vault: Vault) -> None:
    vault.put("AppSecrets", {APPID: "wrong"})

    for _ in range(300):
        vault.store.app_secret(APPID)
        vault.store.app_secret_refused()
        vault.now += 1

    assert len(vault.reads) == 5


# ---------------------------------------------------------------------- missing and malformed


def test_secrets_that_were_never_stored_are_misconfigured_with_a_remedy(vault: Vault) -> None:
    for read in (vault.store.key_ring, lambda: vault.store.app_secret(APPID)):
        with pytest.raises(StorageError) as missing:
            read()
        error = missing.value
        assert error.problem is MISCONFIGURED
        assert error.remedy == "a table or secret is missing or empty: see the deploy steps"
        assert error.reason == "GetSecretValue: ResourceNotFoundException"


def test_a_secret_that_was_never_stored_is_asked_for_every_five_seconds(vault: Vault) -> None:
    for _ in range(100):  # ten a second
        with pytest.raises(StorageError) as missing:
            vault.store.app_secret(APPID)
        assert missing.value.remedy == "a table or secret is missing or empty: see the deploy steps"
        vault.now += 0.1
    assert vault.reads == ["AppSecrets"] * 2

    vault.put("AppSecrets", {APPID: "secret"})
    vault.now += 5
    assert vault.store.app_secret(APPID) == "secret"


def test_a_failure_that_may_pass_is_not_remembered(vault: Vault) -> None:
    vault.put("AppSecrets", {APPID: "secret"})
    vault.client.meta.events.register_first("before-send.secretsmanager", out_of_time)
    with pytest.raises(StorageError) as refused:
        vault.store.app_secret(APPID)
    assert refused.value.problem is STORAGE_UNAVAILABLE
    vault.client.meta.events.unregister("before-send.secretsmanager", out_of_time)

    assert vault.store.app_secret(APPID) == "secret"


def out_of_time(**_: object) -> None:
    raise OutOfTimeError


def test_app_secrets_that_cannot_be_read_have_a_remedy(vault: Vault) -> None:
    vault.put("AppSecrets", "oops")

    assert remedy(vault.store.app_secret, APPID) == (
        'the secret is no JSON: store {"<appid>":"<AppSecret>"}, by make app-secret '
        "(docs/deploy.md)"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("oops", 'the key ring must be JSON: {"current":"k1","k1":"…"}'),
        ({"current": "k2", "k1": K1}, '"current" must name one of the keys, like "k1"'),
        ({"current": "k1", "k1": "short"}, "key k1 must be a text of at least 32 characters"),
    ],
)
def test_a_ring_of_another_form_has_a_remedy(vault: Vault, content: Any, reason: str) -> None:
    vault.put("KeyRing", content)

    assert remedy(vault.store.key_ring) == f"the key ring secret is not usable: {reason}"


def test_a_binary_secret_has_the_remedy_of_a_malformed_one(vault: Vault) -> None:
    vault.client.put_secret_value(
        SecretId="AppSecrets", SecretBinary=json.dumps({APPID: "secret"}).encode()
    )

    assert remedy(vault.store.app_secret, APPID).startswith("the secret is empty or binary: ")


def test_an_app_with_api_security_has_its_keys_beside_its_secret(vault: Vault) -> None:
    keys = {"symmetricKey": {"number": "1", "key": "…"}}
    vault.put("AppSecrets", {APPID: {"secret": "secret", "apiSecurity": keys}, OTHER: "other"})

    assert (vault.store.app_secret(APPID), vault.store.app_secret(OTHER)) == ("secret", "other")
    assert vault.store.api_security(APPID) == keys
    assert vault.store.api_security(OTHER) is None
    assert vault.store.api_security("wx") is None
    assert len(vault.reads) == 1


@pytest.mark.parametrize("content", ["apiSecurity", '["apiSecurity"]', '"apiSecurity"'])
def test_api_security_in_another_form_has_the_remedy_of_the_app_secrets(
    vault: Vault, content: str
) -> None:
    vault.put("AppSecrets", content)

    found = remedy(vault.store.api_security, APPID)
    assert found == remedy(vault.store.app_secret, APPID)
    assert found.endswith('store {"<appid>":"<AppSecret>"}, by make app-secret (docs/deploy.md)')


@pytest.mark.parametrize("wrong", ["oops", {}, {APPID: ""}, {APPID: {"secret": ""}}])
def test_a_wrong_app_secret_that_was_mended_is_found_within_a_minute(
    vault: Vault, wrong: Any
) -> None:
    vault.put("AppSecrets", wrong)
    remedy(vault.store.app_secret, APPID)
    vault.put("AppSecrets", {APPID: "secret"})

    vault.now += 59.9
    remedy(vault.store.app_secret, APPID)
    vault.now += 0.1
    assert vault.store.app_secret(APPID) == "secret"
    assert len(vault.reads) == 2


def test_a_wrong_ring_that_was_mended_is_found_within_a_minute(vault: Vault) -> None:
    vault.put("KeyRing", "oops")
    remedy(vault.store.key_ring)
    vault.put("KeyRing", OLD_RING)

    vault.now += 59.9
    remedy(vault.store.key_ring)
    vault.now += 0.1
    assert vault.unseal(sealed(OLD_RING)) == b"openid"
    assert len(vault.reads) == 2


def test_no_secret_is_in_a_remedy(vault: Vault) -> None:
    vault.put("AppSecrets", f'{{"{APPID}": "0123secret"')
    vault.put("KeyRing", {"current": K1, "k1": K2})

    texts = remedy(vault.store.app_secret, APPID) + remedy(vault.store.key_ring)

    assert "0123secret" not in texts
    assert K1 not in texts
    assert K2 not in texts


# ---------------------------------------------------------------------- the API clients

SECRET = "0123456789abcdef" * 4
CLIENTS = {"orders": sha256(SECRET.encode()).hexdigest()}


def test_a_client_is_known_by_name_and_secret_alone(vault: Vault) -> None:
    vault.put("ApiClients", CLIENTS)
    known = {
        (name, secret)
        for name in ("orders", "shop", "", "orders ")
        for secret in (SECRET, SECRET[:-1], "", CLIENTS["orders"], "\ud800")
        if vault.store.is_api_client(name, secret)
    }
    assert known == {("orders", SECRET)}


def test_without_clients_nobody_is_one(vault: Vault) -> None:
    assert not vault.store.is_api_client("orders", SECRET)


def test_a_new_client_is_known_within_a_minute(vault: Vault) -> None:
    assert not vault.store.is_api_client("orders", SECRET)
    vault.put("ApiClients", CLIENTS)
    vault.now += 59.9
    assert not vault.store.is_api_client("orders", SECRET)
    vault.now += 0.1
    assert vault.store.is_api_client("orders", SECRET)
    assert vault.reads == ["ApiClients", "ApiClients"]


def test_a_removed_client_is_refused_after_five_minutes(vault: Vault) -> None:
    vault.put("ApiClients", CLIENTS)
    assert vault.store.is_api_client("orders", SECRET)
    vault.put("ApiClients", {})
    vault.now += 299.9
    assert vault.store.is_api_client("orders", SECRET)
    vault.now += 0.1
    assert not vault.store.is_api_client("orders", SECRET)


@pytest.mark.parametrize(("name", "secret"), [("shop", SECRET), ("orders", "wrong")])
def test_a_flood_of_wrong_clients_reads_them_once_a_minute(
    vault: Vault, name: str, secret: str
) -> None:
    vault.put("ApiClients", CLIENTS)
    for _ in range(300):  # one a second, 5 minutes
        assert not vault.store.is_api_client(name, secret)
        vault.now += 1
    assert len(vault.reads) == 5


@pytest.mark.parametrize("content", ["oops", "[]", '"text"'])
def test_clients_that_cannot_be_used_are_the_operators_fault(vault: Vault, content: str) -> None:
    vault.put("ApiClients", content)
    assert remedy(vault.store.is_api_client, "orders", SECRET).startswith(
        "the ApiClients are not usable"
    )
