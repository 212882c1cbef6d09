"""Two hundred workers and one access_token, on a real DynamoDB engine: see `scenarios`."""

import pytest

from tests.races import scenarios
from tests.races.crowd import Crowd, Skew, half_a_minute_each_way, no_skew
from tests.races.scenarios import MOST_CALLS
from wechat_auth.settings import TokenMode

both_modes = pytest.mark.parametrize("mode", ["stable", "classic"])
right_and_wrong_clocks = pytest.mark.parametrize("skew", [no_skew, half_a_minute_each_way])
every_errcode = pytest.mark.parametrize("errcode", [40001, 40014, 42001])


@both_modes
def test_workers_that_start_together_make_one_token_call(crowd: Crowd, mode: TokenMode) -> None:
    figures = scenarios.cold(crowd, mode)
    assert figures.off == []
    assert (figures.workers, figures.token_calls) == (200, 1)


def test_merchants_workers_that_start_together_make_one_call_for_each_of_the_two_tokens(
    crowd: Crowd,
) -> None:
    figures = scenarios.cold_platform(crowd)
    assert figures.off == []
    assert (figures.workers, figures.token_calls) == (200, 2)


@both_modes
def test_clocks_a_minute_apart_cost_a_bounded_number_of_calls(
    crowd: Crowd, mode: TokenMode
) -> None:
    figures = scenarios.cold(crowd, mode, half_a_minute_each_way)
    assert figures.off == []
    assert figures.token_calls <= MOST_CALLS == 5


@both_modes
@right_and_wrong_clocks
def test_inside_the_window_one_renews_and_nobody_else_waits(
    crowd: Crowd, mode: TokenMode, skew: Skew
) -> None:
    figures = scenarios.renewal(crowd, mode, skew)
    assert figures.off == []
    assert figures.workers == 200


@both_modes
@every_errcode
def test_fifty_workers_notice_a_refused_token_at_once_and_one_renews(
    crowd: Crowd, mode: TokenMode, errcode: int
) -> None:
    figures = scenarios.rejected(crowd, mode, errcode=errcode)
    assert figures.off == []
    assert (figures.workers, figures.token_calls, figures.forced) == (50, 1, 0)


@every_errcode
def test_a_refused_token_that_wechat_hands_out_again_is_forced_once(
    crowd: Crowd, errcode: int
) -> None:
    figures = scenarios.rejected(crowd, errcode=errcode, sticky=True)
    assert figures.off == []
    assert (figures.workers, figures.token_calls, figures.forced) == (50, 2, 1)


@both_modes
@pytest.mark.parametrize("sticky", [False, True])
def test_clocks_a_minute_apart_do_not_keep_a_refused_token(
    crowd: Crowd, mode: TokenMode, sticky: bool
) -> None:
    assert scenarios.rejected(crowd, mode, half_a_minute_each_way, sticky=sticky).off == []
