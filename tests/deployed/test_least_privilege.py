"""Each permission of each role is missed by some step as soon as it is taken away."""

import io
import json
import secrets
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from local import demo
from local.demo import Walk, expect_problem
from local.deployment import Deployment
from local.simulated_wechat import Fault
from local.template import ACCOUNT_ID, REGION
from tests.deployed.conftest import eventually, restart
from tests.harness.figures import Say

KEPT_IN_MEMORY = ("AccessTokens", "AppSecrets", "KeyRing", "ApiClients")
NOT_JUDGED = {
    "logs:CreateLogStream": "Lambda's log delivery",
    "logs:PutLogEvents": "Lambda's log delivery",
    "sqs:SendMessage": "Lambda's failure destination, the schedule's dead-letter queue",
}
"""What services of AWS do with a role; the emulator does it without asking whether they may."""
STARTS_ITS_TARGET = ("RefreshScheduleRole", "lambda:InvokeFunction")
"""By the schedule, which the emulator does not ask either."""
ACCOUNT_FUNCTION = """
import uuid

def handler(event, context):
    return {"accountId": uuid.uuid4().hex}
"""


@pytest.fixture(scope="module", autouse=True)
def account_function(deployment: Deployment) -> Iterator[None]:
    """Deploy the stack with an account function, which tells the client nothing."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr("app.py", ACCOUNT_FUNCTION)
    name = f"{deployment.name}-account"
    arn = deployment.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler="app.handler",
        Role=f"arn:aws:iam::{ACCOUNT_ID}:role/{deployment.resources['AuthorizerRole'].id}",
        Code={"ZipFile": packed.getvalue()},
    )["FunctionArn"]
    deployment.deploy(AccountFunctionArn=arn)
    deployment.store_app_secrets()
    yield
    deployment.deploy()
    deployment.client("lambda").delete_function(FunctionName=name)


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


@dataclass(slots=True, kw_only=True)
class DeployedWalk(Walk):
    deployment: Deployment


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
    assert walk.deployment.invoke("access_token", {})["accessToken"]


def end_sessions(walk: DeployedWalk) -> None:
    """The team's code logs a user out."""
    demo.login(walk)
    person = walk.deployment.wechat.people[-1]
    assert walk.deployment.invoke("end_sessions", {"openids": [person.openid]}) == {"ended": 1}


def renew(walk: DeployedWalk) -> None:
    """The renewal of the access_token."""
    assert list(walk.deployment.invoke("refresh_access_token", {}).values()) == ["renewed"]


RUBBISH = {"encryptedData": "A" * 64, "iv": "A" * 22 + "=="}
STEPS: dict[str, tuple[str, tuple[Callable[[DeployedWalk], object], ...]]] = {
    "LoginRole": ("login", (demo.login,)),
    "PhoneRole": (
        "phone",
        (
            demo.login,
            demo.phone,
            demo.same_code_again,
            waits_for_another,
            refused_phone_code,
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
        ),
    ),
    "AuthorizerRole": ("authorizer", (authorize,)),
    "IntrospectRole": ("introspect", (demo.login, demo.introspect)),
    "AccessTokenRole": ("access_token", (lend,)),
    "EndSessionsRole": ("end_sessions", (end_sessions,)),
    "RefreshAccessTokenRole": ("refresh_access_token", (renew,)),
}
"""By role: its function, and steps that need it."""


@dataclass(frozen=True)
class Permission:
    role: str
    action: str
    resource: str

    @property
    def is_judged(self) -> bool:
        return self.action not in NOT_JUDGED and (self.role, self.action) != STARTS_ITS_TARGET


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
    for permission in [each for each in policies if each.is_judged]:
        # What the one before brought about is over: functions remember a missing secret for 5 s.
        assert eventually(partial(passes, deployment, permission.role), 60), permission
        if any(name in permission.resource for name in KEPT_IN_MEMORY):
            forget(deployment, permission.role)
        with policies.without(permission):
            step = failing_step(deployment, permission.role)
        if not step:
            unmissed.append(permission)
        name = permission.resource.removeprefix("arn:aws:").split(deployment.name)[1].split("-")[1]
        say(f"{permission.role:23} {permission.action:30} {name:15} {step or 'NOTHING'}")
    for action, what in NOT_JUDGED.items():
        say(f"not judged by the emulator: {action:22}  {what}")
    say(
        f"not judged by the emulator: {STARTS_ITS_TARGET[1]:22}  the schedule's start of its target"
    )
    assert unmissed == []


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
    for role, (function, _) in STEPS.items():
        group = f"log-group:/aws/lambda/{deployment.name}-{function}"
        arn = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:{group}:log-stream:2026/11/26/[1]0"
        wanted |= {(role, action, arn) for action in NOT_JUDGED if action.startswith("logs:")}
    policies = Policies(deployment)
    granted = {(each.role, each.action) for each in policies if not each.is_judged}
    assert granted == {(role, action) for role, action, _ in wanted}
    assert [each for each in sorted(wanted) if not policies.allow(*each)] == []
