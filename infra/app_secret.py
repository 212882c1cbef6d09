"""`make app-secret ENV=… APPID=…`: stores one mini-program's AppSecret among the others.

With FILE=… it stores what a JSON file holds instead: the keys of the mini-program's API security,
which are numbers and the names of the files that the console handed out (docs/api-security.md), or
{"push":{"token":…,"encodingAesKey":…}}, for WeChat's pushes (docs/push.md).
"""

import getpass
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.release import ReleaseError
from infra.secret import SecretError, read, write
from infra.stack import deployed
from wechat_auth.app_secrets import API_SECURITY, PUSH, AppSecretsError, by_appid
from wechat_auth.pushes import PushKeys, PushKeysError
from wechat_crypto.api_keys import ApiKeyError, ApiKeys, previous

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

APP_SECRET = re.compile(r"[0-9a-fA-F]{32}")
_KEYS = ("symmetricKey", "privateKey", "certificate")
_MEMBERS = frozenset({*_KEYS, *map(previous, _KEYS)})


def store(
    client: "SecretsManagerClient",
    secret_id: str,
    appid: str,
    *,
    served: list[str],
    file: Path | None = None,
    ask: Callable[[str], str] = getpass.getpass,
) -> str:
    """Ask for an AppSecret and store it, or store the keys that a file names.

    Args:
        client: Of Secrets Manager.
        secret_id: The AppSecrets.
        appid: Whose it is.
        served: The mini-programs that the stack serves.
        file: Describes keys of API security or of message push, if those are to be stored.
        ask: Shows a prompt and reads a line that is not shown.

    Returns:
        What is stored now; nothing secret is in it.

    Raises:
        SecretError: Nothing was stored; the message says why.
    """
    if appid not in served:
        raise SecretError(
            f"{appid or 'APPID'} is not served: APPID is one of {', '.join(served)} (WeChatAppIds, "
            "ComponentAppId)"
        )
    versions = read(client, secret_id)
    try:
        secrets = by_appid(versions[0].text) if versions and versions[0].text else {}
    except AppSecretsError as error:
        raise SecretError(
            f"{error}. Nothing was stored, since AppSecrets of other apps may be in it: put it "
            "right in Secrets Manager first"
        ) from None
    known = secrets.get(appid)
    entry = known if isinstance(known, dict) else {"secret": known} if known else {}
    if file:
        entry |= _from_file(file, entry)
    if not (file and entry.get("secret")):
        entry |= {"secret": _ask_for_secret(appid, ask)}
    # An app that has a secret and no more stays the plain text that it always was.
    entry = {name: value for name, value in entry.items() if value}
    secrets[appid] = entry if entry.keys() > {"secret"} else entry["secret"]
    write(client, secret_id, json.dumps(secrets), after=versions)
    keys = entry.get(API_SECURITY) or {}
    missing = [each for each in served if each not in secrets]
    return "\n".join(
        (
            f"Stored. There is an AppSecret now for {', '.join(sorted(secrets))}.",
            *(f"API security: {name} {key['number']}" for name, key in keys.items()),
            *(["Message push: a Token and an EncodingAESKey are stored."] if PUSH in entry else ()),
            *(f"Missing: make app-secret ENV=… APPID={each}" for each in missing),
        )
    )


def _ask_for_secret(appid: str, ask: Callable[[str], str]) -> str:
    app_secret = ask(f"AppSecret of {appid} (it is not shown; paste it and press Enter): ")
    if not APP_SECRET.fullmatch(app_secret):
        raise SecretError(
            "an AppSecret is 32 hexadecimal digits, without blanks: copy it again from the console "
            "(Development > Development settings). Nothing was stored."
        )
    return app_secret


def _from_file(file: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Read a file, and return the member of an app's object that it changes."""
    try:
        document = json.loads(_text(file))
    except ValueError:
        document = None
    if isinstance(document, dict) and document.keys() == {PUSH}:
        return {PUSH: _push_keys(document[PUSH], entry.get(PUSH) or {})}
    return {API_SECURITY: _keys(file, document, entry.get(API_SECURITY) or {})}


def _push_keys(document: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Check the keys of message push; an EncodingAESKey that they replace stays beside them.

    An empty object takes them out.
    """
    if document == {}:
        return {}
    try:
        PushKeys.from_document(document)
        used, before = document["encodingAesKey"], known.get("encodingAesKey")
        before = before if before != used else known.get("previousEncodingAesKey")
        keys = {**({"previousEncodingAesKey": before} if before else {}), **document}
        PushKeys.from_document(keys)
    except PushKeysError as error:
        raise SecretError(f"{error}. Nothing was stored.") from None
    return keys


def _keys(file: Path, document: Any, known: dict[str, Any]) -> dict[str, Any]:
    """Read the keys that a file describes; what they replace stays as the one before.

    An empty object takes all keys out.
    """
    if not isinstance(document, dict) or document.keys() - _MEMBERS:
        raise SecretError(
            f"{file} must be a JSON object of {', '.join(_KEYS)}, see docs/api-security.md, or of "
            f"{PUSH} alone, see docs/push.md. "
            "Nothing was stored."
        )
    if not document:
        return {}
    keys = {name: _with_content(value, file.parent) for name, value in document.items()}
    for name in _KEYS:
        before, after = known.get(name), keys.get(name)
        if before and isinstance(after, dict) and before.get("number") != after.get("number"):
            keys.setdefault(previous(name), before)
    keys = {name: value for name, value in {**known, **keys}.items() if value}
    try:
        ApiKeys.from_document(keys).valid_certificates(time.time())
    except ApiKeyError as error:
        raise SecretError(f"{error}. Nothing was stored.") from None
    return keys


def _with_content(value: Any, folder: Path) -> Any:
    """Put the content of a file into the place of its name."""
    if not isinstance(value, dict) or not isinstance(value.get("file"), str):
        return value
    pem = _text(folder / value["file"])
    return {**{name: each for name, each in value.items() if name != "file"}, "pem": pem}


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except OSError as error:
        raise SecretError(f"{file} cannot be read: {error.strerror}. Nothing was stored.") from None
    except UnicodeDecodeError:
        raise SecretError(f"{file} must be text (PEM or JSON). Nothing was stored.") from None


def main(ask: Callable[[str], str] = getpass.getpass) -> None:
    """Store for the environment and the appid that the command line names, and perhaps a file."""
    environment, appid, file = (*sys.argv[1:], "", "", "")[:3]
    try:
        stack = deployed(environment)
        appids = stack.parameters["WeChatAppIds"], stack.parameters.get("ComponentAppId", "")
        served = [each for text in appids for each in text.split(",") if each]
        secret_id = stack.outputs["AppSecretsArn"]
        path = Path(file) if file else None
        client = stack.secrets_manager
        print(store(client, secret_id, appid, served=served, file=path, ask=ask))
    except (ReleaseError, SecretError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
