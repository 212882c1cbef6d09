"""`make edge ENV=…`: puts CloudFront, with a limit of requests for each address, before an API.

It deploys infra/edge.yaml to us-east-1. The API learns the SHA-256 of what CloudFront adds to each
request and refuses what comes without it; the secret itself is known to CloudFront alone.
"""

import hashlib
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from infra.cloudformation import read_document
from infra.release import ReleaseError
from infra.stack import Stack, deployed

REGION = "us-east-1"
TEMPLATE = Path(__file__).with_name("edge.yaml")


def deploy(stack: Stack, client: Any, given: dict[str, str]) -> str:
    """Create the edge of a stack, or change what is given of it; its secret stays what it is.

    Args:
        stack: The API's.
        client: Of CloudFormation in us-east-1.
        given: Values of the template's parameters, such as RequestsPerAddress.

    Returns:
        What to do next.

    Raises:
        ReleaseError: It cannot be made; the message says why.
    """
    name = f"{stack.name}-edge"
    allowed = read_document(TEMPLATE)["Parameters"].keys() - _OURS
    if unknown := sorted(given.keys() - allowed):
        raise ReleaseError(f"{', '.join(unknown)}: the edge has {', '.join(sorted(allowed))}")
    there = _described(client, name)
    values = {"ApiHost": urlsplit(stack.outputs["ApiUrl"]).netloc, **given}
    if not there:
        secret = secrets.token_hex(32)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        values |= {"OriginSecret": secret, "OriginSecretSha256": digest}
    kept = {each["ParameterKey"] for each in there.get("Parameters", [])} - values.keys()
    parameters = [
        *({"ParameterKey": key, "ParameterValue": value} for key, value in values.items()),
        *({"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept)),
    ]
    body = TEMPLATE.read_text("utf-8")
    try:
        if there:
            client.update_stack(StackName=name, TemplateBody=body, Parameters=parameters)
            client.get_waiter("stack_update_complete").wait(StackName=name)
        else:
            client.create_stack(StackName=name, TemplateBody=body, Parameters=parameters)
            client.get_waiter("stack_create_complete").wait(StackName=name)
    except WaiterError:
        raise ReleaseError(
            f"the stack {name} failed: CloudFormation's console shows its events, in {REGION}"
        ) from None
    except (BotoCoreError, ClientError) as error:
        if "No updates are to be performed" not in str(error):
            raise ReleaseError(f"the stack {name} cannot be deployed: {error}") from None
    there = _described(client, name)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in there["Outputs"]}
    digest = outputs["OriginSecretSha256"]
    told = stack.parameters.get("OriginSecretSha256") == digest
    return "\n".join(
        (
            f"{outputs['Url']} is before {stack.outputs['ApiUrl']}.",
            "The API refuses what does not come through it."
            if told
            else f'Now add "OriginSecretSha256={digest}" to parameter_overrides of this '
            "environment in samconfig.toml and deploy: from then on the API refuses what does not "
            "come through it.",
        )
    )


def main() -> None:
    """Deploy the edge of the environment that the command line names."""
    environment, *given = sys.argv[1:] or [""]
    try:
        stack = deployed(environment)
        print(
            deploy(
                stack,
                stack.account.client("cloudformation", region_name=REGION),
                {name: value for name, _, value in (each.partition("=") for each in given)},
            )
        )
    except ReleaseError as error:
        sys.exit(str(error))


_OURS = {"ApiHost", "OriginSecret", "OriginSecretSha256"}


def _described(client: Any, name: str) -> dict[str, Any]:
    """Return what CloudFormation knows of a stack; nothing if there is none."""
    try:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return {}
        raise ReleaseError(f"the stack {name} in {REGION} cannot be read: {error}") from None
    return dict(stack)


if __name__ == "__main__":
    main()
