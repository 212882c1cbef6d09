"""The search for secrets and personal data in what was written."""

import base64
import io
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import pytest

from local.simulated_wechat import Phone, PhoneTap, SimulatedWeChat, UserInfo
from local.simulated_wechat.people import Person
from wechat_auth import invocation

if TYPE_CHECKING:
    from tests.harness.api import Api
    from tests.harness.deployment import Deployment

T = TypeVar("T")
P = TypeVar("P", Phone, Person)

ALLOWED: dict[tuple[str, str, int], frozenset[str]] = {
    ("POST", "/login", 200): frozenset({"session token", "secret of a session token"}),
    ("POST", "/phone", 200): frozenset({"phone number"}),
    ("POST", "/introspect", 200): frozenset({"openid", "unionid", "account id", "claim"}),
    ("POST", "/decrypt", 200): frozenset(
        {"phone number", "nick name", "session token", "secret of a session token"}
    ),
}
"""What an answer to a method and path, of a status, may tell."""


@dataclass(slots=True)
class Secrets:
    """What must not be written, by what it is."""

    known: dict[str, str] = field(default_factory=dict)
    _by_beginning: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def note(self, what: str, value: str | None) -> str:
        assert value
        assert len(value) >= _BEGINNING, "too short to be looked for"
        if value not in self.known:
            self.known[value] = what
            for spelling in spellings(value):
                self._by_beginning.setdefault(spelling[:_BEGINNING], []).append((spelling, what))
        return value

    def note_wechat(self, wechat: SimulatedWeChat) -> None:
        """Note what apps and platform share with their servers, and were given so far."""
        pushes = [wechat.message_push(app.appid) for app in wechat.apps]
        for app in wechat.apps:
            if app.secret:  # which a merchant's has for its owner alone
                self.note("AppSecret", app.secret)
        if platform := wechat.platform:
            pushes.append(platform.push)
            self.note("AppSecret", platform.secret)
            for text, what in platform.issued.items():
                self.note(what, text)
        for push in pushes:
            self.note("Token", push.token)
            self.note("EncodingAESKey", push.encoding_aes_key)
        for token in wechat.access_tokens:
            self.note("access_token", token)

    def note_person(self, person: P) -> P:
        self.note("openid", person.openid)
        self.note("phone number", person.number)
        for what, value in (("unionid", person.unionid), ("session_key", person.session_key)):
            if value:
                self.note(what, value)
        return person

    def note_data(self, data: PhoneTap | UserInfo) -> None:
        """Note what a tap or a user's info holds, codes and signatures included."""
        self.note("encryptedData", data.encrypted_data)
        self.note("iv", data.iv)
        self.note("cloudID", data.cloud_id)
        if isinstance(data, PhoneTap):
            self.note("phone code", data.code)
        else:
            self.note("signature", data.signature)

    def note_session(self, token: str) -> str:
        self.note("secret of a session token", base64.urlsafe_b64decode(token + "==")[20:].hex())
        return self.note("session token", token)

    def found_in(self, text: str, *, allowed: frozenset[str] = frozenset()) -> list[str]:
        """Name the kinds of secrets that stand in a text, in whatever spelling.

        One pass over the text, so that thousands of secrets can be looked for in megabytes.
        """
        return sorted(
            {
                what
                for at in range(len(text))
                for spelling, what in self._by_beginning.get(text[at : at + _BEGINNING], ())
                if what not in allowed and text.startswith(spelling, at)
            }
        )


_BEGINNING = 8
"""Characters by which a spelling is looked up; none is shorter."""


@cache
def spellings(value: str) -> frozenset[str]:
    """Return the ways in which a value may turn up in a text."""
    raw = value.encode()
    found = {value, quote(value, safe=""), json.dumps(value)[1:-1], raw.hex(), repr(raw)[2:-1]}
    # Base64 inside a longer text: what surely stands there, for each of the three alignments.
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")
        inner = encoded[4 if shift else 0 : -2]
        if len(inner) >= 12:
            found |= {inner, inner.replace("+", "-").replace("/", "_")}
    return frozenset(found)


_of_all_tests = Secrets()  # what one was given must not turn up in another


def leaks_in(text: str, deployment: "Deployment", api: "Api | None" = None) -> list[str]:
    """Name the kinds of secrets and personal data that are in a text."""
    _of_all_tests.note_wechat(deployment.wechat)
    for person in deployment.wechat.people:
        _of_all_tests.note_person(person)
    for code in deployment.wechat.billed.arrivals:
        _of_all_tests.note("code", code)
    for name, key in deployment.secret("KeyRing").items():
        if name != "current":
            _of_all_tests.note("key", key)
    for answer in api.answers if api else ():
        if answer.path == "/login" and answer.status == 200:
            _of_all_tests.note_session(answer.json["token"])
    return _of_all_tests.found_in(text)


@dataclass(slots=True)
class Written:
    """Everything that the functions wrote while the walk went on."""

    capsys: pytest.CaptureFixture[str]
    records: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    _output: str = ""

    @property
    def output(self) -> str:
        """What went to stdout and stderr so far."""
        captured = self.capsys.readouterr()
        self._output += captured.out + captured.err
        return self._output

    def forget(self) -> None:
        """Start again with nothing."""
        self._output = ""
        self.records.clear()
        self.exceptions.clear()


class _Records(logging.Handler):
    def __init__(self, written: Written) -> None:
        super().__init__()
        self._written = written

    def emit(self, record: logging.LogRecord) -> None:
        self._written.records.append(f"{self.format(record)} {vars(record)!r}")


class _Stdout(io.TextIOBase):
    """Whatever is sys.stdout at the moment: pytest changes it between set-up and test."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)


_raised: list[list[str]] = []
"""Where what the functions raise goes at the moment."""


def noting(handle: Callable[..., T]) -> Callable[..., T]:
    """Note what a function raises, for `all_that_is_written`."""

    @wraps(handle)
    def noted(*arguments: object) -> T:
        try:
            return handle(*arguments)
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            for exceptions in _raised:
                exceptions.append(f"{text} {error!r} {error.args!r}")
            raise

    return noted


@contextmanager
def all_that_is_written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """Catch stdout and stderr, every logger's records from INFO on, and every exception."""
    written = Written(capsys)
    handler = invocation.logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    before = handler.setStream(_Stdout())
    _raised.append(written.exceptions)
    records, root = _Records(written), logging.getLogger()
    level = root.level
    root.addHandler(records)
    root.setLevel(logging.INFO)
    yield written
    root.setLevel(level)
    root.removeHandler(records)
    _raised.remove(written.exceptions)
    handler.setStream(before or sys.stdout)
