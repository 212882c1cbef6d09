"""Two hundred workers and one access_token, on a real DynamoDB engine: see `scenarios`."""

import pytest

from tests.races import scenarios
from tests.races.crowd import Crowd, half_a_minute_each_way
from tests.races.scenarios import MOST_CALLS
from wechat_auth.settings import TokenMode

both_modes = pytest.mark.parametrize("mode", ["stable", "classic"])


class TestCold:
    @both_modes
    def test_two_hundred_workers_that_start_together_make_one_token_call(
        self, crowd: Crowd, mode: TokenMode
    ) -> None:
        figures = scenarios.cold(crowd, mode)
        assert figures.off == []
        assert (figures.workers, figures.token_calls) == (200, 1)

    def test_forty_processes_hold_them(self, crowd: Crowd) -> None:
        assert len(crowd.members) >= 32
        assert sum(member.threads for member in crowd.members) == 200

    @both_modes
    def test_clocks_a_minute_apart_cost_a_bounded_number_of_calls(
        self, crowd: Crowd, mode: TokenMode
    ) -> None:
        figures = scenarios.cold(crowd, mode, half_a_minute_each_way)
        assert figures.off == []
        assert figures.token_calls <= MOST_CALLS == 5


class TestRenewal:
    @both_modes
    def test_inside_the_window_one_renews_and_nobody_else_waits(
        self, crowd: Crowd, mode: TokenMode
    ) -> None:
        figures = scenarios.renewal(crowd, mode)
        assert figures.off == []
        assert (figures.workers, figures.token_calls) == (200, 1)

    @both_modes
    def test_clocks_a_minute_apart_break_nothing(self, crowd: Crowd, mode: TokenMode) -> None:
        assert scenarios.renewal(crowd, mode, half_a_minute_each_way).off == []


class TestHolder:
    @both_modes
    def test_killed_while_it_renews_delays_the_others_by_its_lease_and_no_more(
        self, crowd: Crowd, mode: TokenMode
    ) -> None:
        figures = scenarios.holder_killed(crowd, mode)
        assert figures.off == []
        assert figures.token_calls == 2

    @both_modes
    def test_frozen_past_its_lease_does_not_overwrite_the_newer_token(
        self, crowd: Crowd, mode: TokenMode
    ) -> None:
        figures = scenarios.holder_frozen(crowd, mode)
        assert figures.off == []
        assert figures.token_calls == 2

    def test_frozen_until_its_call_has_timed_out_goes_on_with_the_newer_token(
        self, crowd: Crowd
    ) -> None:
        assert scenarios.holder_frozen(crowd, frozen=5).off == []


class TestRejected:
    @both_modes
    @pytest.mark.parametrize("errcode", [40001, 40014, 42001])
    def test_fifty_workers_notice_at_once_and_one_renews(
        self, crowd: Crowd, mode: TokenMode, errcode: int
    ) -> None:
        figures = scenarios.rejected(crowd, mode, errcode=errcode)
        assert figures.off == []
        assert (figures.workers, figures.token_calls, figures.forced) == (50, 1, 0)

    @pytest.mark.parametrize("errcode", [40001, 40014, 42001])
    def test_where_wechat_hands_out_the_same_token_it_is_forced_once(
        self, crowd: Crowd, errcode: int
    ) -> None:
        figures = scenarios.rejected(crowd, errcode=errcode, sticky=True)
        assert figures.off == []
        assert (figures.workers, figures.token_calls, figures.forced) == (50, 2, 1)

    @both_modes
    @pytest.mark.parametrize("sticky", [False, True])
    def test_clocks_a_minute_apart_break_nothing(
        self, crowd: Crowd, mode: TokenMode, sticky: bool
    ) -> None:
        figures = scenarios.rejected(crowd, mode, half_a_minute_each_way, sticky=sticky)
        assert figures.off == []

    @both_modes
    def test_for_good_it_ends_in_an_error_and_heals_by_itself(
        self, crowd: Crowd, mode: TokenMode
    ) -> None:
        figures = scenarios.refused_for_good(crowd, mode)
        assert figures.off == []
        assert figures.token_calls == 2

    @both_modes
    def test_for_good_it_costs_twenty_forced_refreshes_a_day_thirty_seconds_apart(
        self, crowd: Crowd, mode: TokenMode
    ) -> None:
        assert scenarios.forced_in_a_day(crowd, mode).off == []
