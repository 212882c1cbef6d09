"""What a crowd of workers goes through: each case a function that returns its figures.

The tests and `make crowd` run the same functions. A figure that is off is named in `Figures.off`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from local.simulated_wechat import Fault
from tests.races.crowd import Crowd, Skew, World, no_skew
from tests.races.worker import Outcome
from wechat_auth.settings import TokenMode
from wechat_auth.tokens.table import LEASE_SECONDS

ENDPOINT: Mapping[TokenMode, str] = {"stable": "getStableAccessToken", "classic": "getAccessToken"}
PLATFORM_CALLS = ("getComponentAccessToken", "getAuthorizerAccessToken")
CALL = 1.0
"""Seconds that WeChat takes for a token, when it is slow on purpose."""
SKEW = 60.0
"""Seconds between the clock that is farthest ahead and the one that is farthest behind."""
MOST_CALLS = int(SKEW / LEASE_SECONDS) + 1
"""Renewals that can run at once when clocks differ: whoever takes a lease that has not run out
must be a lease ahead of its holder, and the next one a lease ahead of that one."""
BUSY = 1.0
"""Seconds in the queue for a processor that 200 workers on two idle ones do not come to."""
_ATTEMPTS = 3  # at a figure that other work on this machine can only spoil


@dataclass(frozen=True, slots=True)
class Figures:
    """What a case came to.

    Attributes:
        title: The case.
        workers: How many took part.
        token_calls: Calls for a token at WeChat.
        forced: Forced refreshes that WeChat carried out.
        waits: Seconds that each worker took for its token, or request.
        operations: What DynamoDB was asked, by operation.
        expectations: What must hold, and whether it did.
    """

    title: str
    workers: int
    token_calls: int
    forced: int
    waits: tuple[float, ...] = field(repr=False)
    operations: Mapping[str, int] = field(repr=False)
    expectations: Mapping[str, bool]

    @property
    def off(self) -> list[str]:
        """What should have held and did not."""
        return [text for text, holds in self.expectations.items() if not holds]


def cold(crowd: Crowd, mode: TokenMode = "stable", skew: Skew = no_skew) -> Figures:
    """Nobody has a token, the table is empty, and everybody starts in the same moment."""
    for _ in range(_ATTEMPTS):
        figures = _cold(crowd, mode, skew)
        if not any("waits longer" in text for text in figures.off):
            break
    return figures


def _cold(crowd: Crowd, mode: TokenMode, skew: Skew) -> Figures:
    world, appid = _hired(crowd, mode, skew)
    _slow(world, mode, times=MOST_CALLS)
    outcomes = crowd.all_at_once("get")
    world.wechat.faults.clear()
    renewed = max(outcome.waited for outcome in outcomes if outcome.token_calls)
    waiting = max(outcome.waited - outcome.slept for outcome in outcomes if not outcome.token_calls)
    # On Lambda each worker has a processor of its own. Here they queue for two, and for the rest of
    # what this machine does: whoever renews, beyond its call, and those who wait, beyond sleeping.
    queued = renewed - CALL + waiting
    prompt, limit = f"nobody waits longer than the call ({CALL:g} s) plus 1 s", CALL + 1
    if queued > BUSY:
        prompt += f", {queued:.1f} s in the queue for this busy machine's processors left aside"
        limit += queued
    calls = world.token_calls(appid)
    expected = {
        _calls_expected(1, skew): 1 <= calls <= _most(1, skew),
        "every worker got a token that WeChat accepts": _all_accepted(outcomes),
        prompt: _longest(outcomes) <= limit,
    }
    return _figures(crowd, _title(cold, mode), appid, outcomes, expected)


def cold_platform(crowd: Crowd) -> Figures:
    """A merchant's users come, and neither the platform nor the merchant has a token."""
    world = crowd.world
    component, appid = world.new_merchant()
    crowd.hire(appid, component=component)
    for call in PLATFORM_CALLS:
        world.wechat.faults.add(Fault(call, "latency", seconds=CALL / 4))
    outcomes = crowd.all_at_once("get")
    world.wechat.faults.clear()
    calls = {call: world.wechat.count(call, appid=each)
             for call, each in zip(PLATFORM_CALLS, (component, appid), strict=True)}  # fmt: skip
    expected = {f"exactly 1 {call}": count == 1 for call, count in calls.items()}
    expected["every worker got a token that WeChat accepts"] = _all_accepted(outcomes)
    title = _title(cold_platform, "stable")
    return _figures(crowd, title, appid, outcomes, expected, calls=sum(calls.values()))


def renewal(crowd: Crowd, mode: TokenMode = "stable", skew: Skew = no_skew) -> Figures:
    """Everybody has a token that is about to expire, and needs it in the same moment."""
    world, appid = _hired(crowd, mode, skew)
    old = {outcome.token for outcome in crowd.all_at_once("get")}
    before = world.token_calls(appid)
    world.advance(7200 - 100)
    _slow(world, mode, times=MOST_CALLS, seconds=2 * CALL)
    outcomes = crowd.all_at_once("get")
    world.wechat.faults.clear()
    calls = world.token_calls(appid) - before
    # By the clock, a busy machine's queue for its processors would be a wait, too.
    waited = sum(outcome.slept > 0 or outcome.token_calls > 0 for outcome in outcomes)
    new = world.worker(appid, mode=mode).get()
    expected = {
        _calls_expected(1, skew): 1 <= calls <= _most(1, skew),
        "nobody but who renews waits": waited <= calls,
        "no error, and WeChat accepts what everybody goes on with": _all_accepted(outcomes),
        "a new token is there, and it is accepted": new.accepted and new.token not in old,
    }
    return _figures(crowd, _title(renewal, mode), appid, outcomes, expected, calls=calls)


def rejected(
    crowd: Crowd,
    mode: TokenMode = "stable",
    skew: Skew = no_skew,
    *,
    errcode: int = 40001,
    sticky: bool = False,
) -> Figures:
    """WeChat refuses a token before its time, and fifty workers notice at once."""
    world, appid = _hired(crowd, mode, skew)
    crowd.all_at_once("get", 50)
    world.advance(120)
    before, refused = world.token_calls(appid), world.worker(appid, mode=mode).get().token
    world.wechat.revoke_access_token(appid, errcode=errcode, sticky=sticky)
    outcomes = crowd.all_at_once("request", 50)
    calls = world.token_calls(appid) - before
    needed = 2 if sticky and mode == "stable" else 1
    forced = world.wechat.forced_refreshes(appid)
    handed_out = "hands it out again until forced" if sticky else "makes a new one"
    expected = {
        _calls_expected(needed, skew): needed <= calls <= _most(needed, skew),
        "one forced refresh" if needed > 1 else "no forced refresh": forced == needed - 1,
        "every request is replayed once and succeeds": _all_accepted(outcomes)
        and all(outcome.tries == 2 for outcome in outcomes),
        "nobody goes on with the refused token": refused not in {o.token for o in outcomes},
    }
    return _figures(
        crowd,
        _title(rejected, mode, f" ({errcode}, WeChat {handed_out})"),
        appid,
        outcomes,
        expected,
        calls=calls,
    )


def _hired(crowd: Crowd, mode: TokenMode, skew: Skew = no_skew) -> tuple[World, str]:
    """Let everybody be a new worker of a new app, and return world and app."""
    appid = crowd.world.new_app()
    crowd.hire(appid, mode, skew)
    return crowd.world, appid


def _title(case: Callable[..., Figures], mode: TokenMode, more: str = "") -> str:
    classic = ", in classic mode" if mode == "classic" else ""
    return f"{(case.__doc__ or '').rstrip('.')}{more}{classic}"


def _slow(world: World, mode: TokenMode, *, times: int, seconds: float = CALL) -> None:
    world.wechat.faults.add(Fault(ENDPOINT[mode], "latency", times=times, seconds=seconds))


def _calls_expected(calls: int, skew: Skew) -> str:
    if skew is no_skew:
        return f"exactly {calls} token call{'s' if calls > 1 else ''} at WeChat"
    return f"{_most(calls, skew)} token calls at WeChat at most, though clocks differ"


def _most(calls: int, skew: Skew) -> int:
    return calls if skew is no_skew else calls * MOST_CALLS


def _all_accepted(outcomes: Sequence[Outcome]) -> bool:
    return all(outcome.accepted for outcome in outcomes)


def _longest(outcomes: Sequence[Outcome]) -> float:
    return max(outcome.waited for outcome in outcomes)


def _figures(
    crowd: Crowd,
    title: str,
    appid: str,
    outcomes: Sequence[Outcome],
    expectations: Mapping[str, bool],
    *,
    calls: int | None = None,
) -> Figures:
    world = crowd.world
    return Figures(
        title,
        len(outcomes),
        world.token_calls(appid) if calls is None else calls,
        world.wechat.forced_refreshes(appid),
        tuple(outcome.waited for outcome in outcomes),
        dict(crowd.operations),
        expectations,
    )
