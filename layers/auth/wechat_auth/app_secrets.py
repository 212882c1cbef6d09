"""The AppSecrets as people store them: ``{"<appid>":"<AppSecret>"}``, and what is meant by that.

An app of which more than its AppSecret is stored has an object:
``{"<appid>":{"secret":"<AppSecret>","apiSecurity":{…},"push":{…}}}``.

Consoles, shells and password tools add white space, quotation marks, byte order marks and another
layer of JSON, or name the two halves of a pair. None of that can be part of an appid (``wx`` and 16
hexadecimal digits) or of an AppSecret (32 hexadecimal digits), so nothing is guessed here.
"""

import json
import re
from typing import Any

API_SECURITY = "apiSecurity"
"""The member of an app's object that holds the keys of its API security."""
PUSH = "push"
"""The member of an app's object that holds Token and EncodingAESKey of its message push."""
_FORM = 'store {"<appid>":"<AppSecret>"}'
_BLANKS = " \t\r\n\ufeff\u00a0\u200b"
_AROUND = _BLANKS + "\"'"
APPID = re.compile(r"wx[0-9a-f]{16}")


class AppSecretsError(Exception):
    """The text cannot be read as AppSecrets; the message says what was found, and no value."""


def by_appid(text: str) -> dict[str, Any]:
    """Read what is stored for each mini-program.

    Args:
        text: What Secrets Manager holds.

    Returns:
        What is stored, by appid in small letters.

    Raises:
        AppSecretsError: It holds something else.
    """
    document: Any = text.strip(_BLANKS)
    if not document:
        raise AppSecretsError(f"the secret is empty or binary: {_FORM} as text")
    try:
        while isinstance(document, str):
            document = json.loads(document.strip(_BLANKS))
    except (ValueError, RecursionError):
        raise AppSecretsError(f"the secret is no JSON: {_FORM}") from None
    pairs = document if isinstance(document, list) else [document]
    if not all(isinstance(each, dict) for each in pairs):
        raise AppSecretsError(f"the secret is JSON, but no object: {_FORM}")
    named = {name: value for each in pairs for name, value in _named(each).items()}
    # Of two spellings of one appid, the right one counts.
    return named | {name: each[name] for each in pairs for name in each if name in named}


def app_secret(text: str, appid: str) -> str:
    """Read the AppSecret of a mini-program.

    Raises:
        AppSecretsError: There is none; the message says what was found.
    """
    stored = by_appid(text)
    if appid not in stored:
        others = ", ".join(sorted(filter(APPID.fullmatch, stored)))
        found = f" (the secret holds {others})" if others else f": {_FORM}"
        raise AppSecretsError(f"no AppSecret is stored for {appid}{found}")
    secret = stored[appid]
    secret = secret.get("secret") if isinstance(secret, dict) else secret
    secret = secret.strip(_AROUND) if isinstance(secret, str) else ""
    if not secret or re.search(r"\s", secret):
        raise AppSecretsError(
            f"the AppSecret of {appid} is empty, no text, or has a blank in it: copy it again from "
            "the console (Development > Development settings)"
        )
    return secret


def api_security(text: str, appid: str) -> dict[str, Any] | None:
    """Return the keys of a mini-program's API security as they are stored, if it has any.

    Raises:
        AppSecretsError: The text cannot be read.
    """
    return _member(text, appid, API_SECURITY)


def push(text: str, appid: str) -> dict[str, Any] | None:
    """Return the Token and EncodingAESKeys of a mini-program's message push as they are stored.

    Raises:
        AppSecretsError: The text cannot be read.
    """
    return _member(text, appid, PUSH)


def _member(text: str, appid: str, name: str) -> dict[str, Any] | None:
    if name not in text:
        return None
    stored = by_appid(text).get(appid)
    return stored.get(name) if isinstance(stored, dict) else None


def _named(pair: dict[str, Any]) -> dict[str, Any]:
    """Return a pair whose halves have names by its appid; anything else is by appid already."""
    plain = {re.sub(r"[\W_]", "", name).lower(): value for name, value in pair.items()}
    appid, secret = plain.get("appid"), plain.get("secret", plain.get("appsecret"))
    if isinstance(appid, str) and secret is not None:
        return {appid.strip(_AROUND).lower(): secret}
    return {name.strip(_AROUND).lower(): value for name, value in pair.items()}
