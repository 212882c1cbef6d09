"""`make app-secret`: one mini-program's AppSecret among the others, and never shown."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import time_machine

from infra import app_secret, key_ring
from infra.app_secret import store
from infra.secret import SecretError, write
from infra.secret import read as read_secret
from infra.stack import deployed
from tests.harness.transform import ROOT
from tests.unit.crypto.api_security_peer import (
    AES_NUMBER,
    SERIAL,
    certificate,
    document,
    rsa_key,
)
from wechat_auth.secret_store import SecretStore
from wechat_auth.storage import Aws

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

REGION = "ap-southeast-1"
ONE, OTHER = "wx0123456789abcdef", "wxfedcba9876543210"
SECRET, ANOTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
KEYS = document()


@pytest.fixture
def client(aws_account: None) -> "SecretsManagerClient":
    client = boto3.client("secretsmanager", region_name=REGION)
    client.create_secret(Name="AppSecrets")
    return client


def returning(text: str) -> Callable[[str], str]:
    return lambda _: text


def stored(client: "SecretsManagerClient") -> Any:
    return json.loads(client.get_secret_value(SecretId="AppSecrets")["SecretString"])


def test_the_others_stay_and_what_is_missing_is_named(client: "SecretsManagerClient") -> None:
    served, prompts = [ONE, OTHER], list[str]()

    def ask(prompt: str) -> str:
        prompts.append(prompt)
        return SECRET

    assert store(client, "AppSecrets", ONE, served=served, ask=ask) == (
        f"Stored. There is an AppSecret now for {ONE}.\n"
        f"Missing: make app-secret ENV=… APPID={OTHER}"
    )
    assert store(client, "AppSecrets", OTHER, served=served, ask=lambda _: ANOTHER) == (
        f"Stored. There is an AppSecret now for {ONE}, {OTHER}."
    )
    assert stored(client) == {ONE: SECRET, OTHER: ANOTHER}
    assert prompts == [f"AppSecret of {ONE} (it is not shown; paste it and press Enter): "]
    aws = Aws(lambda **_: client)
    functions = SecretStore(aws, key_ring_id="-", app_secrets_id="AppSecrets", api_clients_id="-")
    assert (functions.app_secret(ONE), functions.app_secret(OTHER)) == (SECRET, ANOTHER)


def test_a_new_one_takes_the_place_of_the_old(client: "SecretsManagerClient") -> None:
    for secret in (SECRET, ANOTHER, ANOTHER):
        store(client, "AppSecrets", ONE, served=[ONE], ask=returning(secret))
        assert stored(client) == {ONE: secret}


@pytest.mark.parametrize(
    "typed",
    ["", SECRET[1:], SECRET + "0", f" {SECRET}", f"{SECRET}\n", f"{SECRET[:-1]} ", "g" * 32],
)
def test_what_is_no_app_secret_is_refused_and_not_repeated(
    client: "SecretsManagerClient", typed: str
) -> None:
    store(client, "AppSecrets", ONE, served=[ONE], ask=lambda _: SECRET)
    with pytest.raises(SecretError) as refused:
        store(client, "AppSecrets", ONE, served=[ONE], ask=lambda _: typed)
    assert str(refused.value) == (
        "an AppSecret is 32 hexadecimal digits, without blanks: copy it again from the console "
        "(Development > Development settings). Nothing was stored."
    )
    assert stored(client) == {ONE: SECRET}


@pytest.mark.parametrize("appid", ["", OTHER, ONE.upper()])
def test_an_app_that_is_not_served_is_refused_before_anything_is_asked(
    client: "SecretsManagerClient", appid: str
) -> None:
    with pytest.raises(SecretError, match=f"APPID is one of {ONE}"):
        store(client, "AppSecrets", appid, served=[ONE], ask=pytest.fail)


@pytest.mark.parametrize("content", ["oops", "[1]", '"secret"', "7"])
def test_what_cannot_be_read_is_left_alone_since_others_may_be_in_it(
    client: "SecretsManagerClient", content: str
) -> None:
    client.put_secret_value(SecretId="AppSecrets", SecretString=content)
    with pytest.raises(SecretError, match="Nothing was stored, since AppSecrets of other apps"):
        store(client, "AppSecrets", ONE, served=[ONE], ask=pytest.fail)
    assert client.get_secret_value(SecretId="AppSecrets")["SecretString"] == content


def test_what_was_stored_in_another_form_is_kept_in_the_right_one(
    client: "SecretsManagerClient",
) -> None:
    content = "\ufeff" + json.dumps({"appid": f" {OTHER.upper()}", "secret": ANOTHER})
    client.put_secret_value(SecretId="AppSecrets", SecretString=content)
    store(client, "AppSecrets", ONE, served=[ONE, OTHER], ask=lambda _: SECRET)
    assert stored(client) == {ONE: SECRET, OTHER: ANOTHER}


def test_of_two_at_the_same_time_the_second_is_refused(client: "SecretsManagerClient") -> None:
    def overtaken(_: str) -> str:
        store(client, "AppSecrets", OTHER, served=[OTHER], ask=lambda _: ANOTHER)
        return SECRET

    with pytest.raises(SecretError, match="changed meanwhile and nothing was written"):
        store(client, "AppSecrets", ONE, served=[ONE], ask=overtaken)
    assert stored(client) == {OTHER: ANOTHER}


def test_a_secret_that_is_not_there_cannot_be_written(client: "SecretsManagerClient") -> None:
    assert read_secret(client, "Nothing") == []
    with pytest.raises(SecretError, match="the secret Nothing cannot be written"):
        write(client, "Nothing", "{}", after=[])


# ------------------------------------------------------------------------- API security


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the console handed out, and the file that describes it."""
    (tmp_path / "private.pem").write_text(KEYS["privateKey"]["pem"], "utf-8")
    (tmp_path / "platform.cer").write_text(KEYS["certificate"]["pem"], "utf-8")
    describe(tmp_path)
    return tmp_path


def describe(folder: Path, **changed: Any) -> Path:
    """Write the file, with other members."""
    described = {
        "symmetricKey": KEYS["symmetricKey"],
        "privateKey": {"number": "ours", "file": "private.pem"},
        "certificate": {"number": "theirs", "file": "platform.cer"},
    }
    file = folder / "keys.json"
    file.write_text(json.dumps(described | changed), "utf-8-sig")
    return file


def test_the_keys_that_a_file_names_stand_beside_the_secret(
    client: "SecretsManagerClient", folder: Path
) -> None:
    served = [ONE, OTHER]
    store(client, "AppSecrets", OTHER, served=served, ask=returning(ANOTHER))

    said = store(
        client, "AppSecrets", ONE, served=served, file=folder / "keys.json", ask=returning(SECRET)
    )

    assert stored(client) == {OTHER: ANOTHER, ONE: {"secret": SECRET, "apiSecurity": KEYS}}
    assert said == (
        f"Stored. There is an AppSecret now for {ONE}, {OTHER}.\n"
        f"API security: symmetricKey {AES_NUMBER}\n"
        "API security: privateKey ours\n"
        "API security: certificate theirs"
    )
    functions = SecretStore(
        Aws(lambda **_: client), key_ring_id="-", app_secrets_id="AppSecrets", api_clients_id="-"
    )
    assert functions.app_secret(ONE) == SECRET
    assert functions.api_security(ONE) == KEYS


def test_secret_and_keys_are_replaced_each_without_the_other(
    client: "SecretsManagerClient", folder: Path
) -> None:
    store(client, "AppSecrets", ONE, served=[ONE], ask=returning(SECRET))
    store(client, "AppSecrets", ONE, served=[ONE], file=folder / "keys.json", ask=pytest.fail)
    store(client, "AppSecrets", ONE, served=[ONE], ask=returning(ANOTHER))
    assert stored(client) == {ONE: {"secret": ANOTHER, "apiSecurity": KEYS}}


def test_what_a_new_key_replaces_stays_as_the_one_before(
    client: "SecretsManagerClient", folder: Path
) -> None:
    def keep(**changed: Any) -> Any:
        file = describe(folder, **changed)
        store(client, "AppSecrets", ONE, served=[ONE], file=file, ask=returning(SECRET))
        return stored(client)[ONE]["apiSecurity"]

    keep()
    assert keep() == KEYS
    new = {"number": "new", "key": KEYS["symmetricKey"]["key"]}
    changed = {**KEYS, "symmetricKey": new, "previousSymmetricKey": KEYS["symmetricKey"]}
    assert keep(symmetricKey=new) == changed
    assert keep(symmetricKey=new) == changed
    assert keep(symmetricKey=new, previousSymmetricKey=None) == {**KEYS, "symmetricKey": new}


def test_an_empty_file_takes_the_keys_out(client: "SecretsManagerClient", folder: Path) -> None:
    file = folder / "keys.json"
    store(client, "AppSecrets", ONE, served=[ONE], file=file, ask=returning(SECRET))
    file.write_text("{}", "utf-8")
    said = store(client, "AppSecrets", ONE, served=[ONE], file=file, ask=pytest.fail)
    assert stored(client) == {ONE: SECRET}
    assert said == f"Stored. There is an AppSecret now for {ONE}."


EXPIRED = certificate(rsa_key("theirs"), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"symmetricKey": {"number": "1", "key": "AAAAAAAAAAAAAAAAAAAAAA=="}},
         "symmetricKey.key: is of SM4, which is not supported: choose AES256 there"),
        ({"privateKey": {"number": "ours", "file": "platform.cer"}},
         "privateKey.pem: is a certificate: generate the key pair in the console first"),
        ({"certificate": {"number": "theirs", "pem": EXPIRED}},
         "certificate: expired on 2026-01-01: download the platform certificate"),
        ({"privateKey": "-----BEGIN"}, "privateKey: is missing"),
        ({"certificate": {"number": f"{SERIAL:x}", "file": "platform.cer"}},
         "certificate.number: is the serial number inside the certificate: take the number"),
    ],
)  # fmt: skip
def test_a_key_of_another_kind_is_refused_with_its_field(
    client: "SecretsManagerClient", folder: Path, changed: dict[str, Any], reason: str
) -> None:
    file = describe(folder, **changed)
    with pytest.raises(SecretError) as refused:
        store(client, "AppSecrets", ONE, served=[ONE], file=file, ask=pytest.fail)
    assert str(refused.value).startswith(reason)
    assert str(refused.value).endswith(". Nothing was stored.")
    assert read_secret(client, "AppSecrets") == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("keys.json", b"oops", "keys.json must be a JSON object of symmetricKey, privateKey, cert"),
        ("keys.json", b"[]", "keys.json must be a JSON object of symmetricKey, privateKey, cert"),
        ("keys.json", b'{"key": 1}', "keys.json must be a JSON object of symmetricKey, privateKey"),
        ("platform.cer", b"\x30\x82\xff", "platform.cer must be text (PEM or JSON). Nothing was"),
        ("private.pem", None, "private.pem cannot be read: No such file or directory. Nothing was"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    client: "SecretsManagerClient", folder: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(SecretError) as refused:
        store(client, "AppSecrets", ONE, served=[ONE], file=folder / "keys.json", ask=pytest.fail)
    assert reason in str(refused.value)


# ------------------------------------------------------------------------- the commands


@pytest.fixture
def stack(client: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack of the environment dev."""
    monkeypatch.chdir(ROOT)
    text = json.dumps({"current": "k1", "k1": "k1" * 32})
    client.create_secret(Name="KeyRing", SecretString=text)
    names = ("AppSecrets", "KeyRing")
    cloudformation: Any = boto3.client("cloudformation", region_name=REGION)
    template = {
        "Parameters": {"SessionDays": {"Type": "Number"}, "WeChatAppIds": {"Type": "String"}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {
            f"{name}Arn": {"Value": client.describe_secret(SecretId=name)["ARN"]} for name in names
        },
    }
    cloudformation.create_stack(
        StackName="wechat-auth-dev",
        TemplateBody=json.dumps(template),
        Parameters=[
            {"ParameterKey": "SessionDays", "ParameterValue": "7"},
            {"ParameterKey": "WeChatAppIds", "ParameterValue": f"{ONE},{OTHER}"},
        ],
    )


@pytest.mark.usefixtures("stack")
def test_the_stack_is_found_by_its_environment(client: "SecretsManagerClient") -> None:
    stack = deployed("dev")
    assert stack.name == "wechat-auth-dev"
    assert stack.parameters == {"SessionDays": "7", "WeChatAppIds": f"{ONE},{OTHER}"}
    assert stack.outputs["KeyRingArn"] == client.describe_secret(SecretId="KeyRing")["ARN"]


@pytest.mark.usefixtures("stack")
def test_the_commands_work_on_what_the_stack_names(
    client: "SecretsManagerClient",
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    clock: time_machine.Traveller,
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "dev", OTHER])
    app_secret.main(lambda _: SECRET)
    assert stored(client) == {OTHER: SECRET}
    monkeypatch.setattr(sys, "argv", ["", "dev"])
    key_ring.main()
    with pytest.raises(SystemExit, match="Nothing was changed: run this again at"):
        key_ring.main()
    monkeypatch.setattr(sys, "argv", ["", "dev", "--leaked"])
    clock.shift(1)
    key_ring.main()
    said = capsys.readouterr().out
    assert f"There is an AppSecret now for {OTHER}." in said
    assert "k1 still is the current one." in said
    assert f"Replaced all keys by k{time.strftime('%Y')}" in said
    assert SECRET not in said


@pytest.mark.usefixtures("stack")
def test_the_command_line_may_name_a_file(
    client: "SecretsManagerClient", monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["", "dev", OTHER, str(folder / "keys.json")])
    app_secret.main(returning(SECRET))
    assert stored(client) == {OTHER: {"secret": SECRET, "apiSecurity": KEYS}}


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("main", [app_secret.main, key_ring.main])
@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ("production", "ENV is one of default, dev, staging, prod"),
        ("prod", "wechat-auth-prod in ap-south"),
    ],
)
def test_an_environment_that_is_not_there_is_said_so(
    monkeypatch: pytest.MonkeyPatch, main: Any, environment: str, reason: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["", environment, ONE])
    with pytest.raises(SystemExit, match=reason):
        main()


class TestMessagePush:
    KEY, NEXT, THIRD = ("k" * 43, "n" * 43, "t" * 43)

    def stored_from(
        self, client: "SecretsManagerClient", folder: Path, push: object, **more: object
    ) -> str:
        file = folder / "push.json"
        file.write_text(json.dumps({"push": push, **more}), "utf-8")
        return store(client, "AppSecrets", ONE, served=[ONE], file=file, ask=lambda _: SECRET)

    def test_it_is_stored_beside_the_app_secret_and_never_shown(
        self, client: "SecretsManagerClient", tmp_path: Path
    ) -> None:
        push = {"token": "AToken", "encodingAesKey": self.KEY}
        assert self.stored_from(client, tmp_path, push) == (
            f"Stored. There is an AppSecret now for {ONE}.\n"
            "Message push: a Token and an EncodingAESKey are stored."
        )
        assert stored(client) == {ONE: {"secret": SECRET, "push": push}}

    def test_a_key_that_is_replaced_stays_as_the_one_before(
        self, client: "SecretsManagerClient", tmp_path: Path
    ) -> None:
        for key in (self.KEY, self.NEXT, self.NEXT, self.THIRD):
            self.stored_from(client, tmp_path, {"token": "AToken", "encodingAesKey": key})
        assert stored(client)[ONE]["push"] == {
            "token": "AToken",
            "encodingAesKey": self.THIRD,
            "previousEncodingAesKey": self.NEXT,
        }

    def test_an_empty_object_takes_it_out_again(
        self, client: "SecretsManagerClient", tmp_path: Path
    ) -> None:
        self.stored_from(client, tmp_path, {"token": "AToken", "encodingAesKey": self.KEY})
        self.stored_from(client, tmp_path, {})
        assert stored(client) == {ONE: SECRET}

    @pytest.mark.parametrize(
        ("push", "more", "said"),
        [
            ("AToken", {}, "push must be an object"),
            ({"token": "a b", "encodingAesKey": KEY}, {}, '"token" must be the Token'),
            ({"token": "AToken"}, {}, "an EncodingAESKey is 43 letters and digits"),
            ({"token": "AToken", "encodingAesKey": KEY[1:]}, {}, "an EncodingAESKey is 43"),
            ({"token": "AToken", "encodingAesKey": KEY}, {"privateKey": {}}, "or of push alone"),
        ],
    )
    def test_what_the_console_would_not_have_is_refused(
        self,
        client: "SecretsManagerClient",
        tmp_path: Path,
        push: object,
        more: dict[str, object],
        said: str,
    ) -> None:
        with pytest.raises(SecretError) as refused:
            self.stored_from(client, tmp_path, push, **more)
        assert said in str(refused.value)
        assert self.KEY not in str(refused.value)
