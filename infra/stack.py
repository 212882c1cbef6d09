"""The stack of an environment: named in samconfig.toml, known to CloudFormation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.release import ReleaseError, deploy_settings, read_samconfig

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager.client import SecretsManagerClient


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as it is deployed.

    Attributes:
        name: Its name.
        parameters: The parameters' values.
        outputs: The outputs' values.
        account: The AWS account that it is in, and its region.
        secrets_manager: Where its secrets are.
    """

    name: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    account: boto3.Session
    secrets_manager: "SecretsManagerClient"


def deployed(environment: str) -> Stack:
    """Find the stack of an environment of samconfig.toml.

    Raises:
        ReleaseError: There is no such environment, or its stack cannot be read.
    """
    settings = deploy_settings(read_samconfig(), environment)
    name, region = settings["stack_name"], settings.get("region")
    where = region or "your profile's region, or AWS_DEFAULT_REGION"
    try:
        account = boto3.Session(region_name=region, profile_name=settings.get("profile"))
        cloudformation: Any = account.client("cloudformation")
        (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
        secrets_manager = account.client("secretsmanager")
    except (BotoCoreError, ClientError) as error:
        raise ReleaseError(f"the stack {name} in {where} cannot be read: {error}") from None
    return Stack(
        name,
        {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", [])},
        {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])},
        account,
        secrets_manager,
    )
