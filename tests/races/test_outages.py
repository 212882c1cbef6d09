"""WeChat or DynamoDB down, throttled, or keeping what is long dead; and apps side by side."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.retries.standard import ExponentialBackoff

from local.dynamodb_local import free_port
from local.simulated_wechat import Fault
from tests.harness.deployment import Raw
from tests.races.crowd import Crowd, World
from tests.races.scenarios import ENDPOINT
from tests.races.worker import Engine, Outcome, Worker
from wechat_auth.settings import TokenMode
from wechat_auth.tokens.access_tokens import LOOK_AGAIN

TIMEOUT = 15  # seconds of the shortest function that needs a token
both_modes = pytest.mark.parametrize("mode", ["stable", "classic"])
Outage = Callable[[], AbstractContextManager[None]]


def nobody_waits(_: float) -> None:
    raise AssertionError("a worker that has a living token waits for nothing")


def throttle(request: AWSPreparedRequest, **_: object) -> Any:
    document = {"__type": "com.amazonaws#ProvisionedThroughputExceededException"}
    return AWSResponse(str(request.url), 400, HTTPHeaders(), Raw(json.dumps(document).encode()))


def send_nowhere(request: AWSPreparedRequest, **_: object) -> Any:
    request.url = f"http://127.0.0.1:{free_port()}/"


class TestWeChatDown:
    @pytest.mark.parametrize(
        ("mode", "kind"), [("stable", "status"), ("stable", "drop_before"), ("classic", "html")]
    )
    def test_the_living_token_is_used_until_it_expires_and_what_comes_next_heals_by_itself(
        self, world: World, appid: str, mode: TokenMode, kind: str
    ) -> None:
        warm = [world.worker(appid, mode=mode, sleep=nobody_waits) for _ in range(5)]
        token = warm[0].get().token
        assert all(worker.get().token == token for worker in warm)
        expires_at = world.now() + 7200
        world.wechat.faults.add(Fault(ENDPOINT[mode], kind, times=None))  # type: ignore[arg-type]
        world.advance(7200 - 180)
        while world.now() < expires_at - 9:
            for worker in [*warm, world.worker(appid, mode=mode, sleep=nobody_waits)]:
                outcome = worker.get()
                assert (outcome.token, outcome.accepted) == (token, True)
            world.advance(8)
        world.advance(18)
        cold = world.worker(appid, mode=mode)
        assert _refused(cold.get()) == ("wechat_unavailable", 503, 2)
        world.wechat.faults.clear()
        healed = cold.get()
        assert healed.accepted
        assert [worker.get().token for worker in warm] == [healed.token] * 5

    def test_two_hundred_requests_without_a_token_make_a_few_calls_and_get_503(
        self, crowd: Crowd
    ) -> None:
        world, appid = crowd.world, crowd.world.new_app()
        crowd.hire(appid)
        world.wechat.faults.add(Fault("getStableAccessToken", "status", times=None, seconds=0.5))
        began = time.monotonic()
        outcomes = crowd.all_at_once("request")
        took = time.monotonic() - began
        assert {_refused(outcome) for outcome in outcomes} == {("wechat_unavailable", 503, 2)}
        assert max(outcome.waited for outcome in outcomes) < TIMEOUT
        assert world.token_calls(appid) <= took + 1  # a second between two, each half a second
        world.wechat.faults.clear()
        assert all(outcome.accepted for outcome in crowd.all_at_once("request"))

    def test_while_it_is_down_it_is_asked_once_a_second_however_many_ask(
        self, world: World, appid: str
    ) -> None:
        world.wechat.faults.add(Fault("getStableAccessToken", "status", times=None))
        began = world.now()
        for _ in range(50):
            assert _refused(world.worker(appid).request())[1] == 503
        assert world.token_calls(appid) <= world.now() - began + 1


class TestDynamoDBDown:
    @pytest.fixture(autouse=True)
    def _retry_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)  # AWS's retries

    @pytest.fixture
    def worker(self, world: World, appid: str) -> Iterator[Worker]:
        """A worker with a client of its own, which alone meets what goes wrong."""
        worker = world.worker(appid, sleep=nobody_waits, aws=Engine(world.place))
        yield worker
        worker.aws.dynamodb.close()

    @pytest.fixture(params=[throttle, send_nowhere])
    def outage(self, request: pytest.FixtureRequest, worker: Worker) -> Outage:
        """DynamoDB throttles every call of the worker, or is not there at all."""

        @contextmanager
        def outage() -> Iterator[None]:
            worker.aws.dynamodb.meta.events.register("before-send", request.param)
            yield
            worker.aws.dynamodb.meta.events.unregister("before-send", request.param)

        return outage

    def test_a_living_token_in_memory_serves_on_without_waiting(
        self, world: World, worker: Worker, outage: Outage
    ) -> None:
        token = worker.get().token
        expires_at = world.now() + 7200
        world.advance(7200 - 175)
        calls = world.token_calls(worker.appid)
        with outage():
            while world.now() < expires_at - 5:
                outcome = worker.get()
                assert (outcome.token, outcome.accepted) == (token, True)
                assert outcome.waited < 1
                world.advance(LOOK_AGAIN)
        assert world.token_calls(worker.appid) == calls

    def test_those_without_one_get_503_in_time_and_nobody_asks_wechat_instead(
        self, world: World, worker: Worker, outage: Outage
    ) -> None:
        with outage():
            for _ in range(10):
                cold = world.worker(worker.appid, aws=worker.aws)
                began = world.now()
                assert _refused(cold.request()) == ("storage_unavailable", 503, 1)
                assert world.now() - began < TIMEOUT
        assert world.token_calls(worker.appid) == 0

    def test_when_it_is_back_the_same_request_succeeds(
        self, world: World, worker: Worker, outage: Outage
    ) -> None:
        patient = world.worker(worker.appid, aws=worker.aws)
        with outage():
            assert patient.request().status == 503
        assert patient.request().accepted
        assert world.token_calls(worker.appid) == 1

    def test_a_usable_token_is_used_when_only_writing_is_throttled(
        self, world: World, worker: Worker
    ) -> None:
        token = world.worker(worker.appid).get().token
        world.advance(7200 - 100)
        worker.aws.dynamodb.meta.events.register("before-send.dynamodb.UpdateItem", throttle)
        outcome = worker.get()
        assert (outcome.token, outcome.accepted) == (token, True)
        assert world.token_calls(worker.appid) == 1

    def test_a_holder_whose_write_is_throttled_writes_again(
        self, world: World, worker: Worker
    ) -> None:
        sent = itertools.count()

        def throttle_the_first(request: AWSPreparedRequest, **_: object) -> Any:
            writes = b":sealed" in (request.body or b"")
            return throttle(request) if writes and next(sent) < 5 else None

        worker.aws.dynamodb.meta.events.register("before-send.dynamodb", throttle_the_first)
        outcome = world.worker(worker.appid, aws=worker.aws).get()
        assert next(sent) == 6
        assert world.worker(worker.appid, sleep=nobody_waits).get().token == outcome.token
        assert world.token_calls(worker.appid) == 1

    def test_an_answer_that_got_lost_does_not_lose_the_lease(
        self, world: World, worker: Worker
    ) -> None:
        """The SDK sends the update again; the lease that the first one took is still its own."""
        sent: list[bytes] = []

        def repeat_the_first(request_dict: dict[str, Any], **_: object) -> int | None:
            sent.append(request_dict["body"])
            return 0 if len(sent) == 1 else None

        repeat = cast("Any", repeat_the_first)
        worker.aws.dynamodb.meta.events.register("needs-retry.dynamodb.UpdateItem", repeat)
        assert worker.get().accepted
        assert sent[0] == sent[1]
        assert world.token_calls(worker.appid) == 1


class TestWhatIsLongDead:
    def test_a_row_past_its_ttl_that_is_still_in_the_table_is_not_used(
        self, world: World, appid: str
    ) -> None:
        expired = world.worker(appid).get().token
        world.advance(4 * 86_400)  # the engine's own clock stays, so it does not delete the row
        row = world.row(appid)
        assert row["token_expires_at"] < world.now()
        assert row["expires_at"] < world.now()
        outcome = world.worker(appid).get()
        assert outcome.accepted
        assert outcome.token != expired
        assert world.token_calls(appid) == 2

    def test_a_row_that_ttl_deleted_is_made_again(self, world: World, appid: str) -> None:
        before = world.worker(appid)
        token = before.get().token
        world.table.delete({"appid": appid})
        assert before.get().token == token
        assert world.worker(appid).get().token == token  # as WeChat hands it out
        assert world.token_calls(appid) == 2


class TestTwoApps:
    @both_modes
    def test_two_apps_do_not_touch_each_other(self, world: World, mode: TokenMode) -> None:
        first, second = world.new_app(), world.new_app()
        both = [world.worker(first, second, mode=mode) for _ in range(3)]
        theirs = {app: {w.get(appid=app).token for w in both} for app in (first, second)}
        assert [len(tokens) for tokens in theirs.values()] == [1, 1]
        assert theirs[first] != theirs[second]
        world.advance(60)
        world.wechat.revoke_access_token(first)
        assert all(w.request(appid=first).accepted for w in both)
        assert {w.get(appid=second).token for w in both} == theirs[second]
        assert (world.token_calls(first), world.token_calls(second)) == (2, 1)

    def test_an_app_that_is_refused_for_good_leaves_the_other_alone(self, world: World) -> None:
        first, second = world.new_app(), world.new_app()
        worker = world.worker(first, second)
        world.wechat.refuse_all_tokens(first)
        for _ in range(5):
            assert worker.request(appid=first).error
            assert worker.request(appid=second).tries == 1
        world.wechat.accept_tokens(first)
        assert world.token_calls(second) == 1

    def test_a_crowd_of_one_app_does_not_hold_up_the_other(self, crowd: Crowd) -> None:
        world, slow, other = crowd.world, crowd.world.new_app(), crowd.world.new_app()
        world.worker(other).get()
        crowd.hire(slow)
        world.wechat.faults.add(Fault("getStableAccessToken", "latency", seconds=1.5))
        quick: list[Outcome] = []

        def meanwhile() -> None:
            world.wait_until(lambda: world.token_calls(slow) == 1)
            quick.append(world.worker(other, sleep=nobody_waits).get())

        assert all(o.accepted for o in crowd.all_at_once("get", 50, meanwhile))
        assert quick[0].accepted
        assert quick[0].waited < 1


def _refused(outcome: Outcome) -> tuple[str, int, int | None]:
    return outcome.error, outcome.status, outcome.retry_after
