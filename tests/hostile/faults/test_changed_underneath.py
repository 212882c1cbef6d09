"""What a request has just read is changed by others before it writes: one case each.

Where the condition of the write then fails, or the item is gone, the request must still end in an
answer of the contract, and what the others wrote must stand.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import pytest
import time_machine
from botocore.awsrequest import AWSPreparedRequest

from tests.harness.api import IDEMPOTENCY_KEY, Answer, Api
from tests.harness.deployment import Asked, Deployment
from tests.hostile.faults.cases import REQUESTS, Scene, outcome
from tests.hostile.faults.integrity import assert_nothing_is_half_written
from tests.hostile.faults.sabotage import Tables, Unguarded
from wechat_auth.backend import Backend
from wechat_auth.tokens.table import TokenTable

AUTHORIZE_AGAIN = "422 phone_code_rejected authorize_again"
LOGGED_OUT = "401 session_invalid login_again"
UNDECRYPTABLE = "422 undecryptable login_again"


class Remembering(Api):
    """Remembers the phone code that was sent last; its answers are the other's too."""

    code = ""

    def __init__(self, api: Api) -> None:
        super().__init__(api.url)
        self.answers = api.answers

    def phone(
        self, code: str, *, token: str | None = None, key: str | None = None, **more: object
    ) -> Answer:
        self.code = code
        return super().phone(code, token=token, key=key, **more)


@dataclass(frozen=True, slots=True)
class Others:
    """What everybody else can do meanwhile."""

    scene: Scene
    clock: time_machine.Traveller

    @property
    def same_code(self) -> str:
        return cast("Remembering", self.scene.api).code

    def log_out(self) -> None:
        self.scene.deployment.clear("Sessions")

    def log_in(self) -> None:
        self.scene.token()

    def delete_the_token(self) -> None:
        self.scene.deployment.clear("AccessTokens")

    def renew_the_token(self) -> None:
        environment = self.scene.deployment.stack.environment
        another = Backend(environment.backend().settings, aws=environment.aws)
        another.access_tokens.get(self.scene.phone.appid)

    def renew_the_token_after_the_lease(self) -> None:
        self.clock.shift(16)
        self.renew_the_token()

    def delete_the_record(self) -> None:
        self.scene.deployment.clear("PhoneExchanges")

    def send_the_same_code(self) -> None:
        assert outcome(self.scene.api.phone(self.same_code, key=IDEMPOTENCY_KEY)) == "200"

    def send_the_same_code_once_we_are_given_up(self) -> None:
        self.clock.shift(26)
        assert outcome(self.scene.api.phone(self.same_code, key=IDEMPOTENCY_KEY)) == AUTHORIZE_AGAIN

    def fail_to_decrypt(self) -> None:
        token, tap = self.scene.token(), self.scene.deployment.wechat.phone().tap_phone_number()
        answer = self.scene.api.decrypt(token=token, encryptedData=tap.encrypted_data, iv=tap.iv)
        assert outcome(answer) == UNDECRYPTABLE


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what others do right before one of its calls.

    Attributes:
        request: The request.
        before: The call: operation, table, and which of them.
        meanwhile: What others do.
        answer: What is answered.
        again: What is answered to the very same request afterwards.
        token_calls: How often WeChat is asked for an access_token, by all.
    """

    request: str
    before: tuple[str, str, int]
    meanwhile: Callable[[Others], None]
    answer: str
    again: str
    token_calls: int = 0


_LEASE, _TOKEN = ("UpdateItem", "AccessTokens", 1), ("UpdateItem", "AccessTokens", 2)
_BEGIN, _KEEP = ("PutItem", "PhoneExchanges", 1), ("UpdateItem", "PhoneExchanges", 1)
_READ = ("GetItem", "Sessions", 1)

CASES = [
    Case("POST /phone", _LEASE, Others.renew_the_token, "200", "200", 1),
    Case("POST /phone", _TOKEN, Others.delete_the_token, "200", "200", 2),
    Case("POST /phone", _TOKEN, Others.renew_the_token_after_the_lease, "200", "200", 2),
    Case("POST /phone, classic token", _TOKEN, Others.renew_the_token_after_the_lease, "200",
         "200", 2),
    Case("POST /phone", _BEGIN, Others.send_the_same_code, "200", "200", 1),
    Case("POST /phone", _KEEP, Others.delete_the_record, "200", "200", 1),
    Case("POST /phone", _KEEP, Others.send_the_same_code_once_we_are_given_up, "200", "200", 1),
    Case("POST /phone, with a session", _READ, Others.log_out, LOGGED_OUT, LOGGED_OUT),
    Case("POST /phone, with a session", _BEGIN, Others.log_out, "200", LOGGED_OUT, 1),
    Case("POST /decrypt", ("Query", "Sessions", 1), Others.log_out, LOGGED_OUT, LOGGED_OUT),
    Case("POST /decrypt, one shot", ("Query", "Sessions", 1), Others.log_out, "200",
         "422 login_code_rejected login_again", 1),
    Case("POST /decrypt, not decryptable", ("UpdateItem", "Sessions", 1), Others.fail_to_decrypt,
         UNDECRYPTABLE, UNDECRYPTABLE, 1),
    Case("GET /session", _READ, Others.log_out, LOGGED_OUT, LOGGED_OUT),
    Case("GET /session?verify", _LEASE, Others.log_out, "200", LOGGED_OUT, 1),
    Case("DELETE /session", ("DeleteItem", "Sessions", 1), Others.log_out, "204", LOGGED_OUT),
    Case("DELETE /session?all", ("BatchWriteItem", "Sessions", 1), Others.log_out, "204",
         LOGGED_OUT, 1),
    Case("DELETE /session?all", ("BatchWriteItem", "Sessions", 1), Others.log_in, "204",
         LOGGED_OUT, 1),
    Case("authorizer", _READ, Others.log_out, "403", "403"),
    Case("schedule", _LEASE, Others.renew_the_token, "fresh", "fresh", 1),
    Case("schedule", _TOKEN, Others.delete_the_token, "fresh", "renewed", 2),
]  # fmt: skip


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.request}, {case.meanwhile.__name__}"
)
def test_what_others_change_meanwhile_stands_and_the_answer_is_right(
    api: Api, deployment: Deployment, clock: time_machine.Traveller, asked: Asked, case: Case
) -> None:
    scene, others = both(api, deployment, clock)
    answer, again = changed(scene, others, case)
    assert (answer, again) == (case.answer, case.again)
    assert_nothing_is_half_written(deployment)
    assert asked("getStableAccessToken") + asked("getAccessToken") == case.token_calls
    assert set(deployment.wechat.billed.exchanges.values()) <= {1}
    assert case.token_calls == 0 or stored_token_works_on(others)
    if case.meanwhile is Others.log_in:
        assert len(deployment.items("Sessions")) == 1  # who logs in meanwhile is logged in
    if case.meanwhile is Others.fail_to_decrypt:
        (counter,) = (i for i in deployment.items("Sessions") if i["session"]["S"] == "~failures")
        assert counter["failures"] == {"N": "3"}  # theirs, and ours twice


def test_a_token_that_is_written_without_the_lease_is_found_out(
    api: Api, deployment: Deployment, clock: time_machine.Traveller
) -> None:
    deployment.cold_start(aws=Tables(deployment.stack.environment.aws, Unguarded))
    scene, others = both(api, deployment, clock)
    case = next(case for case in CASES if case.request == "POST /phone, classic token")
    assert changed(scene, others, case) == (case.answer, case.again)
    assert not stored_token_works_on(others)


def both(api: Api, deployment: Deployment, clock: time_machine.Traveller) -> tuple[Scene, Others]:
    scene = Scene(Remembering(api), deployment, deployment.wechat.phone())
    return scene, Others(scene, clock)


def changed(scene: Scene, others: Others, case: Case) -> tuple[str, str]:
    """Make the request while others act; return its answer, and that of the same afterwards."""
    ask = REQUESTS[case.request](scene)
    scene.deployment.cold_start(sleep=others.clock.shift)
    with meanwhile(scene.deployment, case, others):
        answer = ask()
    return answer, ask()


def stored_token_works_on(others: Others) -> bool:
    """Tell whether WeChat takes it when the one before it is dead: 5 minutes after it came."""
    others.clock.shift(600)
    deployment = others.scene.deployment
    backend = deployment.backend
    table = backend.aws.table(backend.settings.access_tokens_table)
    row = TokenTable(table, backend.secrets, clock=time.time).read(others.scene.phone.appid)
    return row.token is not None and deployment.wechat.accepts(row.token)


@contextmanager
def meanwhile(deployment: Deployment, case: Case, others: Others) -> Iterator[None]:
    """Let others act right before the call of the case, and see that it came to that."""
    tables = {table.name: table.logical_id for table in deployment.stack.application.tables}
    waiting = [case.before]

    def before(request: AWSPreparedRequest, event_name: str, **_: object) -> None:
        asked: dict[str, Any] = json.loads(cast("bytes", request.body))
        name = asked.get("TableName") or next(iter(asked["RequestItems"]))
        if not waiting or waiting[0][:2] != (event_name.rpartition(".")[2], tables[name]):
            return
        operation, table, left = waiting.pop()
        if left > 1:
            waiting.append((operation, table, left - 1))
        else:
            case.meanwhile(others)

    hook = cast("Callable[..., None]", before)
    events = deployment.stack.environment.aws.dynamodb.meta.events
    events.register_first("before-send", hook)
    try:
        yield
    finally:
        events.unregister("before-send", hook)
    assert not waiting, "the call was never made"
