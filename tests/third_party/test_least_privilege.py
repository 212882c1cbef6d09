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
from tests.third_party.conftest import MERCHANT, OK, Scene

Call = tuple[str, str, str]
"""Function, action, and the logical id of the table, secret or queue, or the account function."""
FED_BY_A_QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
NOT_OF_THE_CODE = {"logs:CreateLogStream", "logs:PutLogEvents", *FED_BY_A_QUEUE}
"""What Lambda itself does with a function's role, beside reporting failed renewals."""


@pytest.fixture
def calls(scene: Scene) -> Iterator[set[Call]]:
    """What the functions have asked of AWS; each runs in a thread of its name."""
    deployment, accounts = scene.deployment, itertools.count()
    deployment.with_account_function(lambda *_: {"accountId": f"u-{next(accounts)}"})
    names = logical_ids(deployment.stack.application) | {ACCOUNT_FUNCTION: "AccountFunctionArn"}
    seen: set[Call] = set()

    def on_call(params: dict[str, Any], event_name: str, **_: object) -> None:
        function = threading.current_thread().name
        if function.startswith("function-"):
            service, operation = event_name.replace("-", "").split(".")[1:]
            named = ("TableName", "SecretId", "FunctionName", "QueueUrl")
            given = [params.get(each) for each in named]
            name = names[next(filter(None, given), None) or next(iter(params["RequestItems"]))]
            action = f"{service}:{operation}".replace("lambda:Invoke", "lambda:InvokeFunction")
            seen.add((function.removeprefix("function-"), action, name))

    hook = cast("Callable[..., None]", on_call)
    aws = deployment.stack.environment.aws
    clients = (aws.dynamodb, aws.secrets_manager, aws.lambda_, aws.patient_lambda, aws.sqs)
    for client in clients:
        client.meta.events.register("provide-client-params", hook)
    yield seen
    for client in clients:
        client.meta.events.unregister("provide-client-params", hook)


def test_every_call_is_allowed_and_every_permission_is_used(
    scene: Scene, calls: set[Call], clock: time_machine.Traveller
) -> None:
    deployment = scene.deployment
    api = ColdApi(deployment)
    for path in (
        *(login, phone_number, open_data, session, schedule, authorizer),
        *(introspection, teams_code),
    ):
        path(deployment, api, clock)
    platform(scene, api)
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
    assert outcome[deployment.stack.appid] == "renewed"


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


def platform(scene: Scene, api: Api) -> None:
    """Go the paths of WeChat's pushes and of a merchant's user."""
    deployment, stack = scene.deployment, scene.deployment.stack

    def cold() -> None:
        deployment.clear("AccessTokens")
        deployment.cold_start()

    cold()
    assert scene.push(scene.platform.ticket()) == OK
    cold()
    assert scene.push(scene.platform.authorize(MERCHANT)) == OK
    cold()
    assert stack.queues.work_off() == 1
    person = deployment.wechat.phone(MERCHANT)
    cold()
    token = api.login(person.login(), appid=MERCHANT).json["token"]
    cold()
    assert api.phone(person.tap_phone_number().code, token=token).status == 200
    cold()
    assert api.decrypt(token=token, **legacy(person.tap_phone_number())).status == 200
    cold()
    assert api.session(token, "?verify=true").status == 200
    event = {"headers": {"authorization": f"Bearer {token}"}}
    cold()
    assert stack.invoke("authorizer", event)["isAuthorized"] is True
    assert api.introspect(token).json["active"] is True
    cold()
    assert stack.invoke("access_token", {"appid": MERCHANT})["accessToken"]
    cold()
    assert stack.invoke("merchants", {"page": "https://example.com/"})["links"]
    assert len(stack.invoke("merchants", {})["merchants"]) == 1
    cold()
    assert stack.invoke("end_sessions", {"appid": MERCHANT, "openids": [person.openid]})["ended"]
    cold()
    assert scene.schedule()[MERCHANT] == "renewed"
    cold()
    own = deployment.wechat.phone()
    api.logged_in(own)
    closed = deployment.wechat.message_push().event("user_authorization_cancellation", own.openid)
    assert deployment.push(closed) == OK
    cold()
    assert stack.queues.work_off() == 1
    cold()
    scene.withdrawn()


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
        if action not in NOT_OF_THE_CODE and logical_id(resource) != "FailedRenewals"
    }


def logical_ids(application: Application) -> dict[str, str]:
    tables = {table.name: table.logical_id for table in application.tables}
    queues = {queue.url: queue.name for queue in application.queues}
    return tables | queues | {secret.name: secret.logical_id for secret in application.secrets}


def logical_id(resource: dict[str, Any]) -> str:
    (value,) = resource.values()
    return str(value[0] if isinstance(value, list) else value)


def if_there_is_one(statement: dict[str, Any]) -> dict[str, Any]:
    """Return a statement, or what it is if there are an account function and a platform."""
    chosen: dict[str, Any] = statement["Fn::If"][1] if "Fn::If" in statement else statement
    return chosen


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
