"""A day of steady traffic, its clock moved minute by minute: no user's request pays for a token."""

from collections import Counter

import pytest

from docs.generate.access_token import CALLS_A_DAY, READ_PRICE, SCHEDULE_READS_A_DAY, WRITE_PRICE
from tests.harness.figures import Say
from tests.races.crowd import World
from wechat_auth.settings import TokenMode

MINUTES_A_DAY = 1440
WORKERS = 5


def nobody_waits(_: float) -> None:
    raise AssertionError("a user's request waits for a token")


@pytest.mark.parametrize("mode", ["stable", "classic"])
def test_the_schedule_keeps_a_day_of_traffic_supplied(
    world: World, appid: str, mode: TokenMode, say: Say
) -> None:
    operations: Counter[str] = Counter()
    events = world.aws.dynamodb.meta.events
    events.register(
        "before-send.dynamodb",
        lambda event_name, **_: operations.update([event_name.rpartition(".")[2]]),
        unique_id="schedule",
    )
    schedule = world.worker(appid, mode=mode, sleep=nobody_waits)
    traffic = [world.worker(appid, mode=mode, sleep=nobody_waits) for _ in range(WORKERS)]
    requests = 0
    for _ in range(MINUTES_A_DAY):
        schedule.tokens.renew(appid)
        for worker in traffic:
            token = worker.tokens.get(appid)
            assert world.wechat.accepts(token)
            requests += 1
            world.advance(60 / WORKERS)
    events.unregister("before-send.dynamodb", unique_id="schedule")
    assert sum(worker.wechat.token_calls for worker in traffic) == 0
    assert world.token_calls(appid) == schedule.wechat.token_calls == CALLS_A_DAY == 13
    reads, writes = operations["GetItem"], operations["UpdateItem"]
    assert writes == 2 * CALLS_A_DAY
    # Each worker looks once to begin with, and once for each token that came after.
    assert reads == SCHEDULE_READS_A_DAY + WORKERS * CALLS_A_DAY
    cost = (reads / 2 * READ_PRICE + writes * WRITE_PRICE) * 30
    say(
        f"{mode}: {requests} requests, {world.token_calls(appid)} token calls, {reads} reads "
        f"and {writes} writes a day; {cost:.4f} USD a month"
    )


def test_when_the_schedule_does_not_run_requests_renew_in_the_last_three_minutes(
    world: World, appid: str
) -> None:
    traffic = [world.worker(appid, sleep=nobody_waits) for _ in range(WORKERS)]
    traffic[0].get()
    began = world.now()
    for _ in range(300):
        for worker in traffic:
            assert world.wechat.accepts(worker.tokens.get(appid))
            world.advance(60 / WORKERS)
    seconds = world.now() - began
    assert world.token_calls(appid) == 1 + seconds // (7200 - 180)
