"""Tokens that are guessed at, and sessions that begin and end while others do the same."""

import base64
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from local.simulated_wechat import Phone
from tests.harness.api import Answer, Api, legacy
from tests.harness.deployment import Deployment
from tests.harness.figures import Say
from tests.hostile.attacks.at_once import MANY, at_the_same_time
from tests.hostile.attacks.leak_watch import Watch

ENDED = (401, "session_invalid", "login_again")


def one_bit_off(token: str) -> Iterator[str]:
    decoded = int.from_bytes(base64.urlsafe_b64decode(token + "=="), "big")
    for bit in range(52 * 8):
        changed = (decoded ^ 1 << bit).to_bytes(52, "big")
        yield base64.urlsafe_b64encode(changed).decode().rstrip("=")


class TestToken:
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

    def test_is_asked_about_at_the_same_cost_wherever_it_is_wrong(
        self, api: Api, deployment: Deployment, phone: Phone, watch: Watch
    ) -> None:
        token = watch.token(api.logged_in(phone))
        assert api.introspect(token).json["active"] is True
        seen = set()
        for changed in list(one_bit_off(token))[::13]:
            deployment.operations.clear()
            answer = api.introspect(changed)
            seen.add((answer.status, answer.content, tuple(deployment.operations.elements())))
        assert seen == {(200, b'{"active":false}', ("GetItem",))}


@pytest.mark.usefixtures("real_dynamodb")
class TestLogout:
    """On a real DynamoDB engine."""

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
