"""The access_token that every execution environment shares: memory, then table, then WeChat."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import time_machine

from local import APPID
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


@dataclass(frozen=True, slots=True)
class Scene:
    """Workers, what they share, and what can happen to it."""

    deployment: Deployment
    clock: time_machine.Traveller
    asked: Asked

    def worker(
        self,
        mode: TokenMode = "stable",
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> AccessTokens:
        """Make one with a memory of its own; when it would sleep, the clock moves."""
        backend = self.deployment.backend
        source = app_secret_source(mode, backend.wechat, backend.secrets)
        return AccessTokens(
            *(self.table(), lambda _: source, backend.secrets),
            sleep=sleep or self.clock.shift,
            clock=clock,
        )

    def table(self) -> TokenTable:
        """Return the table as a worker of its own sees it."""
        backend = self.deployment.backend
        table = backend.aws.table(backend.settings.access_tokens_table)
        return TokenTable(table, backend.secrets, clock=time.time)

    @property
    def wechat(self) -> SimulatedWeChat:
        return self.deployment.wechat

    @property
    def token_calls(self) -> int:
        """How often WeChat was asked for a token in stable mode."""
        return self.asked("getStableAccessToken")

    def lease(self, *, until: float, **more: dict[str, str]) -> None:
        """Let another worker hold the lease on the app's item until then."""
        (item,) = self.deployment.items("AccessTokens") or [{"appid": {"S": APPID}}]
        version = max(int(item.get("version", {"N": "0"})["N"]), 1)
        held = {"lease_until": {"N": f"{until:.3f}"}, "version": {"N": str(version)}}
        self.deployment.put("AccessTokens", item | held | more)


@pytest.fixture
def scene(deployment: Deployment, clock: time_machine.Traveller, asked: Asked) -> Scene:
    return Scene(deployment, clock, asked)


class TestMemoryThenTableThenWeChat:
    def test_the_first_worker_asks_wechat_and_the_others_read_the_table(self, scene: Scene) -> None:
        first = scene.worker().get(APPID)
        assert scene.wechat.accepts(first)
        assert [scene.worker().get(APPID) for _ in range(3)] == [first] * 3
        assert scene.token_calls == 1

    def test_what_is_in_memory_costs_no_read(self, scene: Scene) -> None:
        tokens = scene.worker()
        token = tokens.get(APPID)
        scene.deployment.operations.clear()
        scene.clock.shift(7200 - 180 - 5)
        assert tokens.get(APPID) == token
        assert scene.deployment.operations == {}

    def test_a_read_from_the_table_is_one_read(self, scene: Scene) -> None:
        scene.worker().get(APPID)
        scene.deployment.operations.clear()
        scene.worker().get(APPID)
        assert scene.deployment.operations == {"GetItem": 1}

    def test_the_table_holds_the_token_sealed_and_bound_to_its_app(self, scene: Scene) -> None:
        token = scene.worker().get(APPID)
        (item,) = scene.deployment.items("AccessTokens")
        assert token not in repr(item)
        assert set(item) == {
            "appid", "version", "lease_until", "expires_at",
            "sealed", "token_expires_at", "life", "renew_from",
        }  # fmt: skip
        other = App("wxfedcba9876543210", "0" * 32)
        scene.deployment.serve_apps(*scene.wechat.apps[:1], other)
        scene.deployment.put("AccessTokens", item | {"appid": {"S": other.appid}})
        assert scene.worker().get(other.appid) != token

    def test_the_item_outlives_its_token_by_two_days_for_what_it_counts(self, scene: Scene) -> None:
        began = time.time()
        scene.worker().get(APPID)
        (item,) = scene.deployment.items("AccessTokens")
        assert float(item["token_expires_at"]["N"]) == pytest.approx(began + 7200, abs=2)
        assert int(item["expires_at"]["N"]) == pytest.approx(began + 7200 + 2 * 86_400, abs=2)

    def test_an_item_past_its_time_is_not_used_though_it_is_still_there(self, scene: Scene) -> None:
        dead = scene.worker().get(APPID)
        scene.clock.shift(7200)
        renewed = scene.worker().get(APPID)
        assert renewed != dead
        assert scene.wechat.accepts(renewed)

    def test_several_apps_do_not_touch_each_other(self, scene: Scene) -> None:
        other = App("wxfedcba9876543210", "0" * 32)
        scene.deployment.serve_apps(*scene.wechat.apps[:1], other)
        tokens = scene.worker()
        ours, theirs = tokens.get(APPID), tokens.get(other.appid)
        scene.wechat.revoke_access_token(other.appid)
        assert tokens.get(other.appid, rejected=theirs) != theirs
        assert tokens.get(APPID) == ours
        assert scene.token_calls == 3


class TestRenewal:
    def test_inside_the_window_one_worker_renews_and_the_old_token_works_on(
        self, scene: Scene
    ) -> None:
        renewer, other = scene.worker(), scene.worker()
        old = renewer.get(APPID)
        assert other.get(APPID) == old
        scene.clock.shift(7200 - 115)  # each looks at a moment of its own, 120 s before at latest
        new = renewer.get(APPID)
        assert new != old
        assert scene.wechat.accepts(old)
        assert scene.wechat.accepts(new)
        assert other.get(APPID) == new
        assert scene.token_calls == 2

    def test_before_its_last_three_minutes_renewal_is_left_to_the_schedule(
        self, scene: Scene
    ) -> None:
        old = scene.worker().get(APPID)
        scene.clock.shift(7200 - 185)
        assert scene.worker().get(APPID) == old
        assert scene.token_calls == 1

    def test_while_another_renews_nobody_waits(self, scene: Scene) -> None:
        old = scene.worker().get(APPID)
        scene.clock.shift(7200 - 100)
        scene.lease(until=time.time() + LEASE_SECONDS)
        assert scene.worker(sleep=never).get(APPID) == old
        assert scene.token_calls == 1

    def test_a_token_with_little_life_left_is_renewed_in_the_last_half_of_that(
        self, scene: Scene
    ) -> None:
        token = scene.worker().get(APPID)
        scene.clock.shift(7200 - 400)
        scene.deployment.clear("AccessTokens")
        assert scene.worker().get(APPID) == token  # as WeChat hands it out, with 400 s to live
        scene.clock.shift(275)  # 180 s of 300 are 120 s of the 200 that are half its life
        assert scene.worker().get(APPID) == token
        scene.clock.shift(10)
        assert scene.worker().get(APPID) != token
        assert scene.token_calls == 3

    def test_where_wechat_hands_out_the_same_token_inside_the_window_it_is_left_in_peace(
        self, scene: Scene
    ) -> None:
        old = scene.worker().get(APPID)
        scene.wechat.clock.advance(-150)  # its clock is behind ours
        try:
            scene.clock.shift(7200 - 170)
            assert [scene.worker().get(APPID) for _ in range(5)] == [old] * 5
            assert scene.token_calls == 2
            scene.clock.shift(230)
            assert scene.worker().get(APPID) != old
            assert scene.token_calls == 3
        finally:
            scene.wechat.clock.advance(150)

    def test_wechat_down_in_the_window_is_not_felt_until_the_token_dies(self, scene: Scene) -> None:
        tokens = scene.worker()
        old = tokens.get(APPID)
        scene.wechat.faults.add(Fault("getStableAccessToken", "status", times=None))
        scene.clock.shift(7200 - 150)
        assert tokens.get(APPID) == old
        assert scene.worker().get(APPID) == old
        scene.clock.shift(150)
        for each in (tokens, scene.worker()):
            with pytest.raises(AuthError) as caught:
                each.get(APPID)
            assert (caught.value.problem, caught.value.retry_after) == (WECHAT_UNAVAILABLE, 2)
        scene.wechat.faults.clear()
        healed = tokens.get(APPID)
        assert healed != old
        assert scene.worker().get(APPID) == healed

    def test_the_schedule_renews_only_inside_the_window(self, scene: Scene) -> None:
        def outcome() -> str:
            answer: dict[str, str] = scene.deployment.stack.invoke("refresh_access_token", {})
            return answer[APPID]

        assert outcome() == "renewed"
        assert outcome() == "fresh"
        scene.clock.shift(7200 - 310)
        assert outcome() == "fresh"
        scene.clock.shift(30)
        assert outcome() == "renewed"
        assert outcome() == "fresh"
        assert scene.token_calls == 2

    def test_the_schedule_leaves_a_renewal_to_whoever_holds_the_lease(self, scene: Scene) -> None:
        scene.worker().get(APPID)
        scene.clock.shift(7200 - 100)
        scene.lease(until=time.time() + LEASE_SECONDS)
        assert scene.worker().renew(APPID) is False

    def test_the_schedule_tells_what_it_met_and_goes_on_with_the_next_app(
        self, scene: Scene
    ) -> None:
        other = App("wxfedcba9876543210", "0" * 32, ip_whitelist=("198.51.100.7",))
        scene.deployment.serve_apps(other, *scene.wechat.apps[:1])
        answer = scene.deployment.stack.invoke("refresh_access_token", {})
        assert answer == {other.appid: "misconfigured", APPID: "renewed"}
        scene.deployment.fail("GetItem")
        answer = scene.deployment.stack.invoke("refresh_access_token", {})
        assert answer == {other.appid: "storage_unavailable", APPID: "storage_unavailable"}


class TestLease:
    def test_a_worker_without_a_token_waits_for_the_one_who_renews(self, scene: Scene) -> None:
        renewer = scene.worker()
        slept: list[float] = []

        def meanwhile(seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 3:
                scene.lease(until=0)
                renewer.get(APPID)

        scene.lease(until=time.time() + LEASE_SECONDS)
        token = scene.worker(sleep=meanwhile).get(APPID)
        assert token == renewer.get(APPID)
        assert len(slept) == 3
        assert all(0.05 <= seconds <= 0.6 for seconds in slept)
        assert scene.token_calls == 1

    def test_waiting_ends_after_eight_seconds(self, scene: Scene) -> None:
        scene.lease(until=time.time() + LEASE_SECONDS)
        began = time.time()
        with pytest.raises(AuthError) as caught:
            scene.worker().get(APPID)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert caught.value.detail == "No access_token came in time: try again."
        assert 8 <= time.time() - began < 9
        assert scene.token_calls == 0

    def test_a_holder_that_died_delays_renewal_by_its_lease_and_no_more(self, scene: Scene) -> None:
        scene.lease(until=time.time() + LEASE_SECONDS)
        scene.clock.shift(LEASE_SECONDS - 4)
        began = time.time()
        assert scene.worker().get(APPID)
        assert 3 < time.time() - began < 5
        assert scene.token_calls == 1

    @pytest.mark.parametrize("mode", ["stable", "classic"])
    def test_a_holder_frozen_past_its_lease_does_not_overwrite_the_newer_token(
        self, scene: Scene, mode: TokenMode
    ) -> None:
        frozen, other = scene.worker(mode), scene.worker(mode)
        newer: list[str] = []

        def freeze(call: Call) -> None:
            """Run while the answer is on its way to the one that is frozen."""
            if not newer:
                scene.wechat.on_call = None
                scene.clock.shift(LEASE_SECONDS + 1)
                newer.append(other.get(APPID))

        scene.wechat.on_call = freeze
        assert frozen.get(APPID) == newer[0]
        assert scene.worker(mode).get(APPID) == newer[0]
        assert scene.wechat.accepts(newer[0])

    def test_a_lease_is_taken_by_one_though_both_read_the_same_row(self, scene: Scene) -> None:
        first, second = scene.table(), scene.table()
        row = first.read(APPID)
        assert first.take_lease(APPID, row)
        assert second.take_lease(APPID, second.read(APPID)) is None
        assert second.take_lease(APPID, row) is None


class TestFailure:
    def test_after_a_failure_the_next_worker_pauses_a_second_and_then_asks(
        self, scene: Scene
    ) -> None:
        scene.wechat.faults.add(Fault("getStableAccessToken", "errcode", errcode=-1))
        with pytest.raises(AuthError):
            scene.worker().get(APPID)
        began = time.time()
        assert scene.worker().get(APPID)
        assert 0.5 < time.time() - began < 1.6
        assert scene.token_calls == 2

    def test_a_crowd_asks_once_a_second_while_wechat_is_down(self, scene: Scene) -> None:
        scene.wechat.faults.add(Fault("getStableAccessToken", "drop_before", times=None))
        began = time.time()
        for _ in range(10):
            with pytest.raises(AuthError) as caught:
                scene.worker().get(APPID)
            assert caught.value.problem is WECHAT_UNAVAILABLE
        assert scene.token_calls <= time.time() - began + 1

    @pytest.mark.parametrize(
        ("errcode", "problem"), [(0, WECHAT_UNAVAILABLE), (40164, MISCONFIGURED)]
    )
    def test_those_who_waited_are_told_what_the_renewal_ended_in(
        self, scene: Scene, errcode: int, problem: object
    ) -> None:
        def meanwhile(_: float) -> None:
            failed = {"failed_version": {"N": "1"}, "failed_errcode": {"N": str(errcode)}}
            scene.lease(until=time.time() + 1, **failed)

        scene.lease(until=time.time() + LEASE_SECONDS)
        with pytest.raises(AuthError) as caught:
            scene.worker(sleep=meanwhile).get(APPID)
        assert caught.value.problem is problem
        assert scene.token_calls == 0

    def test_a_wrong_app_secret_heals_within_a_minute_of_its_mending(self, scene: Scene) -> None:
        right = scene.deployment.secret("AppSecrets")
        scene.deployment.put_secret("AppSecrets", {APPID: "f" * 32})
        tokens = scene.worker()
        with pytest.raises(AuthError) as caught:
            tokens.get(APPID)
        assert caught.value.problem is MISCONFIGURED
        scene.deployment.put_secret("AppSecrets", right)
        scene.clock.shift(61)
        assert scene.wechat.accepts(tokens.get(APPID))

    def test_secrets_manager_being_down_gives_the_lease_back(self, scene: Scene) -> None:
        scene.deployment.backend.secrets.key_ring()
        scene.deployment.fail("GetSecretValue")
        with pytest.raises(AuthError) as caught:
            scene.worker().get(APPID)
        assert caught.value.problem is STORAGE_UNAVAILABLE
        scene.deployment.heal()
        began = time.time()
        assert scene.worker().get(APPID)
        assert time.time() - began < 2


class TestStorageDown:
    def test_a_living_token_in_memory_is_used_on(self, scene: Scene) -> None:
        tokens = scene.worker()
        token = tokens.get(APPID)
        scene.deployment.fail("GetItem")
        scene.clock.shift(7200 - 100)
        assert tokens.get(APPID) == token
        scene.deployment.operations.clear()
        assert tokens.get(APPID) == token
        assert scene.deployment.operations == {}  # it looks again only some seconds later

    @pytest.mark.parametrize("code", ["InternalServerError", "ThrottlingException"])
    @pytest.mark.parametrize("operation", ["GetItem", "UpdateItem"])
    def test_without_one_storage_is_unavailable_and_wechat_is_not_asked(
        self, scene: Scene, operation: str, code: str
    ) -> None:
        scene.deployment.fail(operation, code)
        began = time.time()
        with pytest.raises(AuthError) as caught:
            scene.worker().get(APPID)
        assert time.time() - began < 9
        assert (caught.value.problem, caught.value.retry_after) == (STORAGE_UNAVAILABLE, 1)
        assert scene.token_calls == 0

    @pytest.mark.parametrize("step", [0.1, 0.3, 0.7, 1.1, 1.7, 2.3, 2.9])
    def test_if_time_runs_out_while_it_is_throttled_the_fault_is_still_storages(
        self, scene: Scene, step: float
    ) -> None:
        scene.deployment.fail("UpdateItem", "ThrottlingException")
        passing = itertools.count(time.time(), step)  # with each look at the clock
        with pytest.raises(AuthError) as caught:
            scene.worker(clock=lambda: next(passing)).get(APPID)
        assert caught.value.problem is STORAGE_UNAVAILABLE

    def test_a_throttled_table_is_asked_again(self, scene: Scene) -> None:
        token = scene.worker().get(APPID)
        scene.deployment.fail("GetItem", "ThrottlingException", times=6)
        assert scene.worker().get(APPID) == token
        assert scene.token_calls == 1

    def test_a_dead_token_in_memory_is_no_help(self, scene: Scene) -> None:
        tokens = scene.worker()
        tokens.get(APPID)
        scene.deployment.fail("GetItem")
        scene.clock.shift(7200)
        with pytest.raises(AuthError) as caught:
            tokens.get(APPID)
        assert caught.value.problem is STORAGE_UNAVAILABLE

    def test_a_rejected_token_in_memory_is_no_help(self, scene: Scene) -> None:
        tokens = scene.worker()
        token = tokens.get(APPID)
        scene.deployment.fail("GetItem")
        with pytest.raises(AuthError) as caught:
            tokens.get(APPID, rejected=token)
        assert caught.value.problem is STORAGE_UNAVAILABLE

    def test_a_token_that_cannot_be_written_still_serves(self, scene: Scene) -> None:
        scene.wechat.on_call = lambda _: scene.deployment.fail("UpdateItem")
        token = scene.worker().get(APPID)
        assert scene.wechat.accepts(token)
        assert "sealed" not in scene.deployment.items("AccessTokens")[0]

    def test_a_lease_that_cannot_be_given_back_runs_out(self, scene: Scene) -> None:
        scene.wechat.on_call = lambda _: scene.deployment.fail("UpdateItem")
        scene.wechat.faults.add(Fault("getStableAccessToken", "status"))
        with pytest.raises(AuthError) as caught:
            scene.worker().get(APPID)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        scene.wechat.on_call = None
        scene.deployment.heal()
        scene.clock.shift(LEASE_SECONDS)
        assert scene.wechat.accepts(scene.worker().get(APPID))


class TestRejected:
    @pytest.mark.parametrize("errcode", [40001, 40014, 42001])
    def test_a_rejected_token_is_renewed_once(self, scene: Scene, errcode: int) -> None:
        tokens = scene.worker()
        old = tokens.get(APPID)
        scene.wechat.revoke_access_token(APPID, errcode=errcode)
        new = tokens.get(APPID, rejected=old)
        assert not scene.wechat.accepts(old)
        assert scene.wechat.accepts(new)
        assert scene.token_calls == 2

    def test_a_token_that_another_worker_renewed_already_is_read_and_not_renewed(
        self, scene: Scene
    ) -> None:
        workers = [scene.worker() for _ in range(5)]
        old = workers[0].get(APPID)
        assert [each.get(APPID) for each in workers] == [old] * 5
        scene.wechat.revoke_access_token(APPID)
        new = {each.get(APPID, rejected=old) for each in workers}
        assert len(new) == 1
        assert old not in new
        assert scene.token_calls == 2

    def test_where_normal_mode_gives_the_same_token_it_is_forced(self, scene: Scene) -> None:
        tokens = scene.worker()
        old = tokens.get(APPID)
        scene.clock.shift(20)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        new = tokens.get(APPID, rejected=old)
        assert scene.wechat.accepts(new)
        assert scene.token_calls == 3
        (item,) = scene.deployment.items("AccessTokens")
        assert item["forced_count"] == {"N": "1"}
        assert item["forced_day"] == {"S": time.strftime("%Y-%m-%d", time.gmtime())}
        assert float(item["forced_at"]["N"]) == pytest.approx(time.time(), abs=2)

    def test_a_token_that_was_got_only_just_is_forced_at_once(self, scene: Scene) -> None:
        tokens = scene.worker()
        old = tokens.get(APPID)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        assert scene.wechat.accepts(tokens.get(APPID, rejected=old))
        assert scene.token_calls == 2

    def test_two_forced_refreshes_are_thirty_seconds_apart(self, scene: Scene) -> None:
        tokens = scene.worker()
        first = tokens.get(APPID)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        second = tokens.get(APPID, rejected=first)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        scene.clock.shift(20)
        before = scene.token_calls
        with pytest.raises(AuthError) as caught:
            scene.worker().get(APPID, rejected=second)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert caught.value.retry_after in {10, 11}
        assert (caught.value.remedy or "").startswith("WeChat refuses the access_token just after")
        assert scene.token_calls == before + 1
        scene.clock.shift(11)
        assert scene.wechat.accepts(scene.worker().get(APPID, rejected=second))

    def test_the_twenty_first_forced_refresh_waits_for_wechats_next_day(self, scene: Scene) -> None:
        token = scene.worker().get(APPID)
        for _ in range(FORCED_PER_DAY):
            scene.clock.shift(31)
            scene.wechat.revoke_access_token(APPID, sticky=True)
            token = scene.worker().get(APPID, rejected=token)
        scene.clock.shift(31)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        with pytest.raises(AuthError) as caught:
            scene.worker().get(APPID, rejected=token)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert "the forced refreshes of today are used up" in (caught.value.remedy or "")
        assert scene.token_calls == 1 + 2 * FORCED_PER_DAY + 1
        scene.clock.shift(4 * 3600)  # from 20:10 in Beijing past its midnight
        scene.wechat.revoke_access_token(APPID, sticky=True)
        assert scene.wechat.accepts(scene.worker().get(APPID))

    def test_a_forced_refresh_that_fails_is_counted_all_the_same(self, scene: Scene) -> None:
        tokens = scene.worker()
        old = tokens.get(APPID)
        scene.clock.shift(20)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        answered: list[int | None] = []

        def fail_the_second(call: Call) -> None:
            answered.append(call.errcode)
            scene.wechat.faults.add(Fault("getStableAccessToken", "status", work_done=True))

        scene.wechat.on_call = fail_the_second
        with pytest.raises(AuthError) as caught:
            tokens.get(APPID, rejected=old)
        scene.wechat.on_call = None
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert answered == [0, None]
        (item,) = scene.deployment.items("AccessTokens")
        assert item["forced_count"] == {"N": "1"}
        scene.wechat.faults.clear()
        assert scene.wechat.accepts(tokens.get(APPID, rejected=old))

    def test_where_another_server_forced_just_before_wechat_ignores_ours_and_the_operator_is_told(
        self, scene: Scene
    ) -> None:
        secret = scene.wechat.apps[0].secret
        forced = scene.deployment.backend.wechat.stable_access_token(
            APPID, secret, force=True
        ).token
        tokens = scene.worker()
        assert tokens.get(APPID) == forced
        scene.clock.shift(20)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        with pytest.raises(AuthError) as caught:
            tokens.get(APPID, rejected=forced)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert (caught.value.remedy or "").endswith("hands it out again even when forced")
        assert scene.token_calls == 4

    def test_a_holder_frozen_before_it_forces_leaves_it_to_the_others(self, scene: Scene) -> None:
        tokens = scene.worker()
        old = tokens.get(APPID)
        scene.clock.shift(20)
        scene.wechat.revoke_access_token(APPID, sticky=True)

        def freeze(_: Call) -> None:
            scene.wechat.on_call = None
            scene.lease(until=time.time() + LEASE_SECONDS, lease_owner={"S": "another"})

        scene.wechat.on_call = freeze
        with pytest.raises(AuthError) as caught:
            tokens.get(APPID, rejected=old)
        assert caught.value.problem is WECHAT_UNAVAILABLE
        assert "forced_count" not in scene.deployment.items("AccessTokens")[0]


class TestClassicMode:
    def test_tokens_come_from_get_access_token_and_are_shared(self, scene: Scene) -> None:
        token = scene.worker("classic").get(APPID)
        assert scene.worker("classic").get(APPID) == token
        assert scene.wechat.accepts(token)
        assert (scene.asked("getAccessToken"), scene.token_calls) == (1, 0)

    def test_to_replace_a_rejected_token_counts_as_forced(self, scene: Scene) -> None:
        tokens = scene.worker("classic")
        old = tokens.get(APPID)
        scene.wechat.revoke_access_token(APPID, sticky=True)
        assert scene.wechat.accepts(tokens.get(APPID, rejected=old))
        assert scene.asked("getAccessToken") == 2
        assert scene.deployment.items("AccessTokens")[0]["forced_count"] == {"N": "1"}

    def test_the_setting_chooses_it(self, scene: Scene) -> None:
        scene.deployment.configure(ACCESS_TOKEN_MODE="classic")
        assert scene.deployment.backend.access_tokens.get(APPID)
        assert scene.asked("getAccessToken") == 1


class TestKeyRing:
    def test_a_worker_with_the_old_ring_reads_it_again_when_it_meets_the_new_key(
        self, scene: Scene
    ) -> None:
        old_ring = scene.worker()
        scene.deployment.backend.secrets.key_ring()
        scene.deployment.put_secret("KeyRing", {"current": "k2", "k1": "k1" * 32, "k2": "k2" * 32})
        scene.deployment.cold_start()
        token = scene.deployment.backend.access_tokens.get(APPID)
        scene.clock.shift(61)
        assert old_ring.get(APPID) == token
        assert scene.token_calls == 1

    def test_a_token_under_a_key_that_is_gone_is_as_good_as_absent(self, scene: Scene) -> None:
        scene.worker().get(APPID)
        scene.deployment.put_secret("KeyRing", {"current": "k9", "k9": "k9" * 32})
        scene.deployment.cold_start()
        assert scene.wechat.accepts(scene.deployment.backend.access_tokens.get(APPID))
        assert scene.token_calls == 2


def never(_: float) -> None:
    raise AssertionError("nobody waits")
