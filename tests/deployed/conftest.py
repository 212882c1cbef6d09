"""One stack, deployed by SAM to an emulated AWS with IAM enforced; `make test-deployed` builds."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.deployment import Deployment, start
from tests.harness.api import Api


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    with start("wechat-auth-test") as deployment:
        deployment.deploy()
        deployment.store_app_secrets()
        deployment.add_api_client()
        yield deployment


@pytest.fixture
def api(deployment: Deployment) -> Api:
    return Api(deployment.url)


def restart(deployment: Deployment, function: str, handler: str = "app.handler") -> None:
    """Let a function start again with an empty memory, as it is or with another handler."""
    deployment.client("lambda").update_function_configuration(
        FunctionName=f"{deployment.name}-{function}", Handler=handler
    )


@contextmanager
def another_stack(deployment: Deployment, template: object) -> Iterator[dict[str, str]]:
    """Create a stack beside the deployed one; yields its physical ids by logical id."""
    cloudformation, wait = deployment.client("cloudformation"), {"Delay": 1}
    body = template if isinstance(template, str) else json.dumps(template)
    try:
        cloudformation.create_stack(
            StackName="another", TemplateBody=body, Capabilities=["CAPABILITY_IAM"]
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        waiter.wait(StackName="another", WaiterConfig=wait)
        listed = cloudformation.list_stack_resources(StackName="another")
        yield {
            each["LogicalResourceId"]: each["PhysicalResourceId"]
            for each in listed["StackResourceSummaries"]
        }
    finally:
        delete(deployment, "another")


def delete(deployment: Deployment, stack_name: str) -> None:
    cloudformation = deployment.client("cloudformation")
    cloudformation.delete_stack(StackName=stack_name)
    waiter = cloudformation.get_waiter("stack_delete_complete")
    waiter.wait(StackName=stack_name, WaiterConfig={"Delay": 1})


def eventually(what: Callable[[], Any], seconds: float) -> Any:
    """Return what is true in the end; the emulator's clock is the real one."""
    until = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def lines(deployment: Deployment, group: str, since: float = 0) -> list[str]:
    pages = deployment.client("logs").get_paginator("filter_log_events")
    return [
        event["message"]
        for page in pages.paginate(logGroupName=group, startTime=int(since * 1000))
        for event in page["events"]
    ]
