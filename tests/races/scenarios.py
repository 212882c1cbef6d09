"""What a crowd of workers goes through: each case a function that returns its figures.

The tests and `make crowd` run the same functions. A figure that is off is named in `Figures.off`.
"""

import itertools
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from local.simulated_wechat import Fault
from tests.races.crowd import Crowd, Skew, World, no_skew
from tests.races.worker import Outcome
from wechat_auth.access_token import FORCED_APART, FORCED_PER_DAY
from wechat_auth.access_token_item import LEASE, MAX_WAIT
from wechat_auth.settings import TokenMode

ENDPOINT: Mapping[TokenMode, str] = {"stable": "getStableAccessToken", "classic": "getAccessToken"}
CALL = 1.0
"""Seconds that WeChat takes for a token, where it is slow on purpose."""
SKEW = 60.0
"""Seconds between the clock that is farthest ahead and the one that is farthest behind."""
MOST_CALLS = int(SKEW / LEASE) + 1
"""Renewals that can run at once where clocks differ: whoever takes a lease that has not run out
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
    """1: Nobody has a token, the table is empty, and everybody starts in the same moment."""
    for _ in range(_ATTEMPTS):
        figures = _cold(crowd, mode, skew)
        if not any("waits longer" in text for text in figures.off):
            break
    return figures


def _cold(crowd: Crowd, mode: TokenMode, skew: Skew) -> Figures:
    world, appid = crowd.world, crowd.world.new_app()
    crowd.hire(appid, mode, skew)
    _slow(world, mode, times=MOST_CALLS)
    outcomes = crowd.all_at_once("get")
    world.wechat.faults.clear()
    renewed = max(outcome.waited for outcome in outcomes if outcome.token_calls)
    # On Lambda each worker has a processor of its own. Here they queue for two, and for the rest of
    # what this machine does: whoever renews, beyond its call, and those who wait, beyond sleeping.
    queued = renewed - CALL + max(outcome.waited - outcome.slept for outcome in _others(outcomes))
    prompt = f"nobody waits longer than the call ({CALL:g} s) plus 1 s"
    if queued > BUSY:
        prompt += f", {queued:.1f} s in the queue for this busy machine's processors left aside"
        limit = CALL + queued + 1
    else:
        limit = CALL + 1
    calls = world.token_calls(appid)
    return _figures(
        crowd,
        _title(cold, mode),
        appid,
        outcomes,
        {
            _calls_expected(1, skew): 1 <= calls <= _most(1, skew),
            "every worker got a token that WeChat accepts": _all_accepted(outcomes),
            prompt: _longest(outcomes) <= limit,
        },
    )


def renewal(crowd: Crowd, mode: TokenMode = "stable", skew: Skew = no_skew) -> Figures:
    """2: Everybody has a token that is about to die, and needs it in the same moment."""
    world, appid = crowd.world, crowd.world.new_app()
    crowd.hire(appid, mode, skew)
    old = {outcome.token for outcome in crowd.all_at_once("get")}
    before = world.token_calls(appid)
    world.advance(7200 - 100)
    call = 2 * CALL
    _slow(world, mode, times=MOST_CALLS, seconds=call)
    outcomes = crowd.all_at_once("get")
    world.wechat.faults.clear()
    calls = world.token_calls(appid) - before
    waited = sum(outcome.waited >= call for outcome in outcomes)
    new = world.worker(appid, mode=mode).get()
    return _figures(
        crowd,
        _title(renewal, mode),
        appid,
        outcomes,
        {
            _calls_expected(1, skew): 1 <= calls <= _most(1, skew),
            "nobody but who renews waits": waited <= calls,
            "no error, and WeChat accepts what everybody goes on with": _all_accepted(outcomes),
            "a new token is there, and it is accepted": new.accepted and new.token not in old,
        },
        calls=calls,
    )


def holder_killed(crowd: Crowd, mode: TokenMode = "stable") -> Figures:
    """3: Who renews is killed between the lease and the token."""
    world, appid = crowd.world, crowd.world.new_app()
    crowd.hire(appid, mode)
    holder = world.process()
    holder.hire(appid, mode)
    _slow(world, mode, times=1, seconds=30)
    holder.start("get")
    world.wait_until(lambda: world.token_calls(appid) == 1)
    lease_until = world.number(appid, "lease_until")
    holder.signal(signal.SIGKILL)
    holder.close()

    def time_passes() -> None:
        time.sleep(1)  # everybody has looked once
        world.advance(MAX_WAIT)

    early = crowd.all_at_once("get", 50, time_passes)
    calls_early = world.token_calls(appid)
    world.advance(lease_until - world.now() - 2)
    late = crowd.all_at_once("get", 50)
    at = [call.at for call in world.wechat.calls if call.appid == appid and call.endpoint in _TOKEN]
    return _figures(
        crowd,
        _title(holder_killed, mode),
        appid,
        [*early, *late],
        {
            f"who asks during the lease of {LEASE:g} s is told 503, Retry-After, in time": all(
                outcome.status == 503 and outcome.retry_after for outcome in early
            )
            and _longest(early) < MAX_WAIT,
            "nobody renews before the lease is over": calls_early == 1 and at[1] >= lease_until,
            "then one other worker does, within 2 s": len(at) == 2 and at[1] < lease_until + 2,
            "who asks towards its end gets a token that WeChat accepts": _all_accepted(late),
        },
    )


def holder_frozen(crowd: Crowd, mode: TokenMode = "stable", frozen: float = 0.0) -> Figures:
    """4: Who renews is frozen past its lease, and wakes up after others have renewed."""
    world, appid = crowd.world, crowd.world.new_app()
    crowd.hire(appid, mode)
    holder = world.process()
    holder.hire(appid, mode)
    _slow(world, mode, times=1)
    holder.start("get")
    world.wait_until(lambda: world.token_calls(appid) == 1)
    holder.signal(signal.SIGSTOP)
    world.wechat.revoke_access_token(appid)  # what the holder will be told is dead by then
    world.advance(LEASE)
    others = crowd.all_at_once("get", 50)
    renewed = world.item(appid)
    time.sleep(frozen)
    holder.signal(signal.SIGCONT)
    late = holder.report().outcomes[0]
    holder.close()
    return _figures(
        crowd,
        _title(holder_frozen, mode),
        appid,
        [late, *others],
        {
            "the others renew once": world.token_calls(appid) == 2,
            "every one of them gets a token that WeChat accepts": _all_accepted(others),
            "the late result does not overwrite theirs": world.item(appid) == renewed,
            "the late one goes on with theirs": late.accepted and late.token == others[0].token,
        },
    )


def rejected(
    crowd: Crowd,
    mode: TokenMode = "stable",
    skew: Skew = no_skew,
    *,
    errcode: int = 40001,
    sticky: bool = False,
) -> Figures:
    """5: WeChat refuses a token before its time, and fifty workers notice at once."""
    world, appid = crowd.world, crowd.world.new_app()
    crowd.hire(appid, mode, skew)
    crowd.all_at_once("get", 50)
    world.advance(120)
    before, refused = world.token_calls(appid), world.worker(appid, mode=mode).get().token
    world.wechat.revoke_access_token(appid, errcode=errcode, sticky=sticky)
    outcomes = crowd.all_at_once("request", 50)
    calls = world.token_calls(appid) - before
    needed = 2 if sticky and mode == "stable" else 1
    forced = world.wechat.forced_refreshes(appid)
    handed_out = "hands it out again until forced" if sticky else "makes a new one"
    return _figures(
        crowd,
        _title(rejected, mode, f" ({errcode}, WeChat {handed_out})"),
        appid,
        outcomes,
        {
            _calls_expected(needed, skew): needed <= calls <= _most(needed, skew),
            "one forced refresh" if needed > 1 else "no forced refresh": forced == needed - 1,
            "every request is replayed once and succeeds": _all_accepted(outcomes)
            and all(outcome.tries == 2 for outcome in outcomes),
            "nobody goes on with the refused token": refused not in {o.token for o in outcomes},
        },
        calls=calls,
    )


def refused_for_good(crowd: Crowd, mode: TokenMode = "stable") -> Figures:
    """5: WeChat refuses every token of the app, until it does not."""
    world, appid = crowd.world, crowd.world.new_app()
    crowd.hire(appid, mode)
    world.wechat.refuse_all_tokens(appid)
    outcomes = crowd.all_at_once("request", 50)
    calls = world.token_calls(appid)
    world.wechat.accept_tokens(appid)
    healed = crowd.all_at_once("request", 50)
    return _figures(
        crowd,
        _title(refused_for_good, mode),
        appid,
        outcomes,
        {
            "each request ends in an error": all(outcome.error for outcome in outcomes),
            "the operator is told what to do": any(outcome.remedy for outcome in outcomes),
            "at most 2 tries a request": all(outcome.tries <= 2 for outcome in outcomes),
            "at most 2 token calls a request": all(o.token_calls <= 2 for o in outcomes),
            "2 token calls in all": calls == 2,
            "when WeChat accepts again everything works": _all_accepted(healed),
        },
        calls=calls,
    )


def forced_in_a_day(crowd: Crowd, mode: TokenMode = "stable") -> Figures:
    """5: WeChat refuses every token all day, and a request comes every 10 s."""
    world, appid = crowd.world, crowd.world.new_app()
    crowd.hire(appid, mode)
    world.advance_to_morning()
    world.wechat.refuse_all_tokens(appid)
    outcomes: list[Outcome] = []
    replaced_at: list[float] = []
    replaced = 0
    for number in range(90):
        member = crowd.members[number % len(crowd.members)]
        outcomes.append(member.one("request"))
        if (now_replaced := _replaced(world, appid, mode)) > replaced:
            replaced = now_replaced
            replaced_at.append(world.now())
        world.advance(10)
    calls_today, forced_today = world.token_calls(appid), world.wechat.forced_refreshes(appid)
    world.advance_to_morning()
    world.worker(appid, mode=mode).request()
    apart = [later - sooner for sooner, later in itertools.pairwise(replaced_at)]
    return _figures(
        crowd,
        _title(forced_in_a_day, mode),
        appid,
        outcomes,
        {
            f"{FORCED_PER_DAY} forced refreshes a day, counted across workers": replaced
            == FORCED_PER_DAY,
            f"{FORCED_APART} s apart": min(apart) >= FORCED_APART,
            "WeChat never had to refuse one": not world.wechat.count(
                ENDPOINT[mode], appid=appid, errcode=45009
            ),
            "at most 2 tries and 2 token calls a request": all(
                outcome.tries <= 2 and outcome.token_calls <= 2 for outcome in outcomes
            ),
            "each request ends in an error that tells the operator what to do": all(
                outcome.error and outcome.remedy for outcome in outcomes
            ),
            "in the end it says that the forced refreshes are used up": any(
                "used up" in outcome.remedy for outcome in outcomes[-len(crowd.members) :]
            ),
            "and on the next day there is another": world.number(appid, "forced_count") == 1,
        },
        calls=calls_today,
        forced=forced_today,
    )


_TOKEN = frozenset(ENDPOINT.values())


def _title(case: Callable[..., Figures], mode: TokenMode, more: str = "") -> str:
    classic = ", in classic mode" if mode == "classic" else ""
    return f"{(case.__doc__ or '').rstrip('.')}{more}{classic}"


def _replaced(world: World, appid: str, mode: TokenMode) -> int:
    """Return how many tokens were killed for a new one; in classic mode each call after the first.

    A first request, whose token is made as any other, is not counted.
    """
    if mode == "stable":
        return world.wechat.forced_refreshes(appid)
    return world.token_calls(appid) - 1


def _slow(world: World, mode: TokenMode, *, times: int, seconds: float = CALL) -> None:
    world.wechat.faults.add(Fault(ENDPOINT[mode], "latency", times=times, seconds=seconds))


def _calls_expected(calls: int, skew: Skew) -> str:
    if skew is no_skew:
        return f"exactly {calls} token call{'s' if calls > 1 else ''} at WeChat"
    return f"{_most(calls, skew)} token calls at WeChat at most, though clocks differ"


def _most(calls: int, skew: Skew) -> int:
    return calls if skew is no_skew else calls * MOST_CALLS


def _others(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return those of the workers that did not renew."""
    return [outcome for outcome in outcomes if not outcome.token_calls]


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
    forced: int | None = None,
) -> Figures:
    world = crowd.world
    return Figures(
        title,
        len(outcomes),
        world.token_calls(appid) if calls is None else calls,
        world.wechat.forced_refreshes(appid) if forced is None else forced,
        tuple(outcome.waited for outcome in outcomes),
        dict(crowd.operations),
        expectations,
    )
