"""One stack for the fuzz, and everybody's secrets."""

from typing import Any

import pytest

from local.invocations import Handler
from tests.harness.deployment import Deployment
from tests.harness.fixtures import stack_with_platform as running_stack
from tests.harness.fixtures import without_platform as deployment
from tests.harness.leaks import Secrets
from tests.hostile.fuzz.people import People

__all__ = ["deployment", "people", "running_stack"]


@pytest.fixture
def people(deployment: Deployment) -> People:
    """Few failures a day, so that one who fails often is refused soon."""
    deployment.configure(DECRYPT_FAILURES_PER_DAY="10")
    secrets = Secrets()
    deployment.with_account_function(
        account_function(
            accountId=secrets.note("account id", "an-account-of-the-teams"),
            claims={"vip": secrets.note("claim", "a-claim-of-the-teams")},
        )
    )
    return People(deployment.wechat, deployment.stack.url, secrets)


def account_function(**known: object) -> Handler:
    """Return an account function that knows everybody, and refuses some by what they sent.

    Not by chance: the same requests are to have the same answers.
    """

    def answer(event: dict[str, Any], _: object) -> dict[str, object]:
        if event["event"] == "login":
            return {**known, "account": {"isNew": False, "needsPhone": True}}
        if "openid" not in event or event["by"] == "cloudID":
            return {"refuse": {"title": "该账号已注销", "code": "account_closed"}}
        return {**known, "account": {"isNew": True}}

    return answer
