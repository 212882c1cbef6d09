"""Each permission of each role is missed by some step as soon as it is taken away."""

import io
import json
import secrets
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from local import demo
from local.demo import Walk, expect_problem
from local.deployment import APPID, Deployment
from local.simulated_wechat import Fault, ThirdPartyPlatform
from local.simulated_wechat.message_push import Answered
from local.template import ACCOUNT_ID, REGION
from tests.deployed.conftest import eventually, restart
from tests.harness.figures import Say

NOT_JUDGED = {
    "logs:CreateLogStream": "Lambda's log delivery",
    "logs:PutLogEvents": "Lambda's log delivery",
    "sqs:ReceiveMessage": "Lambda's reading of a queue",
    "sqs:DeleteMessage": "Lambda's reading of a queue",
    "sqs:GetQueueAttributes": "Lambda's reading of a queue",
    "RefreshAccessTokenRole sqs:SendMessage": "Lambda's failure destination",
    "RefreshScheduleRole sqs:SendMessage": "the schedule's dead-letter queue",
    "RefreshScheduleRole lambda:InvokeFunction": "the schedule's start of its target",
}
"""What services of AWS do with a role; the emulator does it without asking whether they may."""
FED_BY_A_QUEUE = ("UserEventsRole", "PlatformEventsRole")
MERCHANT = "wx0000000000abc010"
ACCOUNT_FUNCTION = """
import uuid

def handler(event, context):
    return {"accountId": uuid.uuid4().hex}
"""
READS = """
import boto3
from botocore.exceptions import ClientError

def handler(tables, context):
    answers = {}
    for name, table in tables.items():
        try:
            boto3.client("dynamodb").get_item(TableName=table, Key={"none": {"S": "none"}})
        except ClientError as error:
            answers[name] = error.response["Error"]["Code"]
    return answers
"""
TABLES = {"Sessions", "AccessTokens", "PhoneExchanges", "Platform"}


@pytest.fixture(scope="module", autouse=True)
def account_function(deployment: Deployment) -> Iterator[None]:
    """Deploy the stack with an account function, which tells the client nothing."""
    with function(deployment, "account", "AuthorizerRole", ACCOUNT_FUNCTION) as arn:
        deployment.deploy(AccountFunctionArn=arn)
        deployment.store_app_secrets()
        yield
        deployment.deploy()


@contextmanager
def function(deployment: Deployment, name: str, role: str, code: str) -> Iterator[str]:
    """Create a function of this code beside the stack's, with the role of one of those."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("app.py", code)
    client, resources = deployment.client("lambda"), deployment.resources
    (layer,) = (each.id for key, each in resources.items() if key.startswith("AuthLayer"))
    yield client.create_function(
        FunctionName=f"{deployment.name}-{name}",
        Runtime="python3.13",
        Handler="app.handler",
        Role=f"arn:aws:iam::{ACCOUNT_ID}:role/{resources[role].id}",
        Code={"ZipFile": packed.getvalue()},
        Layers=[layer],
        Environment={"Variables": {"AWS_ENDPOINT_URL": deployment.aws_url}},
    )["FunctionArn"]
    client.delete_function(FunctionName=f"{deployment.name}-{name}")


@pytest.fixture(scope="module", autouse=True)
def no_schedule(deployment: Deployment) -> Iterator[None]:
    """While this goes on, nobody else renews the access_token."""
    scheduler, name = deployment.client("scheduler"), f"{deployment.name}-refresh_access_token"
    schedule = scheduler.get_schedule(Name=name)
    kept = ("Name", "ScheduleExpression", "FlexibleTimeWindow", "Target")
    kept_schedule = {each: schedule[each] for each in kept}
    scheduler.update_schedule(**kept_schedule, State="DISABLED")
    yield
    scheduler.update_schedule(**kept_schedule, State="ENABLED")


@pytest.fixture(scope="module", autouse=True)
def merchant(deployment: Deployment, account_function: None, no_schedule: None) -> Iterator[None]:
    """A merchant authorises the platform, and gets another refresh token with each access_token."""
    assert deployment.wechat.platform
    deployment.wechat.platform.rotates = True
    deployment.wechat.authorize(MERCHANT)
    assert eventually(lambda: passes(deployment, "LoginRole"), 30)
    yield
    deployment.wechat.withdraw(MERCHANT)


@pytest.fixture(scope="module", autouse=True)
def no_queues(deployment: Deployment, merchant: None) -> Iterator[None]:
    """While this goes on, nobody calls the functions that work off the queues but the steps.

    The emulator fails a call that comes while a function restarts.
    """
    client = deployment.client("lambda")
    mappings = client.list_event_source_mappings()["EventSourceMappings"]
    assert len(mappings) == len(FED_BY_A_QUEUE)
    for mapping in mappings:
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    yield
    for mapping in mappings:
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


@dataclass(slots=True, kw_only=True)
class DeployedWalk(Walk):
    deployment: Deployment

    def of_merchant(self) -> "DeployedWalk":
        """Another person, in the mini-program of the merchant."""
        return replace(self, app={"appid": MERCHANT}, phone=f"{self.phone}-merchant", token="")

    @property
    def openid(self) -> str:
        return self.deployment.wechat.phone(self.app.get("appid"), name=self.phone).openid

    @property
    def platform(self) -> ThirdPartyPlatform:
        assert self.deployment.wechat.platform
        return self.deployment.wechat.platform


def undecryptable(walk: DeployedWalk) -> None:
    """Undecryptable data: a failure is counted."""
    demo.login(walk)
    answer = walk.api("POST", "/decrypt", RUBBISH, walk.token)
    expect_problem(answer, 422, "undecryptable", "login_again")


def failed_one_shot(walk: DeployedWalk) -> None:
    """A login whose data does not decrypt leaves no session."""
    before = sessions(walk.deployment)
    answer = walk.api("POST", "/decrypt", {**RUBBISH, "code": walk.login_code()})
    expect_problem(answer, 422, "undecryptable", "login_again")
    assert sessions(walk.deployment) == before


def decrypt_after_logout(walk: DeployedWalk) -> None:
    """POST /decrypt with a session that has ended."""
    demo.login(walk)
    demo.logout(walk)
    answer = walk.api("POST", "/decrypt", RUBBISH, walk.token)
    expect_problem(answer, 401, "session_invalid", "login_again")


def waits_for_another(walk: DeployedWalk) -> None:
    """A code that another request is exchanging: both get the number."""
    body = {"code": walk.tap()["code"]}
    slow = Fault("getPhoneNumber", "latency", seconds=1)
    walk.deployment.wechat.faults.add(slow)
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(walk.api, "POST", "/phone", body, walk.token) for _ in range(2)]
        for each in asked:
            demo.expect_number(each.result())


def refused_phone_code(walk: DeployedWalk) -> None:
    """A phone code that WeChat refuses is free again."""
    before = codes_in_progress(walk.deployment)
    answer = walk.api("POST", "/phone", {"code": secrets.token_hex(32)}, walk.token)
    expect_problem(answer, 422, "phone_code_rejected", "authorize_again")
    assert codes_in_progress(walk.deployment) == before


def authorize(walk: DeployedWalk) -> None:
    """A request to a route of one's own."""
    demo.login(walk)
    event = {"headers": {"authorization": f"Bearer {walk.token}"}}
    assert walk.deployment.invoke("authorizer", event)["isAuthorized"] is True


def lend(walk: DeployedWalk) -> None:
    """The team's code asks for the access_token."""
    assert walk.deployment.invoke("access_token", dict(walk.app))["accessToken"]


def end_sessions(walk: DeployedWalk) -> None:
    """The team's code logs a user out."""
    demo.login(walk)
    event = {**walk.app, "openids": [walk.openid]}
    assert walk.deployment.invoke("end_sessions", event) == {"ended": 1}


def renew(walk: DeployedWalk) -> None:
    """The renewal of the access_token, and of a merchant's."""
    outcome = walk.deployment.invoke("refresh_access_token", {})
    assert {APPID: "renewed", MERCHANT: "renewed"}.items() <= outcome.items()
    assert set(outcome.values()) <= {"renewed", "0 found"}


def merchants_login(walk: DeployedWalk) -> None:
    """A merchant's user logs in."""
    demo.login(walk.of_merchant())


def merchants_number(walk: DeployedWalk) -> None:
    """A phone number, by a merchant's access_token."""
    with refresh_token_kept(walk) as person:
        demo.login(person)
        demo.phone(person)


def merchants_data(walk: DeployedWalk) -> None:
    """Open data, by a merchant's access_token."""
    with refresh_token_kept(walk) as person:
        demo.login(person)
        demo.decrypt(person)


def merchants_session(walk: DeployedWalk) -> None:
    """GET /session?verify=true, by a merchant's access_token."""
    with refresh_token_kept(walk) as person:
        demo.login(person)
        demo.check_session_at_wechat(person)


def merchants_token(walk: DeployedWalk) -> None:
    """The team's code asks for a merchant's access_token."""
    with refresh_token_kept(walk) as person:
        lend(person)


def renewed_merchant(walk: DeployedWalk) -> None:
    """The refresh token that a renewal brings is kept."""
    with refresh_token_kept(walk):
        renew(walk)


def merchants_caller(walk: DeployedWalk) -> None:
    """A request of a merchant's user to a route of one's own."""
    authorize(walk.of_merchant())


def merchants_introspection(walk: DeployedWalk) -> None:
    """POST /introspect about a merchant's user."""
    person = walk.of_merchant()
    demo.login(person)
    demo.introspect(person)


def end_merchants_sessions(walk: DeployedWalk) -> None:
    """The team's code logs a merchant's user out."""
    end_sessions(walk.of_merchant())


def ticket(walk: DeployedWalk) -> None:
    """WeChat pushes a ticket."""
    assert walk.platform.ticket().send(walk.platform.push.url) == HEARD


def user_event(walk: DeployedWalk) -> None:
    """WeChat pushes an event about a user."""
    push = walk.deployment.wechat.message_push(APPID)
    assert push.event("user_info_modified", walk.openid).send(push.url) == HEARD


def platform_event(walk: DeployedWalk) -> None:
    """WeChat pushes that a merchant has withdrawn its authorisation."""
    assert walk.platform.withdraw(new_appid()).send(walk.platform.push.url) == HEARD


def account_closed(walk: DeployedWalk) -> None:
    """A user has closed the account."""
    demo.login(walk)
    event = {"event": "user_authorization_cancellation", "appid": APPID, "openid": walk.openid}
    from_queue(walk, "user_events", {**event, "at": int(time.time())})


def taken_up(walk: DeployedWalk) -> None:
    """A merchant authorises the platform, and withdraws that."""
    appid = new_appid()
    walk.platform.authorize(appid)
    authorized = walk.platform.authorizations[appid]
    event = {"appid": appid, "at": authorized.authorized_at}
    from_queue(walk, "platform_events", {**event, "code": authorized.code})
    assert authorized.taken_up
    walk.platform.withdraw(appid)
    from_queue(walk, "platform_events", event)


def merchants(walk: DeployedWalk) -> None:
    """An operator asks who has authorised the platform."""
    found = walk.deployment.invoke("merchants", {})["merchants"]
    assert [each["appid"] for each in found] == [MERCHANT]


def links(walk: DeployedWalk) -> None:
    """An operator asks for the links by which a merchant authorises it."""
    assert walk.deployment.invoke("merchants", {"page": "https://example.com/"})["links"]


def from_queue(walk: DeployedWalk, function: str, message: object) -> None:
    """Give a function what Lambda would read from its queue, and see that it is done with it."""
    record = {"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps(message)}
    assert walk.deployment.invoke(function, {"Records": [record]}) == {"batchItemFailures": []}


@contextmanager
def refresh_token_kept(walk: DeployedWalk) -> Iterator[DeployedWalk]:
    """Give a merchant's user; in the end there must be another refresh token of the merchant's."""

    def kept() -> bytes:
        (item,) = (i for i in items(walk.deployment, "Platform") if i["appid"]["S"] == MERCHANT)
        sealed: bytes = item["sealed"]["B"]
        return sealed

    before = kept()
    yield walk.of_merchant()
    assert kept() != before


def new_appid() -> str:
    return f"wx{secrets.token_hex(8)}"


HEARD = Answered(200, "success")
RUBBISH = {"encryptedData": "A" * 64, "iv": "A" * 22 + "=="}
STEPS: dict[str, tuple[str, tuple[Callable[[DeployedWalk], object], ...]]] = {
    "LoginRole": ("login", (demo.login, merchants_login)),
    "PhoneRole": (
        "phone",
        (
            demo.login,
            demo.phone,
            demo.same_code_again,
            waits_for_another,
            refused_phone_code,
            merchants_number,
        ),
    ),
    "DecryptRole": (
        "decrypt",
        (
            demo.login,
            demo.decrypt,
            demo.one_shot,
            undecryptable,
            failed_one_shot,
            decrypt_after_logout,
            merchants_data,
        ),
    ),
    "SessionRole": (
        "session",
        (
            demo.login,
            demo.check_session,
            demo.check_session_at_wechat,
            demo.logout,
            demo.logout_everywhere,
            merchants_session,
        ),
    ),
    "AuthorizerRole": ("authorizer", (authorize, merchants_caller)),
    "IntrospectRole": ("introspect", (demo.login, demo.introspect, merchants_introspection)),
    "WeChatPushRole": ("wechat_push", (ticket, user_event, platform_event)),
    "UserEventsRole": ("user_events", (account_closed,)),
    "PlatformEventsRole": ("platform_events", (taken_up,)),
    "MerchantsRole": ("merchants", (merchants, links)),
    "AccessTokenRole": ("access_token", (lend, merchants_token)),
    "EndSessionsRole": ("end_sessions", (end_sessions, end_merchants_sessions)),
    "RefreshAccessTokenRole": ("refresh_access_token", (renewed_merchant,)),
}
"""By role: its function, and steps that need it."""


@dataclass(frozen=True)
class Permission:
    role: str
    action: str
    resource: str

    @property
    def is_judged(self) -> bool:
        return NOT_JUDGED.keys().isdisjoint({self.action, f"{self.role} {self.action}"})


class Policies:
    """The inline policies of the stack's roles: one permission can be taken out at a time."""

    def __init__(self, deployment: Deployment) -> None:
        self._iam = deployment.client("iam")
        self._roles = {
            name: resource.id
            for name, resource in deployment.resources.items()
            if resource.type == "AWS::IAM::Role"
        }

    def __iter__(self) -> Iterator[Permission]:
        for role, role_name in self._roles.items():
            for policy in self._iam.list_role_policies(RoleName=role_name)["PolicyNames"]:
                for statement in self._document(role, policy)["Statement"]:
                    for action in as_list(statement["Action"]):
                        for resource in as_list(statement["Resource"]):
                            yield Permission(role, action, resource)

    @contextmanager
    def without(self, taken: Permission) -> Iterator[None]:
        (policy,) = self._iam.list_role_policies(RoleName=self._roles[taken.role])["PolicyNames"]
        before = self._document(taken.role, policy)
        left = [
            {"Effect": "Allow", "Action": each.action, "Resource": each.resource}
            for each in self
            if each.role == taken.role and each != taken
        ]
        self._put(taken.role, policy, {**before, "Statement": left})
        yield
        self._put(taken.role, policy, before)

    def allow(self, role: str, action: str, resource: str) -> bool:
        """Ask IAM's policy simulator."""
        reply = self._iam.simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{ACCOUNT_ID}:role/{self._roles[role]}",
            ActionNames=[action],
            ResourceArns=[resource],
        )
        return bool(reply["EvaluationResults"][0]["EvalDecision"] == "allowed")

    def _document(self, role: str, policy: str) -> dict[str, Any]:
        reply = self._iam.get_role_policy(RoleName=self._roles[role], PolicyName=policy)
        document: dict[str, Any] = reply["PolicyDocument"]
        return document

    def _put(self, role: str, policy: str, document: dict[str, Any]) -> None:
        self._iam.put_role_policy(
            RoleName=self._roles[role], PolicyName=policy, PolicyDocument=json.dumps(document)
        )


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def items(deployment: Deployment, table: str) -> list[dict[str, Any]]:
    reply = deployment.client("dynamodb").scan(TableName=deployment.resources[table].id)
    found: list[dict[str, Any]] = reply["Items"]
    return found


def sessions(deployment: Deployment) -> int:
    return len([item for item in items(deployment, "Sessions") if "sealed" in item])


def codes_in_progress(deployment: Deployment) -> int:
    return len([item for item in items(deployment, "PhoneExchanges") if "sealed" not in item])


def forget(deployment: Deployment, role: str) -> None:
    """Leave nothing in the memory of a role's function, and no access_token in the table."""
    restart(deployment, STEPS[role][0])
    for item in items(deployment, "AccessTokens"):
        deployment.client("dynamodb").delete_item(
            TableName=deployment.resources["AccessTokens"].id, Key={"appid": item["appid"]}
        )


def failing_step(deployment: Deployment, role: str) -> str:
    """Take a role's steps to the first that fails, and return what it is; "" if all pass."""
    walk = DeployedWalk(deployment.url, deployment.wechat_url, deployment=deployment)
    for step in STEPS[role][1]:
        try:
            step(walk)
        except (AssertionError, KeyError, demo.StepError):
            return str(step.__doc__)
    return ""


def passes(deployment: Deployment, role: str) -> bool:
    """Take all of a role's steps, with nothing in its function's memory."""
    forget(deployment, role)
    return not failing_step(deployment, role)


def test_each_step_passes_with_the_permissions_of_the_template(deployment: Deployment) -> None:
    for role in STEPS:
        assert passes(deployment, role), role


@pytest.mark.timeout(900)
def test_each_permission_is_missed_by_a_step_if_it_is_taken_away(
    deployment: Deployment, say: Say
) -> None:
    policies, unmissed = Policies(deployment), []
    judged = [each for each in policies if each.is_judged]
    for role in STEPS:
        for permission in [each for each in judged if each.role == role]:
            forget(deployment, role)
            with policies.without(permission):
                step = failing_step(deployment, role)
            if not step:
                unmissed.append(permission)
            arn = permission.resource.removeprefix("arn:aws:")
            name = arn.split(deployment.name)[1].split("-")[1]
            say(f"{role:23} {permission.action:30} {name:15} {step or 'NOTHING'}")
        assert passes(deployment, role), f"{role} with all its permissions again"
    assert {each.role for each in judged} == STEPS.keys()
    for what, by in NOT_JUDGED.items():
        say(f"not judged by the emulator: {what:41}  {by}")
    assert unmissed == []


@pytest.mark.parametrize(
    ("role", "readable"),
    [
        ("WeChatPushRole", set()),
        ("UserEventsRole", set()),
        ("PlatformEventsRole", {"AccessTokens", "Platform"}),
        ("MerchantsRole", {"AccessTokens", "Platform"}),
    ],
)
def test_what_a_role_was_not_given_it_is_refused(
    deployment: Deployment, role: str, readable: set[str]
) -> None:
    tables = {name: deployment.resources[name].id for name in TABLES}
    with function(deployment, "reads", role, READS):
        answers = deployment.invoke("reads", tables)
    refused = {name for name, code in answers.items() if code == "AccessDeniedException"}
    assert refused == TABLES - readable, answers
    assert {answers[name] for name in readable} <= {"ValidationException"}


def test_what_the_emulator_does_not_judge_is_allowed_on_what_the_stack_names(
    deployment: Deployment,
) -> None:
    name = f"{deployment.name}-refresh_access_token"
    target = deployment.client("scheduler").get_schedule(Name=name)["Target"]
    said = deployment.client("lambda").get_function_event_invoke_config(
        FunctionName=name, Qualifier="$LATEST"
    )
    queue = said["DestinationConfig"]["OnFailure"]["Destination"]
    wanted = {
        ("RefreshScheduleRole", "lambda:InvokeFunction", target["Arn"]),
        ("RefreshScheduleRole", "sqs:SendMessage", target["DeadLetterConfig"]["Arn"]),
        ("RefreshAccessTokenRole", "sqs:SendMessage", queue),
    }
    for role in FED_BY_A_QUEUE:
        (mapping,) = deployment.client("lambda").list_event_source_mappings(
            FunctionName=f"{deployment.name}-{STEPS[role][0]}"
        )["EventSourceMappings"]
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            wanted.add((role, f"sqs:{action}", mapping["EventSourceArn"]))
    for role, (function, _) in STEPS.items():
        group = f"log-group:/aws/lambda/{deployment.name}-{function}"
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:{group}:log-stream:2026/11/26/[1]0"
        wanted |= {(role, action, arn) for action in NOT_JUDGED if action.startswith("logs:")}
    policies = Policies(deployment)
    granted = {(each.role, each.action) for each in policies if not each.is_judged}
    assert granted == {(role, action) for role, action, _ in wanted}
    assert [each for each in sorted(wanted) if not policies.allow(*each)] == []
