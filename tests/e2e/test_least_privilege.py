"""What the functions ask of AWS, on every path there is, is what their roles allow: all of it."""

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import time_machine

from infra.cloudformation import read_document
from local.invocations import ACCOUNT_FUNCTION
from local.simulated_wechat import Fault
from local.stack import TEMPLATE
from local.template import Application
from tests.harness.api import IDEMPOTENCY_KEY, Answer, Api, legacy
from tests.harness.deployment import Deployment

Call = tuple[str, str, str]
"""Function, action, and the logical id of the table or secret, or the account function."""
NOT_OF_THE_CODE = {"logs", "sqs"}
"""What Lambda itself does with a function's role."""


@pytest.fixture
def calls(deployment: Deployment) -> Iterator[set[Call]]:
    """What the functions have asked of AWS; each runs in a thread of its name."""
    accounts = itertools.count()
    deployment.with_account_function(lambda *_: {"accountId": f"u-{next(accounts)}"})
    names = logical_ids(deployment.stack.application) | {ACCOUNT_FUNCTION: "AccountFunctionArn"}
    seen: set[Call] = set()

    def on_call(params: dict[str, Any], event_name: str, **_: object) -> None:
        function = threading.current_thread().name
        if function.startswith("function-"):
            service, operation = event_name.replace("-", "").split(".")[1:]
            given = [params.get(each) for each in ("TableName", "SecretId", "FunctionName")]
            name = names[next(filter(None, given), None) or next(iter(params["RequestItems"]))]
            action = f"{service}:{operation}".replace("lambda:Invoke", "lambda:InvokeFunction")
            seen.add((function.removeprefix("function-"), action, name))

    hook = cast("Callable[..., None]", on_call)
    aws = deployment.stack.environment.aws
    clients = (aws.dynamodb, aws.secrets_manager, aws.lambda_)
    for client in clients:
        client.meta.events.register("provide-client-params", hook)
    yield seen
    for client in clients:
        client.meta.events.unregister("provide-client-params", hook)


def test_every_call_is_allowed_and_every_permission_is_used(
    deployment: Deployment, calls: set[Call], clock: time_machine.Traveller
) -> None:
    api = ColdApi(deployment)
    for path in (
        *(login, phone_number, open_data, session, schedule, authorizer),
        *(introspection, teams_code),
    ):
        path(deployment, api, clock)
    assert calls == allowed(deployment.stack.application)


class ColdApi(Api):
    """Each request meets a new execution environment, since that alone makes every call."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment.stack.url)
        self._deployment = deployment

    def request(self, *args: Any, **kwargs: Any) -> Answer:
        self._deployment.cold_start()
        return super().request(*args, **kwargs)


def login(deployment: Deployment, api: Api, _: time_machine.Traveller) -> None:
    api.logged_in(deployment.wechat.phone())


def phone_number(deployment: Deployment, api: Api, _: time_machine.Traveller) -> None:
    person = deployment.wechat.phone()
    token = api.logged_in(person)
    code = person.tap_phone_number().code
    assert api.phone(code, token=token).status == 200
    assert api.phone(code, token=token).status == 200
    other = person.tap_phone_number().code
    assert api.phone(other, token=token, key=IDEMPOTENCY_KEY).status == 200
    assert api.phone("f" * 64, token=token).problem[1] == "phone_code_rejected"


def open_data(deployment: Deployment, api: Api, clock: time_machine.Traveller) -> None:
    person = deployment.wechat.phone()
    token = api.logged_in(person)
    for _ in range(6):  # so that the first session is none of the newest
        clock.shift(1)
        api.logged_in(person)
    deployment.clear("AccessTokens")
    assert api.decrypt(token=token, **legacy(person.tap_phone_number())).status == 200
    assert api.decrypt(token=token, encryptedData="A" * 64, iv="A" * 22 + "==").status == 422
    tap = legacy(person.tap_phone_number())
    assert api.decrypt(code=person.login(), **tap).status == 200
    assert (
        api.decrypt(code=person.login(), encryptedData="A" * 64, iv="A" * 22 + "==").status == 422
    )


def session(deployment: Deployment, api: Api, clock: time_machine.Traveller) -> None:
    person = deployment.wechat.phone()
    assert api.logout(api.logged_in(person)).status == 204
    token = api.logged_in(person)
    assert api.session(token, "?verify=true").status == 200
    clock.shift(20)  # the access_token is not young any more
    deployment.wechat.faults.add(
        Fault(endpoint="resetUserSessionKey", kind="errcode", errcode=40001)
    )
    assert api.logout(token, "?all=true").status == 204
    deployment.wechat.faults.clear()


def schedule(deployment: Deployment, _: Api, clock: time_machine.Traveller) -> None:
    clock.shift(7000)
    deployment.cold_start()
    outcome = deployment.stack.invoke("refresh_access_token", {})
    assert outcome == {deployment.stack.appid: "renewed"}


def authorizer(deployment: Deployment, api: Api, _: time_machine.Traveller) -> None:
    token = api.logged_in(deployment.wechat.phone())
    deployment.cold_start()
    event = {"headers": {"authorization": f"Bearer {token}"}}
    assert deployment.stack.invoke("authorizer", event)["isAuthorized"] is True


def introspection(deployment: Deployment, api: Api, _: time_machine.Traveller) -> None:
    assert api.introspect(api.logged_in(deployment.wechat.phone())).json["active"] is True


def teams_code(deployment: Deployment, api: Api, _: time_machine.Traveller) -> None:
    person = deployment.wechat.phone()
    api.logged_in(person)
    deployment.clear("AccessTokens")
    deployment.cold_start()
    assert deployment.stack.invoke("access_token", {"appid": person.appid})["accessToken"]
    deployment.cold_start()
    payload = {"appid": person.appid, "openids": [person.openid]}
    assert deployment.stack.invoke("end_sessions", payload) == {"ended": 1}


def allowed(application: Application) -> set[Call]:
    """Return what the template's roles allow the code of their functions."""
    roles = read_document(TEMPLATE)["Resources"]
    return {
        (function.name, action, logical_id(resource))
        for function in application.functions.values()
        for policy in roles[function.logical_id.replace("Function", "Role")]["Properties"][
            "Policies"
        ]
        for statement in map(if_there_is_one, policy["PolicyDocument"]["Statement"])
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
        if action.partition(":")[0] not in NOT_OF_THE_CODE
    }


def logical_ids(application: Application) -> dict[str, str]:
    tables = {table.name: table.logical_id for table in application.tables}
    return tables | {secret.name: secret.logical_id for secret in application.secrets}


def logical_id(resource: dict[str, Any]) -> str:
    (value,) = resource.values()
    return str(value[0] if isinstance(value, list) else value)


def if_there_is_one(statement: dict[str, Any]) -> dict[str, Any]:
    """Return a statement, or what it is if there is an account function."""
    chosen: dict[str, Any] = statement["Fn::If"][1] if "Fn::If" in statement else statement
    return chosen


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
