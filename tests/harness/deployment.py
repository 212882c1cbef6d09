"""The deployment under test, between one test and the next, and as its operator sees it."""

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.dynamodb.models.utilities import dynamo_to_dict

from infra.api_client import hash_of
from infra.key_ring import Rotation
from local import API_CLIENT
from local.invocations import ACCOUNT_FUNCTION, Handler, Invocations
from local.simulated_wechat import (
    ApiSecurity,
    App,
    MessagePush,
    Pushed,
    Quota,
    Settings,
    SimulatedWeChat,
)
from local.stack import Stack, app_secrets
from local.template import ACCOUNT_ID, REGION
from tests.harness.runtime import TestedRuntime, Wrapper
from wechat_auth.backend import Backend
from wechat_auth.connections import Budget
from wechat_auth.wechat import WeChat

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

Dump = dict[str, list[dict[str, Any]]]


class Deployment:
    """A running stack whose operator is the test.

    Attributes:
        operations: What the functions asked of AWS since the test began, such as ``GetItem``.
        repeats: What the SDK asked again, since no answer came or none in time: on a busy machine
            there may be some in any test.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.operations: Counter[str] = Counter()
        self.repeats: Counter[str] = Counter()
        self._variables: dict[str, str] = {}
        self._parts: dict[str, Any] = {}
        self._failing: dict[str, tuple[str, int | None]] = {}
        # What it returns counts (botocore.endpoint), though the stubs say that nothing does.
        self._hook = cast("Callable[..., None]", self._before_send)
        self.dynamodb, self._secrets_manager = _operators_clients(stack.aws_url)
        aws = stack.environment.aws
        self._clients: list[BaseClient] = [aws.dynamodb, aws.secrets_manager, aws.sqs]
        for client in self._clients:
            client.meta.events.register("before-send", self._hook)

    @property
    def wechat(self) -> SimulatedWeChat:
        return self.stack.wechat

    @property
    def backend(self) -> Backend:
        """What the functions have in memory."""
        return self.stack.environment.backend()

    # What the operator does

    def configure(self, **variables: str) -> None:
        """Deploy with other settings."""
        self._variables |= variables
        self.cold_start()

    def cold_start(self, **parts: Any) -> None:
        """Let the next request meet a new execution environment, with nothing in memory.

        AWS's clients stay: they remember nothing, and to make them takes a quarter of a second.

        Args:
            parts: Arguments of `Backend`, for the rest of the test.
        """
        self._parts |= parts
        self.stack.environment.restart(self._variables, **self._parts)

    def with_account_function(self, handler: Handler) -> Invocations:
        """Deploy with an account function, and return what it is called with."""
        aws, invocations = self.stack.environment.aws, self.stack.invocations
        if not invocations.functions:
            for client in (aws.lambda_, aws.patient_lambda):
                self._clients.append(client)
                client.meta.events.register("before-send", self._hook)
        invocations.functions[ACCOUNT_FUNCTION] = handler
        self.configure(ACCOUNT_FUNCTION_ARN=ACCOUNT_FUNCTION)
        return invocations

    def wrap(self, wrapper: Wrapper | None) -> None:
        """Put something before every function, for the rest of the test."""
        functions = self.stack.functions
        if wrapper or isinstance(functions, TestedRuntime):
            assert isinstance(functions, TestedRuntime)
            functions.wrapper = wrapper

    def impatient_wechat(self, seconds: float = 1) -> WeChat:
        """Return a client that waits no longer for WeChat than this, for `cold_start`."""
        return WeChat([self.stack.wechat_url], budget=Budget(seconds, seconds / 2, seconds / 4))

    def put_secret(self, name: str, document: object) -> None:
        """Store a secret: ``AppSecrets``, ``KeyRing`` or ``ApiClients``."""
        text = document if isinstance(document, str) else json.dumps(document)
        if _stored.get((self.wechat, name)) != text:
            _stored[self.wechat, name] = text
            secret_id = self._secret_id(name)
            self._secrets_manager.put_secret_value(SecretId=secret_id, SecretString=text)

    def secret(self, name: str) -> Any:
        answer = self._secrets_manager.get_secret_value(SecretId=self._secret_id(name))
        return json.loads(answer["SecretString"])

    def rotate_keys(self) -> str:
        """Run `make rotate-keys` and return what it says."""
        _stored.pop((self.wechat, "KeyRing"), None)
        secret_id = self._secret_id("KeyRing")
        life = timedelta(seconds=self.backend.settings.session_life)
        return Rotation(self._secrets_manager, secret_id, life).go_on()

    def serve_apps(self, *apps: App) -> None:
        """Serve these mini-programs instead of the one."""
        for app in apps:
            self.wechat.put_app(app)
        self.put_secret("AppSecrets", {app.appid: app.secret for app in apps})
        self.configure(WECHAT_APPIDS=",".join(app.appid for app in apps))

    def secure(self) -> ApiSecurity:
        """Set up API security for the one app, and store its keys."""
        security = self.wechat.set_up_api_security()
        self.put_secret("AppSecrets", app_secrets(self.wechat))
        self.cold_start()
        return security

    def receive_pushes(self) -> MessagePush:
        """Store Token and EncodingAESKey of the one app's message push."""
        self.put_secret("AppSecrets", app_secrets(self.wechat))
        self.cold_start()
        return self.wechat.message_push()

    def push(self, pushed: Pushed, appid: str | None = None) -> tuple[int, str]:
        """Let WeChat push to an app's address, and return status and body of the answer."""
        answered = pushed.send(f"{self.stack.url}/wechat-push/{appid or self.stack.appid}")
        return answered.status, answered.body

    # What is stored

    def table(self, name: str) -> str:
        """Return a table's own name: of ``Sessions``, ``AccessTokens`` or ``PhoneExchanges``."""
        return next(t.name for t in self.stack.application.tables if t.logical_id == name)

    def items(self, name: str) -> list[dict[str, Any]]:
        """Return every item of a table as the low-level API gives it; not over HTTP either."""
        return [dynamo_to_dict(dict(item.attrs)) for item in self._moto(name).all_items()]

    def dump(self) -> Dump:
        """Return every item of every table."""
        return {t.logical_id: self.items(t.logical_id) for t in self.stack.application.tables}

    def put(self, name: str, item: dict[str, Any]) -> None:
        self.dynamodb.put_item(TableName=self.table(name), Item=item)

    def clear(self, name: str) -> None:
        """Delete every item of a table; not over HTTP, which every test would pay for."""
        self._moto(name).items.clear()

    # What AWS does

    def fail(self, operation: str, code: str = "InternalServerError", *, times: int = -1) -> None:
        """Let AWS refuse an operation, such as ``PutItem``; for ever, or so many times."""
        self._failing[operation] = (code, None if times < 0 else times)

    def heal(self) -> None:
        """Let AWS work again."""
        self._failing.clear()

    def _before_send(
        self, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        """Count what leaves the process, and answer in place of AWS where it is to fail."""
        operation = event_name.rpartition(".")[2]
        first = "attempt=1;" in str(request.headers["amz-sdk-request"])
        (self.operations if first else self.repeats).update([operation])  # also when threads call
        code, left = self._failing.get(operation, ("", 0))
        if left == 0:
            return None
        if left:
            self._failing[operation] = (code, left - 1)
        status = 500 if code == "InternalServerError" else 400
        body = json.dumps({"__type": f"com.amazonaws#{code}", "message": "on demand"}).encode()
        return AWSResponse(str(request.url), status, HTTPHeaders(), Raw(body))

    # Between tests

    def clean(self) -> None:
        """Be as new: empty tables, the template's settings, no fault and no memory."""
        for table in self.stack.application.tables:
            self.clear(table.logical_id)
        self.stack.queues.discard()
        self.wechat.message_push().xml = False
        wechat, app = self.wechat, self.wechat.apps[0]
        wechat.faults.clear()
        wechat.on_call = None
        for name in Settings.__slots__:
            setattr(wechat.settings, name, getattr(Settings(), name))
        for endpoint in ("code2Session", "getStableAccessToken", "getPhoneNumber"):
            wechat.set_quota(endpoint, Quota())
        wechat.accept_tokens(app.appid)
        wechat.put_app(App(app.appid, app.secret, cloud=True, unionid=True))
        if wechat.api_security:  # the console stores its keys by itself
            _stored.pop((wechat, "AppSecrets"), None)
            wechat.remove_api_security(app.appid)
        self.put_secret("AppSecrets", {app.appid: app.secret})
        self.put_secret("KeyRing", {"current": "k1", "k1": "k1" * 32})
        self.put_secret("ApiClients", {API_CLIENT[0]: hash_of(API_CLIENT[1])})
        self.wrap(None)
        self.cold_start()

    def close(self) -> None:
        for client in self._clients:
            client.meta.events.unregister("before-send", self._hook)
        self.stack.invocations.forget()

    def _secret_id(self, name: str) -> str:
        return next(s.name for s in self.stack.application.secrets if s.logical_id == name)

    def _moto(self, name: str) -> Table:
        return dynamodb_backends[ACCOUNT_ID][REGION].tables[self.table(name)]


_stored: dict[tuple[SimulatedWeChat, str], str] = {}
"""What the secrets of a stack (known by its WeChat) hold: what is there is not stored again."""


@cache
def _operators_clients(aws_url: str) -> "tuple[DynamoDBClient, SecretsManagerClient]":
    """Make the clients once for a stack: it takes a quarter of a second."""
    account = boto3.Session("local", "local", region_name=REGION)
    return (
        account.client("dynamodb", endpoint_url=aws_url),
        account.client("secretsmanager", endpoint_url=aws_url),
    )


class Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


Asked = Callable[[str], int]
"""How often WeChat was asked something since the test began."""
