"""Every call that leaves the process, failing in every way, in every request: one cell each."""

import os

import pytest
import time_machine

from docs.generate import tables
from tests.harness.api import Api
from tests.harness.backend import Backend
from tests.harness.figures import Say
from tests.hostile.faults import expected
from tests.hostile.faults.cases import REQUESTS, Ask, Scene
from tests.hostile.faults.faults import KINDS, Outside
from tests.hostile.faults.integrity import assert_nothing_is_half_written
from tests.hostile.faults.matrix import Cell, Matrix
from wechat_auth import services

PAGES = [tables.ROOT / "docs" / name for name in ("faults.md", "faults.zh-CN.md")]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("request_", REQUESTS)
def test_each_fault_has_its_answer_and_leaves_nothing_behind(
    api: Api, backend: Backend, clock: time_machine.Traveller, matrix: Matrix, request_: str
) -> None:
    outside = Outside(backend)

    def prepared() -> Ask:
        for table in backend.stack.application.tables:
            backend.clear(table.logical_id)
        ask = REQUESTS[request_](Scene(api, backend, backend.wechat.phone(backend.stack.appid)))
        backend.clear("AccessTokens")
        cold(backend, clock)
        outside.calls.clear()
        return ask

    with outside.watched():
        ask = prepared()
        assert ask() == expected.healthy(request_)
        calls = list(outside.calls)
        assert calls
        for call in calls:
            for kind in KINDS:
                # To WeChat nothing is sent twice, so that there is no repetition which could fail.
                for lasting in (True,) if call.is_wechats else (False, True):
                    ask = prepared()
                    arrived = backend.wechat.billed.arrivals
                    outside.break_down(call, kind, lasting=lasting)
                    answer = ask()
                    outside.heal()
                    assert call in outside.calls
                    sent = backend.wechat.billed.arrivals - arrived
                    assert set(sent.values()) <= {1}, "a code was sent twice by one request"
                    assert_nothing_is_half_written(backend)
                    clock.shift(31)  # longer than any lease
                    again = ask()
                    cell = Cell(request_, call, kind, lasting, answer, again)
                    assert cell == Cell(
                        request_,
                        call,
                        kind,
                        lasting,
                        expected.answer(request_, call, kind, lasting=lasting),
                        expected.afterwards(request_, calls, call, kind, lasting=lasting),
                    )
                    assert set(backend.wechat.billed.exchanges.values()) <= {1}
                    matrix.add(cell)


def test_the_documentation_shows_this_matrix(matrix: Matrix, say: Say) -> None:
    """`make fault-table` writes it there."""
    if {cell.request for cell in matrix.cells} != REQUESTS.keys():
        pytest.skip("not every request was tried")
    say(f"{len(matrix.cells)} cells of the matrix hold")
    for page in PAGES:
        text = page.read_text("utf-8")
        table = matrix.table(chinese=page.name.endswith(".zh-CN.md"))
        shown = tables.fill(text, {"faults": table})
        if os.environ.get("REWRITE") == "1":
            page.write_text(shown, "utf-8")
        else:
            assert shown == text, "run: make fault-table"


def cold(backend: Backend, clock: time_machine.Traveller) -> None:
    """Let the next request meet a new environment, in which nobody really waits."""
    backend.cold_start()
    services.access_tokens()._item._sleep = clock.shift
