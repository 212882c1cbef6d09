"""Our own sessions: what the token is, what the table holds, and how sessions end."""

import base64
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import time_machine

from local.runtime import FunctionError
from local.simulated_wechat import App, Fault, Phone, SimulatedWeChat
from local.simulated_wechat.faults import Kind
from tests.harness.api import Api, Document, legacy
from tests.harness.deployment import Deployment
from wechat_auth.errors import TOO_MANY_FAILURES, AuthError
from wechat_auth.failure_budget import Spent
from wechat_auth.sessions import Session

WEEK = 7 * 86_400
DAY = 86_400
SESSION_ENDED = (401, "session_invalid", "login_again")


def logged_in(api: Api, phone: Phone, deployment: Deployment) -> Session:
    """Log in over HTTP and return what stands behind the token."""
    return deployment.backend.sessions.find(api.logged_in(phone))


class TestToken:
    def test_is_52_bytes_in_base64url_of_user_time_and_secret(self, api: Api, phone: Phone) -> None:
        before = int(time.time())
        tokens = [api.logged_in(phone) for _ in range(2)]
        first, second = (base64.urlsafe_b64decode(token + "==") for token in tokens)
        assert all(re.fullmatch(r"[0-9A-Za-z_-]{70}", token) for token in tokens)
        assert len(first) == 52
        assert first[:16] == second[:16]  # the same user
        assert before <= int.from_bytes(first[16:20], "big") <= int(time.time())
        assert first[20:] != second[20:]

    def test_expires_after_the_days_that_the_deployment_chose(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        assert api.login(phone.login()).json["expiresAt"] == pytest.approx(
            time.time() + WEEK, abs=2
        )
        deployment.configure(SESSION_DAYS="30")
        assert api.login(phone.login()).json["expiresAt"] == pytest.approx(
            time.time() + 30 * DAY, abs=2
        )


class TestTable:
    def test_holds_nothing_that_can_be_used(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        (item,) = deployment.items("Sessions")
        decoded = base64.urlsafe_b64decode(token + "==")
        assert set(item) == {"user", "session", "sealed", "expires_at"}
        assert item["user"]["B"] == decoded[:16]
        stored = b"".join((item["sealed"]["B"], item["session"]["S"].encode()))
        for secret in (decoded[20:], token.encode(), phone.openid.encode()):
            assert secret not in stored
            assert secret.hex().encode() not in stored
        assert (phone.session_key or "").encode() not in stored
        assert (phone.unionid or "").encode() not in stored

    def test_does_not_give_a_token_to_who_reads_it(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        api.logged_in(phone)
        (item,) = deployment.items("Sessions")
        issued, _, secret_hash = item["session"]["S"].partition("#")
        forged = (
            item["user"]["B"] + int(issued[:10]).to_bytes(4, "big") + bytes.fromhex(secret_hash)
        )
        token = base64.urlsafe_b64encode(forged).decode().rstrip("=")
        assert api.session(token).problem == SESSION_ENDED

    def test_a_sealed_blob_is_worth_nothing_in_another_place(
        self, api: Api, phone: Phone, deployment: Deployment, wechat: SimulatedWeChat
    ) -> None:
        token = api.logged_in(phone)
        (mine,) = deployment.items("Sessions")
        api.logged_in(wechat.phone())
        (theirs,) = [each for each in deployment.items("Sessions") if each != mine]
        deployment.put("Sessions", mine | {"sealed": theirs["sealed"]})
        assert api.session(token).problem == SESSION_ENDED
        deployment.put("Sessions", mine)
        assert api.session(token).status == 200


class TestEnd:
    def test_an_expired_session_is_refused_though_its_item_is_still_there(
        self, api: Api, phone: Phone, deployment: Deployment, clock: time_machine.Traveller
    ) -> None:
        token = api.logged_in(phone)
        clock.shift(WEEK - 5)
        assert api.session(token).status == 200
        clock.shift(6)
        assert api.session(token).problem == SESSION_ENDED
        assert authorized(deployment, f"Bearer {token}") == {"isAuthorized": False}
        assert len(deployment.items("Sessions")) == 1

    def test_a_logout_everywhere_ends_every_session_of_this_user_and_of_nobody_else(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, deployment: Deployment
    ) -> None:
        stranger = api.logged_in(wechat.phone())
        tokens = [api.logged_in(phone) for _ in range(3)]
        old_key = phone.session_key
        assert api.logout(tokens[-1], "?all=true").status == 204
        assert [api.session(token).status for token in tokens] == [401] * 3
        assert api.session(stranger).status == 200
        assert len(deployment.items("Sessions")) == 1
        assert phone.session_key != old_key  # at WeChat, by resetUserSessionKey

    def test_more_sessions_than_one_batch_takes_end_together(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        session = logged_in(api, phone, deployment)
        (item,) = deployment.items("Sessions")
        for number in range(59):
            deployment.put("Sessions", item | {"session": {"S": made_up(number)}})
        deployment.operations.clear()
        deployment.backend.sessions.end_all(session)
        assert deployment.items("Sessions") == []
        assert deployment.operations == {"Query": 1, "BatchWriteItem": 3}

    def test_more_sessions_than_one_page_holds_end_together(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        session = logged_in(api, phone, deployment)
        (item,) = deployment.items("Sessions")
        for number in range(4):
            place = {"session": {"S": made_up(number)}}
            deployment.put("Sessions", item | place | {"padding": {"S": "x" * 390_000}})
        deployment.operations.clear()
        deployment.backend.sessions.end_all(session)
        assert deployment.items("Sessions") == []
        assert deployment.operations["Query"] == 2

    def test_the_count_of_failures_survives_a_logout_everywhere(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        session = logged_in(api, phone, deployment)
        deployment.backend.failure_budget.count(Spent(session.user))
        deployment.backend.sessions.end_all(session)
        (item,) = deployment.items("Sessions")
        assert item["failures"] == {"N": "1"}

    def test_a_logout_everywhere_reaches_sessions_from_before_a_key_rotation(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        before = api.logged_in(phone)
        rotate(deployment)
        after = api.logged_in(phone)
        assert len(deployment.items("Sessions")) == 2
        assert api.logout(after, "?all=true").status == 204
        assert api.session(before).problem == SESSION_ENDED
        assert api.session(after).problem == SESSION_ENDED
        assert deployment.items("Sessions") == []

    @pytest.mark.parametrize("kind", ["drop_before", "html", "errcode"])
    def test_a_logout_everywhere_stands_though_wechat_cannot_reset_the_key(
        self, api: Api, phone: Phone, wechat: SimulatedWeChat, deployment: Deployment, kind: Kind
    ) -> None:
        token = api.logged_in(phone)
        wechat.faults.add(Fault("resetUserSessionKey", kind, errcode=87009))
        assert api.logout(token, "?all=true").status == 204
        assert deployment.items("Sessions") == []

    def test_a_logout_everywhere_stands_though_no_access_token_can_be_had(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        deployment.fail("UpdateItem")
        assert api.logout(token, "?all=true").status == 204
        assert deployment.items("Sessions") == []

    def test_a_session_of_an_app_that_is_served_no_more_is_over_everywhere(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        tap = phone.tap_phone_number()
        deployment.serve_apps(App("wxfedcba9876543210", "0" * 32))
        for answer in (
            api.phone(tap.code, token=token),
            api.decrypt(token=token, **legacy(tap)),
            api.session(token),
            api.logout(token),
        ):
            assert answer.problem == SESSION_ENDED
        assert authorized(deployment, f"Bearer {token}") == {"isAuthorized": False}

    def test_a_logout_everywhere_ends_the_newest_session_first(
        self, api: Api, phone: Phone, clock: time_machine.Traveller, deployment: Deployment
    ) -> None:
        for _ in range(30):
            clock.shift(1)
            session = logged_in(api, phone, deployment)
        newest_first = sorted(
            (item["session"]["S"] for item in deployment.items("Sessions")), reverse=True
        )
        with cut_off_after_one_batch(deployment), pytest.raises(AuthError):
            deployment.backend.sessions.end_all(session)
        left = sorted(item["session"]["S"] for item in deployment.items("Sessions"))
        assert left == sorted(newest_first[25:])

    def test_the_end_of_a_session_is_sealed(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        (item,) = deployment.items("Sessions")
        for change in (-1, 1, WEEK):
            ends = str(int(item["expires_at"]["N"]) + change)
            deployment.put("Sessions", item | {"expires_at": {"N": ends}})
            assert api.session(token).problem == SESSION_ENDED
        deployment.put("Sessions", item)
        assert api.session(token).status == 200

    def test_fewer_days_hold_for_the_sessions_there_are(
        self, api: Api, phone: Phone, clock: time_machine.Traveller, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        ends = api.session(token).json["expiresAt"]
        deployment.configure(SESSION_DAYS="2")
        assert api.session(token).json["expiresAt"] == ends - 5 * DAY
        clock.shift(2 * DAY)
        assert api.session(token).problem == SESSION_ENDED
        deployment.configure(SESSION_DAYS="90")
        assert api.session(token).json["expiresAt"] == ends


@contextmanager
def cut_off_after_one_batch(deployment: Deployment) -> Iterator[None]:
    """Let DynamoDB answer one BatchWriteItem and refuse the next."""
    events = deployment.backend.aws.dynamodb.meta.events

    def refuse_the_next(**_: object) -> None:
        deployment.fail("BatchWriteItem")

    events.register("after-call.dynamodb.BatchWriteItem", refuse_the_next)
    yield
    events.unregister("after-call.dynamodb.BatchWriteItem", refuse_the_next)
    deployment.heal()


class TestKeyRotation:
    def test_logs_nobody_out(self, api: Api, phone: Phone, deployment: Deployment) -> None:
        token = api.logged_in(phone)
        rotate(deployment)
        assert api.session(token).status == 200
        assert api.logged_in(phone)[:21] != token[:21]

    def test_reaches_an_environment_that_has_the_old_ring_in_memory(
        self, api: Api, phone: Phone, deployment: Deployment, clock: time_machine.Traveller
    ) -> None:
        api.logged_in(phone)
        old_ring = deployment.backend.sessions
        rotate(deployment)
        token = api.logged_in(phone)
        clock.shift(61)
        assert old_ring.find(token).openid == phone.openid

    def test_a_session_under_a_key_that_was_taken_away_is_over(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        deployment.put_secret("KeyRing", {"current": "k2", "k2": "k2" * 32})
        deployment.cold_start()
        assert api.session(token).problem == SESSION_ENDED


class TestHistory:
    def keys(
        self,
        api: Api,
        phone: Phone,
        clock: time_machine.Traveller,
        deployment: Deployment,
        logins: int,
    ) -> list[str]:
        """Log in so many times, a minute apart, and return the session_keys, newest first."""
        keys: list[str] = []
        for _ in range(logins):
            clock.shift(60)
            keys.insert(0, logged_in(api, phone, deployment).session_key)
        return keys

    def test_this_sessions_key_comes_first_then_the_three_newest_others(
        self, api: Api, phone: Phone, clock: time_machine.Traveller, deployment: Deployment
    ) -> None:
        mine = api.logged_in(phone)
        my_key = phone.session_key
        keys = self.keys(api, phone, clock, deployment, 5)
        history = deployment.backend.sessions.find_with_history(mine)
        assert history.session_keys == (my_key, *keys[:3])
        clock.shift(60)
        newest = deployment.backend.sessions.find_with_history(api.logged_in(phone))
        assert newest.session_keys == (phone.session_key, *keys[:3])

    def test_a_key_that_several_sessions_share_is_tried_once(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        first, second = phone.login(), phone.login()  # the later one replaced the key for both
        tokens = [api.login(code).json["token"] for code in (first, second)]
        history = deployment.backend.sessions.find_with_history(tokens[0])
        assert history.session_keys == (phone.session_key,)

    def test_expired_sessions_lend_no_key(
        self, api: Api, phone: Phone, clock: time_machine.Traveller, deployment: Deployment
    ) -> None:
        self.keys(api, phone, clock, deployment, 2)
        clock.shift(WEEK)
        history = deployment.backend.sessions.find_with_history(api.logged_in(phone))
        assert history.session_keys == (phone.session_key,)

    def test_keys_from_before_a_rotation_are_among_them(
        self, api: Api, phone: Phone, deployment: Deployment, clock: time_machine.Traveller
    ) -> None:
        old = self.keys(api, phone, clock, deployment, 2)
        rotate(deployment)
        new = self.keys(api, phone, clock, deployment, 1)
        clock.shift(60)
        history = deployment.backend.sessions.find_with_history(api.logged_in(phone))
        assert history.session_keys == (phone.session_key, *new, *old)


class TestFailureBudget:
    def test_fifty_failures_are_counted_and_the_next_is_refused_until_midnight(
        self, api: Api, phone: Phone, clock: time_machine.Traveller, deployment: Deployment
    ) -> None:
        session = logged_in(api, phone, deployment)
        sessions, budget = deployment.backend.sessions, deployment.backend.failure_budget
        for _ in range(50):
            budget.count(Spent(session.user))
        for _ in range(3):
            with pytest.raises(AuthError) as caught:
                budget.count(Spent(session.user))
            assert caught.value.problem is TOO_MANY_FAILURES
            assert caught.value.retry_after in range(DAY // 2 - 60, DAY // 2 + 1)  # noon, UTC
        assert sessions.history(session).spent.failures == 50
        clock.shift(DAY // 2)
        assert sessions.history(session).spent.failures == 0
        budget.count(Spent(session.user))
        assert sessions.history(session).spent.failures == 1

    def test_the_count_expires_the_day_after(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        deployment.backend.failure_budget.count(Spent(logged_in(api, phone, deployment).user))
        (count,) = [item for item in deployment.items("Sessions") if "failures" in item]
        midnight = (int(time.time()) // DAY + 1) * DAY
        assert int(count["expires_at"]["N"]) == midnight + DAY

    def test_over_http_the_budget_ends_in_429_whatever_is_sent_then(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        deployment.configure(DECRYPT_FAILURES_PER_DAY="3")
        token, good = api.logged_in(phone), phone.user_info()
        bad, iv = phone.encrypt(b"nonsense")
        for _ in range(3):
            assert api.decrypt(token=token, encryptedData=bad, iv=iv).status == 422
        for data, vector in ((bad, iv), (good.encrypted_data, good.iv)):
            answer = api.decrypt(token=token, encryptedData=data, iv=vector)
            assert answer.problem == (429, "too_many_failures", "wait")
            assert DAY // 2 - 10 < int(answer.headers["Retry-After"]) <= DAY // 2

    def test_it_is_the_users_and_no_new_login_or_rotation_refills_it(
        self, api: Api, phone: Phone, deployment: Deployment, wechat: SimulatedWeChat
    ) -> None:
        deployment.configure(DECRYPT_FAILURES_PER_DAY="2")
        for _ in range(2):
            deployment.backend.failure_budget.count(Spent(logged_in(api, phone, deployment).user))
        rotate(deployment)
        for who, status in ((phone, 429), (wechat.phone(), 200)):
            token, info = api.logged_in(who), who.user_info()
            answer = api.decrypt(token=token, encryptedData=info.encrypted_data, iv=info.iv)
            assert answer.status == status

    def test_a_failure_that_cannot_be_counted_is_not_told_as_one(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        deployment.configure(CHECK_ENCRYPTED_DATA="false")
        token = api.logged_in(phone)
        bad, iv = phone.encrypt(b"nonsense")
        deployment.fail("UpdateItem")
        answer = api.decrypt(token=token, encryptedData=bad, iv=iv)
        assert answer.problem == (503, "storage_unavailable", "retry")


class TestAuthorizer:
    def test_tells_a_living_session_from_any_other(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        assert authorized(deployment, f"Bearer {token}") == {
            "isAuthorized": True,
            "context": {
                "openid": phone.openid,
                "unionid": phone.unionid,
                "appid": deployment.stack.appid,
                "accountId": "",
                "claims": "{}",
            },
        }
        for header in (f"Basic {token}", token, "Bearer", "Bearer x", ""):
            assert authorized(deployment, header) == {"isAuthorized": False}

    def test_unionid_is_empty_where_wechat_told_none(
        self, api: Api, wechat: SimulatedWeChat, deployment: Deployment
    ) -> None:
        app = wechat.apps[0]
        wechat.put_app(App(app.appid, app.secret))
        token = api.logged_in(wechat.phone())
        assert authorized(deployment, f"Bearer {token}")["context"]["unionid"] == ""

    def test_what_is_not_about_the_token_is_no_refusal(
        self, api: Api, phone: Phone, deployment: Deployment
    ) -> None:
        token = api.logged_in(phone)
        deployment.fail("GetItem")
        with pytest.raises(FunctionError, match="authorizer raised StorageError"):
            authorized(deployment, f"Bearer {token}")
        deployment.heal()
        deployment.put_secret("KeyRing", "[]")
        deployment.cold_start()
        with pytest.raises(FunctionError, match="authorizer raised AuthError"):
            authorized(deployment, f"Bearer {token}")


def authorized(deployment: Deployment, header: str) -> Document:
    event = {"headers": {"authorization": header}}
    answer: Document = deployment.stack.invoke("authorizer", event)
    return answer


def made_up(number: int) -> str:
    """Return the sort key of a session that began at this second."""
    return f"{number:010d}.00000#{number:064x}"


def rotate(deployment: Deployment) -> None:
    """Add a key, as the operator does, and let new environments meet it."""
    ring = deployment.secret("KeyRing")
    deployment.put_secret("KeyRing", ring | {"current": "k2", "k2": "k2" * 32})
    deployment.cold_start()
