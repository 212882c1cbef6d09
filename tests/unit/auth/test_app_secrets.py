"""AppSecrets as people store them: read if it is plain what was meant, else told what was found."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wechat_auth.app_secrets import AppSecretsError, app_secret, by_appid

APPID, OTHER = "wx0123456789abcdef", "wxfedcba9876543210"
SECRET, ANOTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
PLAIN = json.dumps({APPID: SECRET, OTHER: ANOTHER})
STORE = 'store {"<appid>":"<AppSecret>"}'


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        f"\ufeff{PLAIN}",
        f"\r\n {PLAIN}\r\n",
        json.dumps(PLAIN),
        json.dumps(json.dumps(f"\ufeff{PLAIN}\n")),
        json.dumps({APPID: f"{SECRET}\n", OTHER: ANOTHER}),
        json.dumps({APPID: f" \t{SECRET}", OTHER: f"\u00a0{ANOTHER}\u200b"}),
        json.dumps({APPID: f'"{SECRET}"', OTHER: f"'{ANOTHER}'"}),
        json.dumps({f"{APPID} ": SECRET, f"\n{OTHER}": ANOTHER}),
        json.dumps({APPID.upper(): SECRET, OTHER: ANOTHER}),
        json.dumps([{"appid": APPID, "secret": SECRET}, {"appId": OTHER, "appSecret": ANOTHER}]),
        json.dumps([{"APP_ID": APPID, "APP_SECRET": SECRET}, {OTHER: ANOTHER}]),
    ],
)
def test_what_was_meant_is_read(text: str) -> None:
    assert (app_secret(text, APPID), app_secret(text, OTHER)) == (SECRET, ANOTHER)


def test_of_two_spellings_of_an_appid_the_right_one_counts() -> None:
    for names in ((APPID, APPID.upper()), (APPID.upper(), APPID)):
        values = {APPID: SECRET, APPID.upper(): ANOTHER}
        assert app_secret(json.dumps({name: values[name] for name in names}), APPID) == SECRET


def test_one_pair_by_the_names_of_its_halves() -> None:
    assert app_secret(json.dumps({"appid": APPID, "secret": SECRET}), APPID) == SECRET


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", f"the secret is empty or binary: {STORE} as text"),
        (" \ufeff\n", f"the secret is empty or binary: {STORE} as text"),
        (SECRET, f"the secret is no JSON: {STORE}"),
        (f"{APPID}={SECRET}", f"the secret is no JSON: {STORE}"),
        (json.dumps(SECRET), f"the secret is no JSON: {STORE}"),
        ("[" * 100_000, f"the secret is no JSON: {STORE}"),
        ("7", f"the secret is JSON, but no object: {STORE}"),
        ("null", f"the secret is JSON, but no object: {STORE}"),
        (json.dumps([APPID, SECRET]), f"the secret is JSON, but no object: {STORE}"),
        ("{}", f"no AppSecret is stored for {APPID}: {STORE}"),
        (json.dumps({"secret": SECRET}), f"no AppSecret is stored for {APPID}: {STORE}"),
        (
            json.dumps({OTHER: ANOTHER}),
            f"no AppSecret is stored for {APPID} (the secret holds {OTHER})",
        ),
    ],
    ids=range(12),
)
def test_anything_else_is_told_by_what_was_found(text: str, found: str) -> None:
    with pytest.raises(AppSecretsError) as caught:
        app_secret(text, APPID)
    assert str(caught.value) == found


@pytest.mark.parametrize("value", ["", "  ", f"{SECRET[:16]} {SECRET[16:]}", 7, None, [SECRET]])
def test_a_value_that_is_no_appsecret_is_told_by_its_app_and_spoils_no_other(value: Any) -> None:
    text = json.dumps({APPID: value, OTHER: ANOTHER})
    with pytest.raises(AppSecretsError, match=f"the AppSecret of {APPID} is empty, no text, or"):
        app_secret(text, APPID)
    assert app_secret(text, OTHER) == ANOTHER


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_text_is_another_exception(text: str) -> None:
    with suppress(AppSecretsError):
        assert isinstance(by_appid(text), dict)
