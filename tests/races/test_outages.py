"""WeChat or DynamoDB down, throttled, or keeping what is long dead; and apps side by side."""

import io
import itertools
import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.retries.standard import ExponentialBackoff

from local.dynamodb_local import free_port
from local.simulated_wechat import Fault
from tests.races import worker as workers
from tests.races.crowd import Crowd, World
from tests.races.scenarios import ENDPOINT
from tests.races.worker import Outcome, Place
from wechat_auth.access_token import LOOK_AGAIN
from wechat_auth.settings import TokenMode

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient

TIMEOUT = 15  # seconds of the shortest function that needs a token
both_modes = pytest.mark.parametrize("mode", ["stable", "classic"])


def nobody_waits(_: float) -> None:
    raise AssertionError("a worker that has a living token waits for nothing")


class TestWeChatDown:
    @pytest.mark.parametrize(
        ("mode", "kind"), [("stable", "status"), ("stable", "drop_before"), ("classic", "html")]
    )
    def test_the_living_token_is_used_until_it_dies_and_what_comes_next_heals_by_itself(
        self, world: World, appid: str, mode: TokenMode, kind: str
    ) -> None:
        warm = [world.worker(appid, mode=mode, sleep=nobody_waits) for _ in range(5)]
        token = warm[0].get().token
        assert all(worker.get().token == token for worker in warm)
        died_at = world.now() + 7200
        world.wechat.faults.add(Fault(ENDPOINT[mode], kind, times=None))  # type: ignore[arg-type]
        world.advance(7200 - 180)
        while world.now() < died_at - 9:
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

    @pytest.fixture(params=["throttled", "down"])
    def broken(self, request: pytest.FixtureRequest, world: World) -> "Iterator[DynamoDBClient]":
        """A client whose DynamoDB throttles every call, or is not there at all."""
        if request.param == "throttled":
            client = workers.connect(world.place)
            client.meta.events.register("before-send.dynamodb", _throttle)
        else:
            client = workers.connect(Place(f"http://127.0.0.1:{free_port()}", "", ""))
        yield client
        client.close()

    def test_a_living_token_in_memory_serves_on_without_waiting(
        self, world: World, appid: str, broken: "DynamoDBClient"
    ) -> None:
        worker = world.worker(appid, sleep=nobody_waits)
        token = worker.get().token
        died_at = world.now() + 7200
        worker.dynamodb = broken
        world.advance(7200 - 175)
        calls = world.token_calls(appid)
        while world.now() < died_at - 5:
            outcome = worker.get()
            assert (outcome.token, outcome.accepted) == (token, True)
            assert outcome.waited < 1
            world.advance(LOOK_AGAIN)
        assert world.token_calls(appid) == calls

    def test_those_without_one_get_503_in_time_and_nobody_asks_wechat_instead(
        self, world: World, appid: str, broken: "DynamoDBClient"
    ) -> None:
        for _ in range(10):
            worker = world.worker(appid)
            worker.dynamodb = broken
            began = world.now()
            assert _refused(worker.request()) == ("storage_unavailable", 503, 1)
            assert world.now() - began < TIMEOUT
        assert world.token_calls(appid) == 0

    def test_when_it_is_back_the_same_request_succeeds(
        self, world: World, appid: str, broken: "DynamoDBClient"
    ) -> None:
        worker = world.worker(appid)
        well, worker.dynamodb = worker.dynamodb, broken
        assert worker.request().status == 503
        worker.dynamodb = well
        assert worker.request().accepted
        assert world.token_calls(appid) == 1

    def test_a_usable_token_is_used_where_only_writing_is_throttled(
        self, world: World, appid: str
    ) -> None:
        token = world.worker(appid).get().token
        world.advance(7200 - 100)
        worker = world.worker(appid, sleep=nobody_waits)
        worker.dynamodb = workers.connect(world.place)
        worker.dynamodb.meta.events.register("before-send.dynamodb.UpdateItem", _throttle)
        outcome = worker.get()
        worker.dynamodb.close()
        assert (outcome.token, outcome.accepted) == (token, True)
        assert world.token_calls(appid) == 1

    def test_a_holder_whose_write_is_throttled_writes_again(self, world: World, appid: str) -> None:
        holder = world.worker(appid)
        holder.dynamodb = workers.connect(world.place)
        sent = itertools.count()

        def throttle_the_first(request: AWSPreparedRequest, **_: object) -> Any:
            writes = b":sealed" in (request.body or b"")
            return _throttle(request) if writes and next(sent) < 5 else None

        holder.dynamodb.meta.events.register("before-send.dynamodb", throttle_the_first)
        outcome = holder.get()
        holder.dynamodb.close()
        assert next(sent) == 6
        assert world.worker(appid, sleep=nobody_waits).get().token == outcome.token
        assert world.token_calls(appid) == 1

    def test_an_answer_that_got_lost_does_not_lose_the_lease(
        self, world: World, appid: str
    ) -> None:
        """The SDK sends the update again; the lease that the first one took is still its own."""
        worker = world.worker(appid, sleep=nobody_waits)
        worker.dynamodb = workers.connect(world.place)
        answers = itertools.count()

        def lose_the_first(response_dict: dict[str, Any], **_: object) -> None:
            if next(answers) == 0:
                response_dict["status_code"] = 500

        worker.dynamodb.meta.events.register("before-parse.dynamodb.UpdateItem", lose_the_first)
        outcome = worker.get()
        worker.dynamodb.close()
        assert outcome.accepted
        assert world.token_calls(appid) == 1


class TestWhatIsLongDead:
    def test_an_item_past_its_ttl_that_is_still_in_the_table_is_not_used(
        self, world: World, appid: str
    ) -> None:
        dead = world.worker(appid).get().token
        world.advance(4 * 86_400)  # the engine's own clock stays, so it does not delete the item
        item = world.item(appid)
        assert float(item["token_expires_at"]["N"]) < world.now()
        assert float(item["expires_at"]["N"]) < world.now()
        outcome = world.worker(appid).get()
        assert outcome.accepted
        assert outcome.token != dead
        assert world.token_calls(appid) == 2

    def test_an_item_that_ttl_deleted_is_made_anew(self, world: World, appid: str) -> None:
        before = world.worker(appid)
        token = before.get().token
        world.dynamodb.delete_item(TableName=world.place.table, Key={"appid": {"S": appid}})
        assert before.get().token == token
        assert world.worker(appid).get().token == token  # as WeChat hands it out
        assert world.token_calls(appid) == 2


class TestTwoApps:
    @both_modes
    def test_do_not_touch_each_other(self, world: World, mode: TokenMode) -> None:
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

    def test_one_that_is_refused_for_good_leaves_the_other_alone(self, world: World) -> None:
        first, second = world.new_app(), world.new_app()
        worker = world.worker(first, second)
        world.wechat.refuse_all_tokens(first)
        for _ in range(5):
            assert worker.request(appid=first).error
            assert worker.request(appid=second).tries == 1
        world.wechat.accept_tokens(first)
        assert world.token_calls(second) == 1

    def test_a_crowd_of_one_does_not_hold_up_the_other(self, crowd: Crowd) -> None:
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


def _throttle(request: AWSPreparedRequest, **_: object) -> Any:
    document = {"__type": "com.amazonaws#ProvisionedThroughputExceededException"}
    return AWSResponse(str(request.url), 400, HTTPHeaders(), _Raw(json.dumps(document).encode()))


class _Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()
