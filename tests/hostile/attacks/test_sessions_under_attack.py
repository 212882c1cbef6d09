"""Tokens that are guessed at, and sessions that begin and end while others do the same."""

import base64
import string
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import time_machine

from local.simulated_wechat import Phone, SimulatedWeChat
from tests.harness.api import Answer, Api, legacy
from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.hostile.attacks.at_once import MANY, at_the_same_time
from tests.hostile.attacks.leak_watch import Watch
from wechat_auth.sessions import Session, Sessions

ENDED = (401, "session_invalid", "login_again")
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"  # base64url


def one_bit_off(token: str) -> Iterator[str]:
    decoded = int.from_bytes(base64.urlsafe_b64decode(token + "=="), "big")
    for bit in range(52 * 8):
        changed = (decoded ^ 1 << bit).to_bytes(52, "big")
        yield base64.urlsafe_b64encode(changed).decode().rstrip("=")


def other_spellings(token: str) -> Iterator[str]:
    """Texts that a lenient decoder would take for the same token."""
    last = ALPHABET.index(token[-1])
    yield from (token[:-1] + ALPHABET[last ^ spare] for spare in range(1, 16))
    yield from (token + end for end in ("=", "==", "===", "A", "%3D%3D", ".", "\x00", ",x"))
    yield from (token[:at] + " " + token[at:] for at in range(1, 70))
    yield from (token[:at] + "\t" + token[at:] for at in (1, 35, 69))
    yield from (token[:at] for at in range(1, 70))
    yield from (token + token, token.swapcase(), f'"{token}"', f"{token},{token}")
    if {"-", "_"} & set(token):
        yield token.replace("-", "+").replace("_", "/")


class TestToken:
    def test_with_any_of_its_416_bits_changed_is_401_at_the_same_cost(
        self, api: Api, deployment: Deployment, phone: Phone, watch: Watch, say: Say
    ) -> None:
        token = watch.token(api.logged_in(phone))
        answers = {self.cost(api, deployment, changed) for changed in one_bit_off(token)}
        assert answers == {(ENDED, ("GetItem",))}
        assert self.cost(api, deployment, token) == (200, ("GetItem",))
        say("tokens: each of 416 bits changed: 401 and one read, as many as the true one costs")

    def test_is_checked_at_the_same_cost_wherever_it_is_wrong_on_every_route(
        self, api: Api, deployment: Deployment, phone: Phone, watch: Watch
    ) -> None:
        token, tap = watch.token(api.logged_in(phone)), watch.tap(phone.tap_phone_number())
        routes: dict[str, Callable[[str], Answer]] = {
            "GET /session": api.session,
            "DELETE /session": api.logout,
            "POST /phone": lambda token: api.phone(tap.code, token=token),
            "POST /decrypt": lambda token: api.decrypt(token=token, **legacy(tap)),
            "POST /decrypt in one shot": lambda token: api.decrypt(
                token=token, code=phone.login(), **legacy(tap)
            ),
        }
        before = deployment.wechat.counts()
        for route, ask in routes.items():
            costs = set()
            for changed in list(one_bit_off(token))[::13]:  # in user id, time and secret
                deployment.operations.clear()
                assert ask(changed).problem == ENDED
                costs.add(tuple(sorted(deployment.operations.elements())))
            reads = ("GetItem", "Query") if route == "POST /decrypt" else ("GetItem",)
            assert costs == {reads}, route
        assert deployment.wechat.counts() == before
        assert api.session(token).status == 200

    def test_in_any_other_spelling_is_401_and_read_nowhere(
        self, api: Api, deployment: Deployment, phone: Phone, watch: Watch, say: Say
    ) -> None:
        token = watch.token(api.logged_in(phone))
        spellings = [each for each in other_spellings(token) if each != token]
        for spelling in spellings:
            event = {"headers": {"authorization": f"Bearer {spelling}"}}
            deployment.operations.clear()
            assert deployment.stack.invoke("authorizer", event) == {"isAuthorized": False}, spelling
            if spelling.isprintable():
                assert api.session(spelling).problem == ENDED
            assert deployment.operations == {}
        say(f"tokens: {len(spellings)} other spellings of a true one: 401 without a read")

    def test_a_lenient_decoder_would_take_many_of_those(
        self, api: Api, deployment: Deployment, phone: Phone, watch: Watch
    ) -> None:
        class Lenient(Sessions):
            def find(self, token: str) -> Session:
                decoded = base64.urlsafe_b64decode(token[:72] + "==")[:52]
                return super().find(base64.urlsafe_b64encode(decoded).decode().rstrip("="))

        token = watch.token(api.logged_in(phone))
        backend = deployment.backend
        table = backend.aws.table(backend.settings.sessions_table)
        backend.sessions = Lenient(table, backend.secrets, appids=(phone.appid,), life=7 * 86_400)
        some = [token + "=", token[:-1] + ALPHABET[ALPHABET.index(token[-1]) ^ 1], token + token]
        assert set(some) <= set(other_spellings(token))
        assert [api.session(each).status for each in some] == [200, 200, 200]

    @staticmethod
    def cost(api: Api, deployment: Deployment, token: str) -> tuple[object, tuple[str, ...]]:
        deployment.operations.clear()
        answer = api.session(token)
        told = answer.problem if answer.status >= 400 else answer.status
        return told, tuple(sorted(deployment.operations.elements()))


@pytest.mark.usefixtures("real_dynamodb")
class TestLogout:
    """On a real DynamoDB engine."""

    def test_takes_effect_at_the_next_request_on_every_route(
        self,
        api: Api,
        deployment: Deployment,
        phone: Phone,
        wechat: SimulatedWeChat,
    ) -> None:
        api.decrypt(token=api.logged_in(phone), **legacy(phone.tap_phone_number()))
        for query in ("", "?all=true"):
            token = api.logged_in(phone)
            assert api.phone(phone.tap_phone_number().code, token=token).status == 200
            tap = phone.tap_phone_number()
            assert api.logout(token, query).status == 204
            asked = wechat.counts()
            for answer in (
                api.session(token),
                api.session(token, "?verify=true"),
                api.phone(tap.code, token=token),
                api.decrypt(token=token, **legacy(tap)),
                api.decrypt(token=token, cloudID=tap.cloud_id),
                api.logout(token),
                api.logout(token, "?all=true"),
            ):
                assert answer.problem == ENDED
            event = {"headers": {"authorization": f"Bearer {token}"}}
            assert deployment.stack.invoke("authorizer", event) == {"isAuthorized": False}
            assert wechat.counts() == asked

    def test_of_one_token_by_many_at_the_same_time_ends_it_and_no_other(
        self, api: Api, phone: Phone
    ) -> None:
        token, other = api.logged_in(phone), api.logged_in(phone)
        answers = at_the_same_time(lambda _: api.logout(token), range(MANY))
        assert {answer.status for answer in answers} <= {204, 401}
        assert 204 in {answer.status for answer in answers}
        assert api.session(token).problem == ENDED
        assert api.session(other).status == 200


@pytest.mark.usefixtures("real_dynamodb")
class TestLogin:
    """On a real DynamoDB engine."""

    def test_of_one_user_on_many_devices_at_the_same_time_keeps_every_one_logged_in(
        self, api: Api, phone: Phone, say: Say
    ) -> None:
        early = [api.logged_in(phone) for _ in range(4)]
        answers = at_the_same_time(lambda _: api.login(phone.login()), range(3 * MANY))
        tokens = [answer.json["token"] for answer in answers]
        assert len({*early, *tokens}) == 4 + 3 * MANY
        states = at_the_same_time(api.session, [*early, *tokens])
        assert {state.status for state in states} == {200}
        tap = phone.tap_phone_number()
        data = api.decrypt(token=tokens[-1], **legacy(tap)).json["data"]
        assert data["phoneNumber"] == phone.number
        say(f"sessions: {len(states)} devices of one user logged in at the same time, none lost")

    def test_beside_logouts_of_the_same_user_loses_nothing(self, api: Api, phone: Phone) -> None:
        leaving = [api.logged_in(phone) for _ in range(MANY)]

        def come_or_go(number: int) -> Answer:
            return api.logout(leaving[number]) if number % 2 else api.login(phone.login())

        answers = at_the_same_time(come_or_go, range(MANY))
        assert Counter(each.status for each in answers) == {200: MANY // 2, 204: MANY // 2}
        come = [answer.json["token"] for answer in answers[::2]]
        assert [api.session(token).status for token in leaving] == [200, 401] * (MANY // 2)
        assert [api.session(token).status for token in come] == [200] * (MANY // 2)


class TestKeyRotation:
    @pytest.mark.parametrize("warm", [True, False])
    def test_logs_nobody_out_until_the_old_key_is_taken_away(
        self,
        api: Api,
        deployment: Deployment,
        wechat: SimulatedWeChat,
        clock: time_machine.Traveller,
        watch: Watch,
        warm: bool,
    ) -> None:
        people = [wechat.phone() for _ in range(3)]
        before = [watch.token(api.logged_in(each)) for each in people for _ in range(3)]
        taps = [watch.tap(each.tap_phone_number()) for each in people]

        k1, k2 = ({name: name * 32} for name in ("k1", "k2"))
        self.deploy(deployment, {"current": "k2", **k1, **k2}, clock, warm=False)
        after = [watch.token(api.logged_in(each)) for each in people]
        assert {api.session(token).status for token in (*before, *after)} == {200}
        for token, tap in zip(after, taps, strict=True):  # the key of before the rotation
            assert api.decrypt(token=token, **legacy(tap)).status == 200

        self.deploy(deployment, {"current": "k2", **k2}, clock, warm=warm)
        if warm:  # an environment that has the old ring in memory goes on until it is gone
            assert {api.session(token).status for token in before} == {200}
            deployment.cold_start()
        assert {api.session(token).problem for token in before} == {ENDED}
        assert {api.session(token).status for token in after} == {200}

    @staticmethod
    def deploy(
        deployment: Deployment, ring: object, clock: time_machine.Traveller, *, warm: bool
    ) -> None:
        deployment.put_secret("KeyRing", ring)
        clock.shift(61)
        if not warm:
            deployment.cold_start()
