"""WeChat down, DynamoDB throttled, and apps side by side."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.retries.standard import ExponentialBackoff

from local.simulated_wechat import Fault
from tests.harness.deployment import Raw
from tests.races.crowd import Crowd, World
from tests.races.worker import Engine, Outcome, Worker

TIMEOUT = 15  # seconds of the shortest function that needs a token


def nobody_waits(_: float) -> None:
    raise AssertionError("a worker that has a living token waits for nothing")


def throttle(request: AWSPreparedRequest, **_: object) -> Any:
    document = {"__type": "com.amazonaws#ProvisionedThroughputExceededException"}
    return AWSResponse(str(request.url), 400, HTTPHeaders(), Raw(json.dumps(document).encode()))


class TestWeChatDown:
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


class TestTwoApps:
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
