"""`python -m local.deployment`: what AWS would get, deployed on this machine, until Ctrl-C.

The built template goes through `infra.release`, as in `make deploy`, and by SAM CLI to ministack.
The environment is `dev` of samconfig.toml, except that WeChat is simulated, with a third-party
platform whose merchants are served, too, and that the processor is this machine's.

The template wants WeChat over https: the certificate's authority reaches the functions as
SSL_CERT_FILE in the emulator's environment, so nothing in the template has to change.
"""

import json
import os
import platform
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trustme

from infra import api_client, app_secret
from infra.cloudformation import read_document
from infra.release import BUILT, PARAMETERS, RELEASE, SAMCONFIG, overrides, release, values
from local import API_CLIENT, COMPONENT
from local.calls import three_calls
from local.ministack import ROOT, MinistackError, client, serve
from local.simulated_wechat import App, SimulatedWeChat
from local.simulated_wechat import serve as serve_wechat
from local.stack import app_secrets, repeating, save_addresses
from local.supplement import supply
from local.template import REGION

ENVIRONMENT: Final = "dev"
APPID: Final = "wxfedcba9876543210"
"""The mini-program that is simulated: the template refuses the example's."""
_SAM: Final = ROOT / ".venv-sam/bin/sam"


class DeploymentError(Exception):
    """A stack could not be deployed; the message is what SAM CLI said."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a stack: its type, and the name or ARN that it got."""

    type: str
    id: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A stack on the emulator, and what it was built from.

    Attributes:
        name: The stack's name.
        folder: A copy of the built artefacts: what is changed there, the next `deploy` deploys.
        aws_url: Where the emulator listens.
        wechat: The simulated WeChat.
        wechat_url: Where people and their phones find it.
        parameters: Where the stack's differ from those of the environment.
    """

    name: str
    folder: Path
    aws_url: str
    wechat: SimulatedWeChat
    wechat_url: str
    parameters: Mapping[str, str]

    def deploy(self, document: dict[str, Any] | None = None, **parameters: str) -> None:
        """Create the stack, or update it.

        Args:
            document: A template to deploy instead of the built one.
            parameters: Values that differ from those of the stack.

        Raises:
            DeploymentError: SAM CLI or CloudFormation refused it.
        """
        document = document or read_document(self.folder / BUILT.name)
        given = overrides(tomllib.loads((ROOT / SAMCONFIG).read_text("utf-8")), ENVIRONMENT)
        chosen = values(document, given | dict(self.parameters) | parameters)
        variables = document["Globals"]["Function"]["Environment"]["Variables"]
        variables["AWS_ENDPOINT_URL"] = self.aws_url
        # There are no NAT gateways here, and the simulated WeChat takes calls from any address.
        document["Rules"].pop("PlatformHasAddresses", None)
        template = release(document, self.folder, chosen)
        (self.folder / RELEASE.name).write_text(json.dumps(template, indent=1), "utf-8")
        (self.folder / PARAMETERS.name).write_text(json.dumps(chosen, indent=1), "utf-8")
        self.sam(
            *("deploy", "--config-file", ROOT / SAMCONFIG, "--config-env", ENVIRONMENT),
            *("--stack-name", self.name, "--region", REGION),
            *("--template-file", RELEASE.name),
            *("--parameter-overrides", f"file://{self.folder / PARAMETERS.name}"),
        )
        ids = {logical_id: resource.id for logical_id, resource in self.resources.items()}
        supply(self.aws_url, self.name, ids)

    def sam(self, *command: str | Path) -> str:
        """Run SAM CLI where the artefacts are, with the emulator as AWS, and return what it said.

        Raises:
            DeploymentError: It failed.
        """
        done = subprocess.run(  # noqa: S603 - all of it is ours
            [_SAM, *command],
            cwd=self.folder,
            env={
                "PATH": os.defpath,
                "HOME": str(self.folder),
                "SAM_CLI_TELEMETRY": "0",
                "AWS_ENDPOINT_URL": self.aws_url,
                **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "test"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DeploymentError(f"sam {command[0]} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def client(self, service: str) -> Any:
        """Return a boto3 client of the emulator."""
        return client(self.aws_url, service)

    def invoke(self, function: str, event: object) -> Any:
        """Call a function, such as "authorizer", as a service of AWS does."""
        reply = self.client("lambda").invoke(
            FunctionName=f"{self.name}-{function}", Payload=json.dumps(event)
        )
        return json.loads(reply["Payload"].read())

    @property
    def resources(self) -> dict[str, Resource]:
        """The resources of the stack, by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources")
        return {
            each["LogicalResourceId"]: Resource(
                each["ResourceType"], each.get("PhysicalResourceId", "")
            )
            for page in pages.paginate(StackName=self.name)
            for each in page["StackResourceSummaries"]
        }

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stack."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}

    @property
    def url(self) -> str:
        """Base URL of the API: by path, since the emulator has a page of its own at /login."""
        return f"{self.aws_url}/_aws/execute-api/{self.resources['Api'].id}/$default"

    def store_app_secrets(self) -> None:
        """Store AppSecrets and keys of pushes as `make app-secret` does, and let WeChat push.

        What the command asks for is answered here.
        """
        client, arn = self.client("secretsmanager"), self.outputs["AppSecretsArn"]
        entries, file = app_secrets(self.wechat), self.folder / "push.json"
        served = list(entries)
        for appid, entry in entries.items():
            file.write_text(json.dumps({"push": entry["push"]}), "utf-8")
            app_secret.store(client, arn, appid, served=served, ask=_answer(entry["secret"]))
            app_secret.store(client, arn, appid, served=served, file=file)
        save_addresses(self.wechat, self.url)

    def add_api_client(self) -> None:
        """Make the client of POST /introspect, as `make api-client` does; its secret is known."""
        name, secret = API_CLIENT
        client, arn = self.client("secretsmanager"), self.outputs["ApiClientsArn"]
        api_client.add(client, arn, name, make=lambda: secret)


@contextmanager
def start(name: str = "wechat-auth-local") -> Iterator[Deployment]:
    """Run emulator and simulated WeChat, nothing deployed yet; nothing of it stays behind.

    Args:
        name: The stack's name.

    Raises:
        DeploymentError: Nothing is built.
        MinistackError: The emulator is not installed, or did not start.
    """
    if not (ROOT / BUILT).is_file():
        raise DeploymentError("nothing is built: run make build")
    wechat = SimulatedWeChat([App(APPID, secrets.token_hex(16), cloud=True)])
    wechat.set_up_platform(COMPONENT)
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with tempfile.TemporaryDirectory(prefix="wechat-auth-") as temporary:
        folder = Path(temporary)
        authority.cert_pem.write_to_path(folder / "authority.pem")
        shutil.copytree((ROOT / BUILT).parent, folder / "build")
        with (
            serve_wechat(wechat) as for_people,
            serve_wechat(wechat, tls=tls) as for_functions,
            repeating(wechat.deliver),
            serve(folder, SSL_CERT_FILE=str(folder / "authority.pem")) as aws_url,
        ):
            yield Deployment(
                name,
                folder / "build",
                aws_url,
                wechat,
                for_people.url,
                {
                    "WeChatAppIds": APPID,
                    "ComponentAppId": COMPONENT,
                    "WeChatBaseUrls": for_functions.url,
                    "Architecture": "arm64"
                    if platform.machine() in {"arm64", "aarch64"}
                    else "x86_64",
                },
            )


def main() -> int:
    """Deploy, say where and how to call it, wait for Ctrl-C, and return the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with start() as deployment:
            print("Deploying to ministack, an AWS on this machine (half a minute) …", flush=True)
            deployment.deploy()
            deployment.store_app_secrets()
            deployment.add_api_client()
            print(_welcome(deployment), flush=True)
            while not stop.wait(timeout=0.5):
                pass
    except (MinistackError, DeploymentError) as error:
        if not stop.is_set():  # else Ctrl-C ended SAM CLI, too
            print(error, file=sys.stderr)
            return 1
    print("\nstopped; nothing is left of it")
    return 0


def _answer(text: str) -> Callable[[str], str]:
    return lambda _: text


def _welcome(deployment: Deployment) -> str:
    return f"""
Stack {deployment.name} is deployed, with IAM enforced; Ctrl-C ends and deletes everything.

    API               {deployment.url}
    Simulated WeChat  {deployment.wechat_url}
    AWS               {deployment.aws_url} (AWS_ENDPOINT_URL; credentials test and test, {REGION})

{three_calls(deployment.url, deployment.wechat, deployment.wechat_url)}"""


if __name__ == "__main__":
    sys.exit(main())
