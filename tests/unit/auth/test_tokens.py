"""Session tokens as texts: each has one spelling, and whatever else is sent is no session.

No table is needed to tell: what could not have been issued is refused before anything is read.
"""

import base64
import hashlib
import string
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wechat_auth.errors import INVALID_REQUEST, SESSION_INVALID, AuthError
from wechat_auth.http import bearer_token
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import Sessions
from wechat_auth.storage import Item, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"

users = st.binary(min_size=16, max_size=16)
times = st.integers(0, 2**32 - 1)
random_secrets = st.binary(min_size=32, max_size=32)
any_text = st.text(st.characters(codec=None, exclude_categories=()))


def issued(user: bytes, at: int, secret: bytes) -> str:
    return base64.urlsafe_b64encode(user + at.to_bytes(4, "big") + secret).decode().rstrip("=")


tokens = st.builds(issued, users, times, random_secrets)


class EmptyTable(Table):
    """A table that only remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__("Sessions", cast("DynamoDBClient", None), try_seconds=1)
        self.asked: list[Item] = []

    def get(self, key: Item, *, consistent: bool = True) -> None:  # noqa: ARG002
        self.asked.append(key)


def item_of(token: str) -> Item | None:
    """Return the key of the item that a token stands for, or ``None`` if nothing is read."""
    table = EmptyTable()
    with pytest.raises(AuthError) as caught:
        Sessions(table, cast(SecretStore, None), appids=(), life=1).find(token)
    assert (caught.value.problem, caught.value.__cause__) == (SESSION_INVALID, None)
    return table.asked[0] if table.asked else None


def refused(token: str) -> bool:
    return item_of(token) is None


@given(users, times, random_secrets)
def test_what_was_issued_names_its_user_and_item(user: bytes, at: int, secret: bytes) -> None:
    token = issued(user, at, secret)

    assert len(token) == 70
    fraction = int.from_bytes(secret[:2], "big")
    sort_key = f"{at:010d}.{fraction:05d}#{hashlib.sha256(secret).hexdigest()}"
    assert item_of(token) == {"user": user, "session": sort_key}


@given(tokens, st.integers(0, 69), st.integers(1, 63))
def test_another_letter_is_another_item_or_none(token: str, position: int, further: int) -> None:
    letter = ALPHABET[(ALPHABET.index(token[position]) + further) % 64]
    other = token[:position] + letter + token[position + 1 :]

    assert item_of(other) != item_of(token)


@given(tokens)
def test_the_last_letters_stray_bits_must_be_none(token: str) -> None:
    # 52 bytes are 69 letters and 2 bits: of the 64 last letters, 4 are possible.
    spellings = [token[:-1] + letter for letter in ALPHABET]

    assert [one[-1] for one in spellings if not refused(one)] == list("AQgw")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda token: token + "=", id="padding"),
        pytest.param(lambda token: token + "==", id="whole padding"),
        pytest.param(lambda token: token[:35] + "\n" + token[35:], id="line break inside"),
        pytest.param(lambda token: token + "\n", id="line break at the end"),
        pytest.param(lambda token: " " + token, id="blank"),
        pytest.param(lambda token: token[:-1], id="cut"),
        pytest.param(lambda token: token[4:], id="cut in front"),
        pytest.param(lambda token: token + "AAAA", id="longer"),
        pytest.param(lambda token: token * 2, id="twice"),
        pytest.param(lambda token: token + "," + token, id="two tokens, as API Gateway joins them"),
        pytest.param(lambda token: token.replace(token[0], "\uff21", 1), id="full-width letter"),
        pytest.param(lambda token: token[:-1] + "\ud800", id="lone surrogate"),
        pytest.param(lambda token: token[:-1] + "\0", id="NUL"),
    ],
)
@given(token=tokens)
def test_a_damaged_token_is_refused(damage: Callable[[str], str], token: str) -> None:
    assert refused(damage(token))


@given(st.builds(issued, users, st.just(2**32 - 1), random_secrets))
@example(issued(b"\xfb" * 16, 2**32 - 1, b"\xff" * 32))
def test_the_alphabet_of_files_is_not_that_of_urls(token: str) -> None:
    standard = token.replace("-", "+").replace("_", "/")
    assert standard != token

    assert refused(standard)


@given(any_text | st.text(st.sampled_from(ALPHABET + "=+/ "), min_size=60, max_size=80))
def test_no_text_at_all_is_another_exception(text: str) -> None:
    assert refused(text) or issued_again(text) == text


def issued_again(token: str) -> str:
    return base64.urlsafe_b64encode(base64.urlsafe_b64decode(token + "==")).decode().rstrip("=")


@given(any_text)
def test_no_authorization_header_is_another_exception(header: str) -> None:
    try:
        token = bearer_token(header)
    except AuthError as error:
        assert error.problem in {SESSION_INVALID, INVALID_REQUEST}  # noqa: PT017
    else:
        assert header.lower().startswith("bearer ")
        assert token
        assert token == token.strip()
