"""Every call that leaves the process, and every way in which it can fail."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError, ReadTimeoutError
from moto.core.request import normalize_request
from moto.dynamodb.responses import DynamoHandler
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.sqs.responses import SQSResponse

from local.invocations import ACCOUNT_FUNCTION
from local.simulated_wechat import Fault
from local.simulated_wechat.api_security import SECURED
from tests.harness.deployment import Deployment, Raw
from tests.harness.environment import WatchedConnections
from wechat_auth.connections import Budget, TransportError
from wechat_auth.wechat import WeChat

Kind = Literal[
    "refused",  # no connection could be made
    "reset",  # the connection broke before the work was done
    "reply lost",  # the work was done, then the connection broke
    "too slow",  # the work was done, and the answer came after the time-out
    "throttled",
    "5xx",
    "garbage",  # status 200 and a page of HTML
    "denied",  # a permission is missing, or was withdrawn
    "altered",  # of a sealed answer: something on the way changed it
    "plain",  # of a sealed answer: it came in plain text, and nothing vouches for it
]
SEALED: tuple[Kind, ...] = ("altered", "plain")
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in SEALED)

WORK_DONE: frozenset[Kind] = frozenset({"reply lost", "too slow", *SEALED})
"""Of these nobody can tell from outside that the work was done."""

_WECHAT: dict[Kind, Fault] = {
    "reset": Fault("*", "drop_before", times=None),
    "reply lost": Fault("*", "drop_after", times=None),
    "too slow": Fault("*", "latency", seconds=30, times=None),
    "throttled": Fault("*", "errcode", errcode=45011, times=None),
    "5xx": Fault("*", "status", status=502, times=None),
    "garbage": Fault("*", "html", times=None),
    "denied": Fault("*", "errcode", errcode=48001, times=None),
    "altered": Fault("*", "altered", times=None),
}
_AWS_ERRORS: dict[Kind, tuple[int, str]] = {
    "throttled": (400, "ThrottlingException"),
    "5xx": (500, "InternalServerError"),
    "denied": (400, "AccessDeniedException"),
}
_SHORT = Budget(total=0.1, connect=0.1, answer=0.01)
"""What a call to WeChat may take in place of its own time, when nothing will come."""
_HANDLERS = {
    "dynamodb": DynamoHandler,
    "secrets-manager": SecretsManagerResponse,
    "sqs": SQSResponse,
}
_PAGE = b"<html><body>Welcome to the hotel's network</body></html>"


@dataclass(frozen=True, slots=True)
class Call:
    """A call that leaves the process: ``code2Session`` of WeChat, the 2nd ``PutItem`` of a table.

    A repetition by the SDK is no call of its own.
    """

    name: str
    of: str
    number: int = 1

    def __str__(self) -> str:
        return f"{self.name} {self.of}" + (f" ({self.number})" if self.number > 1 else "")

    @property
    def is_wechats(self) -> bool:
        return self.of == "WeChat"

    @property
    def is_the_teams(self) -> bool:
        return self.of == "AccountFunction"

    @property
    def is_made_once(self) -> bool:
        """Whether neither we nor the SDK try again."""
        return self.is_wechats or self.is_the_teams

    def kinds(self, *, secured: bool) -> tuple[Kind, ...]:
        """Return the ways in which it can fail, in a request of an app with API security or not."""
        return KINDS + SEALED if secured and self.name in SECURED else KINDS


class Outside:
    """All that the functions talk to: it writes down what they call, and fails on demand.

    Attributes:
        deployment: The functions.
        calls: What they called.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.calls: list[Call] = []
        self.deployment = deployment
        self._broken: tuple[Call, Kind, bool] | None = None
        application = deployment.stack.application
        self._names = {
            **{table.name: table.logical_id for table in application.tables},
            **{secret.name: secret.logical_id for secret in application.secrets},
            **{queue.url: queue.name for queue in application.queues},
            ACCOUNT_FUNCTION: "AccountFunction",
        }

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Stand between the functions and everything outside for the length of a with block."""
        hook = cast("Callable[..., None]", self._to_aws)
        aws = self.deployment.stack.environment.aws
        clients = (aws.dynamodb, aws.secrets_manager, aws.sqs, aws.lambda_, aws.patient_lambda)
        for client in clients:
            client.meta.events.register_first("before-send", hook)
        operators = cast(
            "Callable[..., None]", lambda request, **_: self._answer(request, "dynamodb")
        )
        self.deployment.dynamodb.meta.events.register_first("before-send", operators)
        wechat = WeChat(
            [self.deployment.stack.wechat_url],
            WatchedConnections(self.to_wechat),
            clock=time.time,  # the test's, which ends the silence after several silent calls
        )
        self.deployment.cold_start(wechat=wechat)
        try:
            yield
        finally:
            for client in clients:
                client.meta.events.unregister("before-send", hook)
            self.deployment.dynamodb.meta.events.unregister("before-send", operators)

    def break_down(self, call: Call, kind: Kind, *, lasting: bool) -> None:
        """Let a call fail: once, or with its repetitions and all like it until `heal`."""
        self.calls.clear()
        self._broken = call, kind, lasting
        if call.is_wechats and kind in _WECHAT:
            self.deployment.wechat.faults.add(
                replace(_WECHAT[kind], endpoint=call.name, times=None if lasting else 1)
            )
        self._switch_encryption(on=kind != "plain")

    def heal(self) -> None:
        """Let everything work again."""
        self._broken = None
        self.deployment.wechat.faults.clear()
        self._switch_encryption(on=True)

    def _switch_encryption(self, *, on: bool) -> None:
        for security in self.deployment.wechat.api_security.values():
            security.on = on

    def _note(self, name: str, of: str, *, repeated: bool) -> Kind | None:
        """Write a call down, and tell what becomes of it."""
        before = sum(call.name == name and call.of == of for call in self.calls)
        call = Call(name, of, before if repeated else before + 1)
        if not repeated:
            self.calls.append(call)
        if self._broken is None:
            return None
        broken, kind, lasting = self._broken
        alike = (call.name, call.of) == (broken.name, broken.of)
        if lasting:
            return kind if alike and call.number >= broken.number else None
        return kind if call == broken and not repeated else None

    def to_wechat(self, name: str, _: Any, send: Callable[..., Any]) -> Any:
        """Pass a call on to WeChat, or fail."""
        kind = self._note(name, "WeChat", repeated=False)
        if kind == "refused":
            raise TransportError("no connection", sent=False)
        return send(budget=_SHORT) if kind == "too slow" else send()

    def _to_aws(
        self, request: AWSPreparedRequest, event_name: str, **_: object
    ) -> AWSResponse | None:
        service, operation = event_name.split(".")[1:]
        asked = json.loads(cast("bytes", request.body))
        named = asked.get("TableName") or asked.get("SecretId") or asked.get("QueueUrl")
        if service == "lambda":
            named = ACCOUNT_FUNCTION
        repeated = "attempt=1" not in str(request.headers["amz-sdk-request"])
        of = self._names[named or next(iter(asked["RequestItems"]))]
        kind = self._note(operation, of, repeated=repeated)
        return self._fail(kind, request, service) if kind else self._answer(request, service)

    def _answer(self, request: AWSPreparedRequest, service: str) -> AWSResponse:
        """Let the embedded AWS do the work, without HTTP, which would take thrice as long."""
        url = str(request.url)
        if service == "lambda":
            invocations = self.deployment.stack.invocations
            response = invocations.invoke(ACCOUNT_FUNCTION, cast("bytes", request.body))
            headers = HTTPHeaders.from_dict(dict(response.headers))
            return AWSResponse(url, response.status_code, headers, Raw(response.get_data()))
        asked = normalize_request(request)
        status, _, body = _HANDLERS[service].dispatch(asked, asked.raw_url, asked.headers)
        return AWSResponse(url, status, HTTPHeaders(), Raw(body.encode()))

    def _fail(self, kind: Kind, request: AWSPreparedRequest, service: str) -> AWSResponse:
        url = str(request.url)
        if kind in WORK_DONE:
            self._answer(request, service)
        if kind == "too slow":
            raise ReadTimeoutError(endpoint_url=url)
        if kind in ("reset", "reply lost"):
            raise ConnectionClosedError(endpoint_url=url)
        if kind == "refused":
            raise EndpointConnectionError(endpoint_url=url)
        if kind == "garbage":
            return AWSResponse(url, 200, HTTPHeaders(), Raw(_PAGE))
        status, code = _AWS_ERRORS[kind]
        body = json.dumps({"__type": f"com.amazonaws#{code}", "message": "on demand"}).encode()
        return AWSResponse(url, status, HTTPHeaders(), Raw(body))
