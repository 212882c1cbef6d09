"""Every call that leaves the process, failing in every way, in every request: one cell each."""

import os

import pytest
import time_machine

from docs.generate import tables
from tests.harness.api import Api
from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.hostile.faults import expected
from tests.hostile.faults.cases import REQUESTS, SECURED_REQUESTS, Ask, Scene
from tests.hostile.faults.faults import Outside
from tests.hostile.faults.integrity import assert_nothing_is_half_written
from tests.hostile.faults.matrix import Cell, Matrix

PAGES = [tables.ROOT / "docs" / name for name in ("faults.md", "faults.zh-CN.md")]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("request_", REQUESTS)
def test_each_fault_has_its_answer_and_leaves_nothing_behind(
    api: Api, deployment: Deployment, clock: time_machine.Traveller, matrix: Matrix, request_: str
) -> None:
    try_every_cell(api, clock, matrix, request_, Outside(deployment))


def try_every_cell(
    api: Api, clock: time_machine.Traveller, matrix: Matrix, request_: str, outside: Outside
) -> None:
    """Let each call of a request fail in each way, and compare what comes of it."""
    deployment = outside.deployment

    def prepared() -> Ask:
        for table in deployment.stack.application.tables:
            deployment.clear(table.logical_id)
        deployment.stack.queues.discard()
        deployment.configure(COMPONENT_APPID="")  # for requests that need no platform
        ask = REQUESTS[request_](
            Scene(api, deployment, deployment.wechat.phone(deployment.stack.appid))
        )
        deployment.clear("AccessTokens")
        deployment.cold_start(sleep=clock.shift)  # nobody really waits
        outside.calls.clear()
        return ask

    with outside.watched():
        ask = prepared()
        assert ask() == expected.healthy(request_)
        calls = list(outside.calls)
        assert calls
        for call in calls:
            for kind in call.kinds(secured=request_ in SECURED_REQUESTS):
                # What is made once has no repetition which could fail.
                for lasting in (True,) if call.is_made_once else (False, True):
                    ask = prepared()
                    arrived = deployment.wechat.billed.arrivals
                    outside.break_down(call, kind, lasting=lasting)
                    answer = ask()
                    outside.heal()
                    assert call in outside.calls
                    sent = deployment.wechat.billed.arrivals - arrived
                    assert set(sent.values()) <= {1}, "a code was sent twice by one request"
                    assert_nothing_is_half_written(deployment)
                    clock.shift(31)  # longer than any lease
                    again = ask()
                    cell = Cell(request_, call, kind, lasting, answer, again)
                    assert cell == Cell(
                        request_,
                        call,
                        kind,
                        lasting,
                        expected.answer(request_, calls, call, kind, lasting=lasting),
                        expected.afterwards(request_, calls, call, kind, lasting=lasting),
                    )
                    assert set(deployment.wechat.billed.exchanges.values()) <= {1}
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
