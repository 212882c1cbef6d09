"""The access_token that every execution environment shares: memory, then table, then WeChat."""

import time
from collections.abc import Callable

import pytest
import time_machine

from local.simulated_wechat import App, Call, Fault, SimulatedWeChat
from tests.harness.deployment import Asked, Deployment
from wechat_auth.errors import (
    MISCONFIGURED,
    STORAGE_UNAVAILABLE,
    WECHAT_UNAVAILABLE,
    AuthError,
)
from wechat_auth.settings import TokenMode
from wechat_auth.tokens.access_tokens import FORCED_PER_DAY, AccessTokens
from wechat_auth.tokens.sources import app_secret_source
from wechat_auth.tokens.table import LEASE_SECONDS, TokenTable

Worker = Callable[..., AccessTokens]


@pytest.fixture
def worker(deployment: Deployment, clock: time_machine.Traveller) -> Worker:
    """Make workers, each with a memory of its own; when one would sleep, the clock moves."""

    def make(
        mode: TokenMode = "stable", sleep: Callable[[float], None] | None = None
    ) -> AccessTokens:
        backend = deployment.backend
        return AccessTokens(
            token_table(deployment),
            app_secret_source(mode, backend.wechat, backend.secrets),
            backend.secrets,
            sleep=sleep or clock.shift,
        )

    return make


def token_table(deployment: Deployment) -> TokenTable:
    """Return the table as a worker of its own sees it."""
    backend = deployment.backend
    table = backend.aws.table(backend.settings.access_tokens_table)
    return TokenTable(table, backend.secrets, clock=time.time)


@pytest.fixture
def appid(deployment: Deployment) -> str:
    return deployment.stack.appid


class TestMemoryThenTableThenWeChat:
    def test_the_first_worker_asks_wechat_and_the_others_read_the_table(
        self, worker: Worker, appid: str, asked: Asked, wechat: SimulatedWeChat
    ) -> None:
        first = worker().get(appid)
        assert wechat.accepts(first)
        assert [worker().get(appid) for _ in range(3)] == [first] * 3
        assert asked("getStableAccessToken") == 1

    def test_what_is_in_memory_costs_no_read(
        self, worker: Worker, appid: str, deployment: Deployment, clock: time_machine.Traveller
    ) -> None:
        tokens = worker()
        token = tokens.get(appid)
        deployment.operations.clear()
        clock.shift(7200 - 180 - 5)
        assert tokens.get(appid) == token
        assert deployment.operations == {}

    def test_a_read_from_the_table_is_one_read(
        self, worker: Worker, appid: str, deployment: Deployment
    ) -> None:
        worker().get(appid)
        deployment.operations.clear()
        worker().get(appid)
        assert deployment.operations == {"GetItem": 1}

    def test_the_table_holds_the_token_sealed_and_bound_to_its_app(
        self, worker: Worker, appid: str, deployment: Deployment
    ) -> None:
        token = worker().get(appid)
        (item,) = deployment.items("AccessTokens")
        assert token not in repr(item)
        assert set(item) == {
            "appid", "version", "lease_until", "expires_at",
            "sealed", "token_expires_at", "life", "renew_from",
        }  # fmt: skip
        other = App("wxfedcba9876543210", "0" * 32)
        deployment.serve_apps(*deployment.wechat.apps[:1], other)
        deployment.put("AccessTokens", item | {"appid": {"S": other.appid}})
        assert worker().get(other.appid) != token

    def test_the_item_outlives_its_token_by_two_days_for_what_it_counts(
        self, worker: Worker, appid: str, deployment: Deployment
    ) -> None:
        began = time.time()
        worker().get(appid)
        (item,) = deployment.items("AccessTokens")
        assert float(item["token_expires_at"]["N"]) == pytest.approx(began + 7200, abs=2)
        assert int(item["expires_at"]["N"]) == pytest.approx(began + 7200 + 2 * 86_400, abs=2)

    def test_an_item_past_its_time_is_not_used_though_it_is_still_there(
        self, worker: Worker, appid: str, clock: time_machine.Traveller, wechat: SimulatedWeChat
    ) -> None:
        dead = worker().get(appid)
        clock.shift(7200)
        renewed = worker().get(appid)
        assert renewed != dead
        assert wechat.accepts(renewed)

    def test_several_apps_do_not_touch_each_other(
        self, worker: Worker, deployment: Deployment, appid: str, asked: Asked
    ) -> None:
        other = App("wxfedcba9876543210", "0" * 32)
        deployment.serve_apps(*deployment.wechat.apps[:1], other)
        tokens = worker()
        ours, theirs = tokens.get(appid), tokens.get(other.appid)
        deployment.wechat.revoke_access_token(other.appid)
        assert tokens.get(other.appid, rejected=theirs) != theirs
        assert tokens.get(appid) == ours
        assert asked("getStableAccessToken") == 3


class TestRenewal:
    def test_inside_the_window_one_worker_renews_and_the_old_token_works_on(
        self,
        worker: Worker,
        appid: str,
        clock: time_machine.Traveller,
        asked: Asked,
        wechat: SimulatedWeChat,
    ) -> None:
        renewer, other = worker(), worker()
        old = renewer.get(appid)
        assert other.get(appid) == old
        clock.shift(7200 - 115)  # each worker looks at a moment of its own, 120 s before at latest
        new = renewer.get(appid)
        assert new != old
        assert wechat.accepts(old)
        assert wechat.accepts(new)
        assert other.get(appid) == new
        assert asked("getStableAccessToken") == 2

    def test_before_its_last_three_minutes_renewal_is_left_to_the_schedule(
        self, worker: Worker, appid: str, clock: time_machine.Traveller, asked: Asked
    ) -> None:
        old = worker().get(appid)
        clock.shift(7200 - 185)
        assert worker().get(appid) == old
        assert asked("getStableAccessToken") == 1

    def test_while_another_renews_nobody_waits(
        self,
        worker: Worker,
        appid: str,
        clock: time_machine.Traveller,
        deployment: Deployment,
        asked: Asked,
    ) -> None:
        old = worker().get(appid)
        clock.shift(7200 - 100)
        lease(deployment, until=time.time() + LEASE_SECONDS)
        assert worker(sleep=never).get(appid) == old
        assert asked("getStableAccessToken") == 1

    def test_a_token_with_little_life_left_is_renewed_in_the_last_half_of_that(
        self,
        worker: Worker,
        appid: str,
        clock: time_machine.Traveller,
        deployment: Deployment,
        asked: Asked,
    ) -> None:
        token = worker().get(appid)
        clock.shift(7200 - 400)
        deployment.clear("AccessTokens")
        assert worker().get(appid) == token  # as WeChat hands it out, with 400 s to live
        clock.shift(275)  # 180 s of 300 are 120 s of the 200 that are half its life
        assert worker().get(appid) == token
        clock.shift(10)
        assert worker().get(appid) != token
        assert asked("getStableAccessToken") == 3

    def test_where_wechat_hands_out_the_same_token_inside_the_window_it_is_left_in_peace(
        self,
        worker: Worker,
        appid: str,
        clock: time_machine.Traveller,
        wechat: SimulatedWeChat,
        asked: Asked,
    ) -> None:
        old = worker().get(appid)
        wechat.clock.advance(-150)  # its clock is behind ours
        try:
            clock.shift(7200 - 170)
            assert [worker().get(appid) for _ in range(5)] == [old] * 5
            assert asked("getStableAccessToken") == 2
            clock.shift(230)
            assert worker().get(appid) != old
            assert asked("getStableAccessToken") == 3
        finally:
            wechat.clock.advance(150)

    def test_wechat_down_in_the_window_is_not_felt_until_the_token_dies(
        self,
        worker: Worker,
        appid: str,
        clock: time_machine.Traveller,
        wechat: SimulatedWeChat,
    ) -> None:
        tokens = worker()
        old = tokens.get(appid)
        wechat.faults.add(Fault("getStableAccessToken", "status", times=None))
        clock.shift(7200 - 150)
        assert tokens.get(appid) == old
        assert worker().get(appid) == old
        clock.shift(150)
        for each in (tokens, worker()):
            with pytest.raises(AuthError) as caught:
                each.get(appid)
            assert (caught.value.problem, caught.value.retry_after) == (WECHAT_UNAVAILABLE, 2)
        wechat.faults.clear()
        healed = tokens.get(appid)
        assert healed != old
        assert worker().get(appid) == healed

    def test_the_schedule_renews_only_inside_the_window(
        self,
        deployment: Deployment,
        appid: str,
        clock: time_machine.Traveller,
        asked: Asked,
    ) -> None:
        def outcome() -> str:
            answer: dict[str, str] = deployment.stack.invoke("refresh_access_token", {})
            return answer[appid]

        assert outcome() == "renewed"
        assert outcome() == "fresh"
        clock.shift(7200 - 310)
        assert outcome() == "fresh"
        clock.shift(30)
        assert outcome() == "renewed"
        assert outcome() == "fresh"
        assert asked("getStableAccessToken") == 2

    def test_the_schedule_leaves_a_renewal_to_whoever_holds_the_lease(
        self, worker: Worker, appid: str, clock: time_machine.Traveller, deployment: Deployment
    ) -> None:
        worker().get(appid)
        clock.shift(7200 - 100)
        lease(deployment, until=time.time() + LEASE_SECONDS)
        assert worker().renew(appid) is False

    def test_the_schedule_tells_what_it_met_and_goes_on_with_the_next_app(
        self, deployment: Deployment, appid: str
    ) -> None:
        other = App("wxfedcba9876543210", "0" * 32, ip_whitelist=("198.51.100.7",))
        deployment.serve_apps(other, *deployment.wechat.apps[:1])
        answer = deployment.stack.invoke("refresh_access_token", {})
        assert answer == {other.appid: "misconfigured", appid: "renewed"}
        deployment.fail("GetItem")
        answer = deployment.stack.invoke("refresh_access_token", {})
        assert answer == {other.appid: "storage_unavailable", appid: "storage_unavailable"}


class TestLease:
    def test_a_worker_without_a_token_waits_for_the_one_who_renews(
        self, worker: Worker, appid: str, deployment: Deployment, asked: Asked
    ) -> None:
        renewer = worker()
        slept: list[float] = []

        def meanwhile(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                lease(deployment, until=0)
                renewer.get(appid)

        lease(deployment, until=time.time() + LEASE_SECONDS)
        token = worker(sleep=meanwhile).get(appid)
        assert token == renewer.get(appid)
        assert len(slept) == 3
        assert all(0.05 <= seconds <= 0.6 for seconds in slept)
        assert asked("getStableAccessToken") == 1

    def test_waiting_ends_after_eight_seconds(
        self, worker: Worker, appid: str, deployment: Deployment, asked: Asked
    ) -> None:
        lease(deployment, until=time.time() + LEASE_SECONDS)
        began = time.time()
        with pytest.raises(AuthError) as caught:
            worker().get(appid)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert caught.value.detail == "No access_token came in time: try again."
        assert 8 <= time.time() - began < 9
        assert asked("getStableAccessToken") == 0

    def test_a_holder_that_died_delays_renewal_by_its_lease_and_no_more(
        self,
        worker: Worker,
        appid: str,
        deployment: Deployment,
        clock: time_machine.Traveller,
        asked: Asked,
    ) -> None:
        lease(deployment, until=time.time() + LEASE_SECONDS)
        clock.shift(LEASE_SECONDS - 4)
        began = time.time()
        assert worker().get(appid)
        assert 3 < time.time() - began < 5
        assert asked("getStableAccessToken") == 1

    @pytest.mark.parametrize("mode", ["stable", "classic"])
    def test_a_holder_frozen_past_its_lease_does_not_overwrite_the_newer_token(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
        mode: TokenMode,
    ) -> None:
        frozen, other = worker(mode), worker(mode)
        newer: list[str] = []

        def freeze(call: Call) -> None:
            """Run while the answer is on its way to the one that is frozen."""
            if not newer:
                wechat.on_call = None
                clock.shift(LEASE_SECONDS + 1)
                newer.append(other.get(appid))

        wechat.on_call = freeze
        assert frozen.get(appid) == newer[0]
        assert worker(mode).get(appid) == newer[0]
        assert wechat.accepts(newer[0])

    def test_a_lease_is_taken_by_one_though_both_read_the_same_row(
        self, deployment: Deployment, appid: str
    ) -> None:
        first, second = token_table(deployment), token_table(deployment)
        row = first.read(appid)
        assert first.take_lease(appid, row)
        assert second.take_lease(appid, second.read(appid)) is None
        assert second.take_lease(appid, row) is None


class TestFailure:
    def test_after_a_failure_the_next_worker_pauses_a_second_and_then_asks(
        self, worker: Worker, appid: str, wechat: SimulatedWeChat, asked: Asked
    ) -> None:
        wechat.faults.add(Fault("getStableAccessToken", "errcode", errcode=-1))
        with pytest.raises(AuthError):
            worker().get(appid)
        began = time.time()
        assert worker().get(appid)
        assert 0.5 < time.time() - began < 1.6
        assert asked("getStableAccessToken") == 2

    def test_a_crowd_asks_once_a_second_while_wechat_is_down(
        self, worker: Worker, appid: str, wechat: SimulatedWeChat, asked: Asked
    ) -> None:
        wechat.faults.add(Fault("getStableAccessToken", "drop_before", times=None))
        began = time.time()
        for _ in range(10):
            with pytest.raises(AuthError) as caught:
                worker().get(appid)
            assert caught.value.problem is WECHAT_UNAVAILABLE
        assert asked("getStableAccessToken") <= time.time() - began + 1

    @pytest.mark.parametrize(
        ("errcode", "problem"), [(0, WECHAT_UNAVAILABLE), (40164, MISCONFIGURED)]
    )
    def test_those_who_waited_are_told_what_the_renewal_ended_in(
        self,
        worker: Worker,
        appid: str,
        deployment: Deployment,
        asked: Asked,
        errcode: int,
        problem: object,
    ) -> None:
        def meanwhile(_: float) -> None:
            failed = {"failed_version": {"N": "1"}, "failed_errcode": {"N": str(errcode)}}
            lease(deployment, until=time.time() + 1, **failed)

        lease(deployment, until=time.time() + LEASE_SECONDS)
        with pytest.raises(AuthError) as caught:
            worker(sleep=meanwhile).get(appid)
        assert caught.value.problem is problem
        assert asked("getStableAccessToken") == 0

    def test_a_wrong_app_secret_heals_within_a_minute_of_its_mending(
        self,
        worker: Worker,
        appid: str,
        deployment: Deployment,
        clock: time_machine.Traveller,
        wechat: SimulatedWeChat,
    ) -> None:
        right = deployment.secret("AppSecrets")
        deployment.put_secret("AppSecrets", {appid: "f" * 32})
        tokens = worker()
        with pytest.raises(AuthError) as caught:
            tokens.get(appid)
        assert caught.value.problem is MISCONFIGURED
        deployment.put_secret("AppSecrets", right)
        clock.shift(61)
        assert wechat.accepts(tokens.get(appid))

    def test_secrets_manager_being_down_gives_the_lease_back(
        self, worker: Worker, appid: str, deployment: Deployment
    ) -> None:
        deployment.backend.secrets.key_ring()
        deployment.fail("GetSecretValue")
        with pytest.raises(AuthError) as caught:
            worker().get(appid)
        assert caught.value.problem is STORAGE_UNAVAILABLE
        deployment.heal()
        began = time.time()
        assert worker().get(appid)
        assert time.time() - began < 2


class TestStorageDown:
    def test_a_living_token_in_memory_is_used_on(
        self, worker: Worker, appid: str, deployment: Deployment, clock: time_machine.Traveller
    ) -> None:
        tokens = worker()
        token = tokens.get(appid)
        deployment.fail("GetItem")
        clock.shift(7200 - 100)
        assert tokens.get(appid) == token
        deployment.operations.clear()
        assert tokens.get(appid) == token
        assert deployment.operations == {}  # it looks again only some seconds later

    @pytest.mark.parametrize("code", ["InternalServerError", "ThrottlingException"])
    @pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
    def test_without_one_storage_is_unavailable_and_wechat_is_not_asked(
        self,
        worker: Worker,
        appid: str,
        deployment: Deployment,
        asked: Asked,
        operation: str,
        code: str,
    ) -> None:
        deployment.fail(operation, code)
        began = time.time()
        with pytest.raises(AuthError) as caught:
            worker().get(appid)
        assert time.time() - began < 9
        assert (caught.value.problem, caught.value.retry_after) == (STORAGE_UNAVAILABLE, 1)
        assert asked("getStableAccessToken") == 0

    def test_a_throttled_table_is_asked_again(
        self, worker: Worker, appid: str, deployment: Deployment, asked: Asked
    ) -> None:
        token = worker().get(appid)
        deployment.fail("GetItem", "ThrottlingException", times=6)
        assert worker().get(appid) == token
        assert asked("getStableAccessToken") == 1

    def test_a_dead_token_in_memory_is_no_help(
        self, worker: Worker, appid: str, deployment: Deployment, clock: time_machine.Traveller
    ) -> None:
        tokens = worker()
        tokens.get(appid)
        deployment.fail("GetItem")
        clock.shift(7200)
        with pytest.raises(AuthError) as caught:
            tokens.get(appid)
        assert caught.value.problem is STORAGE_UNAVAILABLE

    def test_a_rejected_token_in_memory_is_no_help(
        self, worker: Worker, appid: str, deployment: Deployment
    ) -> None:
        tokens = worker()
        token = tokens.get(appid)
        deployment.fail("GetItem")
        with pytest.raises(AuthError) as caught:
            tokens.get(appid, rejected=token)
        assert caught.value.problem is STORAGE_UNAVAILABLE

    def test_a_token_that_cannot_be_written_still_serves(
        self, worker: Worker, appid: str, deployment: Deployment, wechat: SimulatedWeChat
    ) -> None:
        wechat.on_call = lambda _: deployment.fail("UpdateItem")
        token = worker().get(appid)
        assert wechat.accepts(token)
        assert "sealed" not in deployment.items("AccessTokens")[0]

    def test_a_lease_that_cannot_be_given_back_runs_out(
        self,
        worker: Worker,
        appid: str,
        deployment: Deployment,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
    ) -> None:
        wechat.on_call = lambda _: deployment.fail("UpdateItem")
        wechat.faults.add(Fault("getStableAccessToken", "status"))
        with pytest.raises(AuthError) as caught:
            worker().get(appid)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        wechat.on_call = None
        deployment.heal()
        clock.shift(LEASE_SECONDS)
        assert wechat.accepts(worker().get(appid))


class TestRejected:
    @pytest.mark.parametrize("errcode", [40001, 40014, 42001])
    def test_a_rejected_token_is_renewed_once(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        asked: Asked,
        errcode: int,
    ) -> None:
        tokens = worker()
        old = tokens.get(appid)
        wechat.revoke_access_token(appid, errcode=errcode)
        new = tokens.get(appid, rejected=old)
        assert not wechat.accepts(old)
        assert wechat.accepts(new)
        assert asked("getStableAccessToken") == 2

    def test_a_token_that_another_worker_renewed_already_is_read_and_not_renewed(
        self, worker: Worker, appid: str, wechat: SimulatedWeChat, asked: Asked
    ) -> None:
        workers = [worker() for _ in range(5)]
        old = workers[0].get(appid)
        assert [each.get(appid) for each in workers] == [old] * 5
        wechat.revoke_access_token(appid)
        new = {each.get(appid, rejected=old) for each in workers}
        assert len(new) == 1
        assert old not in new
        assert asked("getStableAccessToken") == 2

    def test_where_normal_mode_gives_the_same_token_it_is_forced(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        asked: Asked,
        deployment: Deployment,
        clock: time_machine.Traveller,
    ) -> None:
        tokens = worker()
        old = tokens.get(appid)
        clock.shift(20)
        wechat.revoke_access_token(appid, sticky=True)
        new = tokens.get(appid, rejected=old)
        assert wechat.accepts(new)
        assert asked("getStableAccessToken") == 3
        (item,) = deployment.items("AccessTokens")
        assert item["forced_count"] == {"N": "1"}
        assert item["forced_day"] == {"S": time.strftime("%Y-%m-%d", time.gmtime())}
        assert float(item["forced_at"]["N"]) == pytest.approx(time.time(), abs=2)

    def test_a_token_that_was_got_only_just_is_forced_at_once(
        self, worker: Worker, appid: str, wechat: SimulatedWeChat, asked: Asked
    ) -> None:
        tokens = worker()
        old = tokens.get(appid)
        wechat.revoke_access_token(appid, sticky=True)
        assert wechat.accepts(tokens.get(appid, rejected=old))
        assert asked("getStableAccessToken") == 2

    def test_two_forced_refreshes_are_thirty_seconds_apart(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
        asked: Asked,
    ) -> None:
        tokens = worker()
        first = tokens.get(appid)
        wechat.revoke_access_token(appid, sticky=True)
        second = tokens.get(appid, rejected=first)
        wechat.revoke_access_token(appid, sticky=True)
        clock.shift(20)
        before = asked("getStableAccessToken")
        with pytest.raises(AuthError) as caught:
            worker().get(appid, rejected=second)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert caught.value.retry_after in {10, 11}
        assert (caught.value.remedy or "").startswith("WeChat refuses the access_token just after")
        assert asked("getStableAccessToken") == before + 1
        clock.shift(11)
        assert wechat.accepts(worker().get(appid, rejected=second))

    def test_the_twenty_first_forced_refresh_waits_for_wechats_next_day(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
        asked: Asked,
    ) -> None:
        token = worker().get(appid)
        for _ in range(FORCED_PER_DAY):
            clock.shift(31)
            wechat.revoke_access_token(appid, sticky=True)
            token = worker().get(appid, rejected=token)
        clock.shift(31)
        wechat.revoke_access_token(appid, sticky=True)
        with pytest.raises(AuthError) as caught:
            worker().get(appid, rejected=token)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert "the forced refreshes of today are used up" in (caught.value.remedy or "")
        assert asked("getStableAccessToken") == 1 + 2 * FORCED_PER_DAY + 1
        clock.shift(4 * 3600)  # from 20:10 in Beijing past its midnight
        wechat.revoke_access_token(appid, sticky=True)
        assert wechat.accepts(worker().get(appid))

    def test_a_forced_refresh_that_fails_is_counted_all_the_same(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        deployment: Deployment,
        clock: time_machine.Traveller,
    ) -> None:
        tokens = worker()
        old = tokens.get(appid)
        clock.shift(20)
        wechat.revoke_access_token(appid, sticky=True)
        answered: list[int | None] = []

        def fail_the_second(call: Call) -> None:
            answered.append(call.errcode)
            wechat.faults.add(Fault("getStableAccessToken", "drop_after"))

        wechat.on_call = fail_the_second
        with pytest.raises(AuthError) as caught:
            tokens.get(appid, rejected=old)
        wechat.on_call = None
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert answered == [0, None]
        (item,) = deployment.items("AccessTokens")
        assert item["forced_count"] == {"N": "1"}
        wechat.faults.clear()
        assert wechat.accepts(tokens.get(appid, rejected=old))

    def test_where_another_server_forced_just_before_wechat_ignores_ours_and_the_operator_is_told(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        deployment: Deployment,
        clock: time_machine.Traveller,
        asked: Asked,
    ) -> None:
        secret = wechat.apps[0].secret
        forced = deployment.backend.wechat.stable_access_token(appid, secret, force=True).token
        tokens = worker()
        assert tokens.get(appid) == forced
        clock.shift(20)
        wechat.revoke_access_token(appid, sticky=True)
        with pytest.raises(AuthError) as caught:
            tokens.get(appid, rejected=forced)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert (caught.value.remedy or "").endswith("hands it out again even when forced")
        assert asked("getStableAccessToken") == 4

    def test_a_holder_frozen_before_it_forces_leaves_it_to_the_others(
        self,
        worker: Worker,
        appid: str,
        wechat: SimulatedWeChat,
        deployment: Deployment,
        clock: time_machine.Traveller,
    ) -> None:
        tokens = worker()
        old = tokens.get(appid)
        clock.shift(20)
        wechat.revoke_access_token(appid, sticky=True)

        def freeze(_: Call) -> None:
            wechat.on_call = None
            lease(deployment, until=time.time() + LEASE_SECONDS, lease_owner={"S": "another"})

        wechat.on_call = freeze
        with pytest.raises(AuthError) as caught:
            tokens.get(appid, rejected=old)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert "forced_count" not in deployment.items("AccessTokens")[0]


class TestClassicMode:
    def test_tokens_come_from_get_access_token_and_are_shared(
        self, worker: Worker, appid: str, asked: Asked, wechat: SimulatedWeChat
    ) -> None:
        token = worker("classic").get(appid)
        assert worker("classic").get(appid) == token
        assert wechat.accepts(token)
        assert (asked("getAccessToken"), asked("getStableAccessToken")) == (1, 0)

    def test_to_replace_a_rejected_token_counts_as_forced(
        self,
        worker: Worker,
        appid: str,
        asked: Asked,
        wechat: SimulatedWeChat,
        deployment: Deployment,
    ) -> None:
        tokens = worker("classic")
        old = tokens.get(appid)
        wechat.revoke_access_token(appid, sticky=True)
        assert wechat.accepts(tokens.get(appid, rejected=old))
        assert asked("getAccessToken") == 2
        assert deployment.items("AccessTokens")[0]["forced_count"] == {"N": "1"}

    def test_the_setting_chooses_it(self, deployment: Deployment, appid: str, asked: Asked) -> None:
        deployment.configure(ACCESS_TOKEN_MODE="classic")
        assert deployment.backend.access_tokens.get(appid)
        assert asked("getAccessToken") == 1


class TestKeyRing:
    def test_a_worker_with_the_old_ring_reads_it_again_when_it_meets_the_new_key(
        self,
        worker: Worker,
        appid: str,
        deployment: Deployment,
        clock: time_machine.Traveller,
        asked: Asked,
    ) -> None:
        old_ring = worker()
        deployment.backend.secrets.key_ring()
        deployment.put_secret("KeyRing", {"current": "k2", "k1": "k1" * 32, "k2": "k2" * 32})
        deployment.cold_start()
        token = deployment.backend.access_tokens.get(appid)
        clock.shift(61)
        assert old_ring.get(appid) == token
        assert asked("getStableAccessToken") == 1

    def test_a_token_under_a_key_that_is_gone_is_as_good_as_absent(
        self,
        worker: Worker,
        appid: str,
        deployment: Deployment,
        wechat: SimulatedWeChat,
        asked: Asked,
    ) -> None:
        worker().get(appid)
        deployment.put_secret("KeyRing", {"current": "k9", "k9": "k9" * 32})
        deployment.cold_start()
        assert wechat.accepts(deployment.backend.access_tokens.get(appid))
        assert asked("getStableAccessToken") == 2


def lease(deployment: Deployment, *, until: float, **more: dict[str, str]) -> None:
    """Let another worker hold the lease on the app's item until then."""
    (item,) = deployment.items("AccessTokens") or [{"appid": {"S": deployment.stack.appid}}]
    version = int(item.get("version", {"N": "0"})["N"])
    deployment.put(
        "AccessTokens",
        item
        | {"lease_until": {"N": f"{until:.3f}"}, "version": {"N": str(max(version, 1))}}
        | more,
    )


def never(_: float) -> None:
    raise AssertionError("nobody waits")
