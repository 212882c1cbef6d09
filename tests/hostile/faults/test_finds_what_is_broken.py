"""The matrix can fail: its checks find each of these faults in a backend spoilt on purpose."""

import pytest
import time_machine

from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.hostile.faults import test_matrix
from tests.hostile.faults.matrix import Matrix
from tests.hostile.faults.sabotage import (
    Breakage,
    answers_what_is_not_expected,
    sends_again,
    writes_in_two_steps,
)
from tests.hostile.faults.writing import leaks_in
from wechat_auth import http, sessions, wechat


@pytest.fixture(autouse=True)
def _whole_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo afterwards whatever a breakage replaces."""
    for owner, name in (
        (wechat.WeChat, "_send"),
        (sessions.Sessions, "issue"),
        (http, "explain"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))


@pytest.mark.parametrize(
    ("breakage", "request_", "found"),
    [
        (sends_again, "POST /login", "a code was sent twice by one request"),
        (writes_in_two_steps, "POST /login", "assert_nothing_is_half_written"),
        (answers_what_is_not_expected, "GET /session", "internal_error"),
    ],
)
def test_what_is_broken_is_found(
    api: Api,
    backend: Backend,
    clock: time_machine.Traveller,
    breakage: Breakage,
    request_: str,
    found: str,
) -> None:
    breakage()
    every_cell = test_matrix.test_each_fault_has_its_answer_and_leaves_nothing_behind
    with pytest.raises(AssertionError) as caught:
        every_cell(api, backend, clock, Matrix(), request_)
    assert found in f"{caught.traceback[-1].name}: {caught.value}"


def test_a_secret_that_is_written_is_found(api: Api, backend: Backend) -> None:
    phone = backend.wechat.phone()
    code, tap = phone.login(), phone.tap_phone_number()
    token = api.login(code).json["token"]
    api.phone(tap.code)
    for secret, what in (
        (code, "code"),
        (tap.code, "code"),
        (token, "session token"),
        (phone.openid, "openid"),
        (phone.number, "phone number"),
        (backend.wechat.apps[0].secret, "AppSecret"),
    ):
        assert leaks_in(f"a line with {secret} in it", backend, api) == [what]
    assert leaks_in("a line without", backend, api) == []
