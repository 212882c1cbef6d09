"""The whole stack on one machine: API, functions, embedded AWS and simulated WeChat."""

import errno
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.api_client import hash_of
from local import API_CLIENT, APPID, embedded_aws
from local.gateway import Gateway, Served
from local.invocations import Invocations
from local.queues import Queues
from local.runtime import Environment, Functions, Runtime
from local.simulated_wechat import ApiSecurity, App, MessagePush, SimulatedWeChat, serve
from local.template import REGION, Application, read_template
from wechat_auth.storage import Aws

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

MakeFunctions = Callable[[Application, Environment], AbstractContextManager[Functions]]

_LOOPBACK = "127.0.0.1"
_PAUSE = 0.25  # seconds between two looks at what is due
TEMPLATE = Path(__file__).parents[1] / "template.yaml"


class PortTakenError(Exception):
    """A port is in use; the message says what to do, in one line."""


@contextmanager
def repeating(work: Callable[[], object]) -> Iterator[None]:
    """Do something again and again in a thread, for the length of a `with` block."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(_PAUSE):
            work()

    thread = threading.Thread(target=run, name="repeating", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class RealApp:
    """A mini-program of the real WeChat.

    Attributes:
        appid: Its appid.
        secret: Its AppSecret.
    """

    appid: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack.

    Attributes:
        url: the API, such as "http://127.0.0.1:3000".
        wechat: the simulated WeChat: its phones, clock, faults and calls.
        wechat_url: where the simulated WeChat listens; "" if the real one is asked.
        aws_url: where the embedded DynamoDB and Secrets Manager listen.
        appid: the mini-program that is served.
        application: what template.yaml says.
        environment: what the functions share, if they run in this process.
        functions: what runs them.
        queues: what the functions have put there for one another.
        invocations: what can be called by Lambda's Invoke: nothing, until it is put there.
    """

    url: str
    wechat: SimulatedWeChat
    wechat_url: str
    aws_url: str
    appid: str
    application: Application
    environment: Environment
    functions: Functions
    queues: Queues
    invocations: Invocations

    @classmethod
    @contextmanager
    def start(  # noqa: PLR0913 - each is a choice of its own
        cls,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        aws_host: str = "127.0.0.1",
        parameters: Mapping[str, str] | None = None,
        wechat: SimulatedWeChat | RealApp | None = None,
        on_request: Callable[[Served], None] | None = None,
        template: Path = TEMPLATE,
        functions: MakeFunctions = lambda application, environment: Runtime(
            application, environment.call
        ),
        front: "Callable[[WSGIApplication], WSGIApplication] | None" = None,
    ) -> "Iterator[Stack]":
        """Run a stack for the length of a `with` block; the environment is as before after it.

        Args:
            port: Of the API; the simulated WeChat takes the next one, AWS the one after. 0: free
                ports.
            host: The address that the API and the simulated WeChat listen on.
            aws_host: The address that DynamoDB and Secrets Manager, which holds the AppSecret,
                listen on: another than loopback only if functions elsewhere ask them.
            parameters: Values of template parameters other than their defaults.
            wechat: A world to use instead of one with a single mini-program; or a mini-program to
                serve with the real WeChat.
            on_request: Called with each request that was answered, from the thread that did.
            template: The SAM template.
            functions: What runs its functions, instead of this process as it is.
            front: Makes what is between the port and the API, if anything is.

        Raises:
            PortTakenError: One of the ports is in use.
            TemplateError: The template cannot be simulated.
            RuntimeError: This process runs a stack already.
        """
        ports = _free_ports(host, port)
        with ExitStack() as stack:
            stack.enter_context(_alone())
            asked = stack.enter_context(_asked(wechat, ports[1], host))
            invocations = Invocations()
            aws_url = stack.enter_context(embedded_aws.serve(ports[2], aws_host, invocations))
            application = read_template(template, {**asked.parameters, **(parameters or {})})
            stack.enter_context(_environment(application, aws_url, host))
            name, secret = API_CLIENT
            stored = {
                "AppSecrets": json.dumps(asked.app_secrets),
                "ApiClients": json.dumps({name: hash_of(secret)}),
            }
            stack.enter_context(embedded_aws.resources(application, aws_url, stored))
            create_client = embedded_aws.create_client(aws_url)
            environment = Environment(application.environment, Aws(create_client))
            running = stack.enter_context(functions(application, environment))
            queues = Queues(application, running, create_client)
            gateway = stack.enter_context(
                Gateway(
                    application,
                    running,
                    port=ports[0],
                    host=host,
                    on_request=on_request,
                    front=front,
                )
            )
            save_addresses(asked.world, gateway.url)
            yield cls(
                gateway.url,
                asked.world,
                asked.url,
                aws_url,
                asked.appid,
                application,
                environment,
                running,
                queues,
                invocations,
            )

    @contextmanager
    def alive(self) -> "Iterator[None]":
        """Do in a thread what WeChat and Lambda do by themselves: push, and work off the queues."""

        def once() -> None:
            self.wechat.deliver()
            self.queues.work_off()

        with repeating(once):
            yield

    def invoke(self, name: str, event: object) -> Any:
        """Call a function by the name of its folder, such as "refresh_access_token".

        Raises:
            FunctionError: It raised, or timed out (FunctionTimeoutError).
        """
        return self.functions.invoke(name, event)


def app_secrets(wechat: SimulatedWeChat) -> dict[str, dict[str, Any]]:
    """Return what the AppSecrets hold for the platform and for the apps that are no merchant's."""
    secured = wechat.api_security
    platform = wechat.platform
    of_platform: dict[str, dict[str, Any]] = (
        {platform.appid: {"secret": platform.secret, "push": push_keys(platform.push)}}
        if platform
        else {}
    )
    return of_platform | {
        app.appid: {
            "secret": app.secret,
            "push": push_keys(wechat.message_push(app.appid)),
            **({"apiSecurity": api_security(secured[app.appid])} if app.appid in secured else {}),
        }
        for app in wechat.apps
        if app.secret
    }


def _of_platform(wechat: SimulatedWeChat) -> dict[str, str]:
    """Return the parameters of a deployment that serves the platform, if there is one."""
    platform = wechat.platform
    return {"ComponentAppId": platform.appid, "FixedAddresses": "1"} if platform else {}


def save_addresses(wechat: SimulatedWeChat, url: str) -> None:
    """Save the API's addresses in the consoles of all apps and of the platform."""
    for app in wechat.apps:
        wechat.message_push(app.appid).url = f"{url}/wechat-push/{app.appid}"
    if platform := wechat.platform:
        platform.push.url = f"{url}/wechat-push/{platform.appid}"
        platform.message_url = f"{platform.push.url}/$APPID$"


def push_keys(push: MessagePush) -> dict[str, str]:
    """Return the ``push`` of an app whose console has this message push."""
    return {"token": push.token, "encodingAesKey": push.encoding_aes_key}


def api_security(security: ApiSecurity) -> dict[str, dict[str, str]]:
    """Return the ``apiSecurity`` of an app that has what the console hands out now."""
    key, private, certificate = (
        security.symmetric_key,
        security.private_key,
        security.certificate,
    )
    return {
        "symmetricKey": {"number": key.number, "key": key.content},
        "privateKey": {"number": private.number, "pem": private.content},
        "certificate": {"number": certificate.number, "pem": certificate.content},
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    """The WeChat that the functions ask, and what they must know of it.

    Attributes:
        world: The simulated one; idle if the real one is asked.
        url: Where it listens; "" if the real one is asked.
        appid: The first mini-program that is served.
        parameters: The template's parameters.
        app_secrets: What the AppSecrets hold.
    """

    world: SimulatedWeChat
    url: str
    appid: str
    parameters: Mapping[str, str]
    app_secrets: Mapping[str, object] = field(repr=False)


@contextmanager
def _asked(wechat: SimulatedWeChat | RealApp | None, port: int, host: str) -> Iterator[_Asked]:
    one_app = [App(APPID, secrets.token_hex(16), cloud=True)]
    world = wechat if isinstance(wechat, SimulatedWeChat) else SimulatedWeChat(one_app)
    if isinstance(wechat, RealApp):
        appid = wechat.appid
        yield _Asked(world, "", appid, {"WeChatAppIds": appid}, {appid: wechat.secret})
        return
    with serve(world, port, host) as server:
        appids = [app.appid for app in world.apps]
        parameters = {
            "WeChatAppIds": ",".join(appids),
            "WeChatBaseUrls": server.url,
            **_of_platform(world),
        }
        yield _Asked(world, server.url, appids[0], parameters, app_secrets(world))


_one_at_a_time = threading.Lock()


@contextmanager
def _alone() -> Iterator[None]:
    if not _one_at_a_time.acquire(blocking=False):
        raise RuntimeError("one stack per process: its functions share os.environ")
    try:
        yield
    finally:
        _one_at_a_time.release()


def _free_ports(host: str, first: int) -> tuple[int, int, int]:
    if not first:
        return 0, 0, 0
    ports = first, first + 1, first + 2
    for taken in (port for port in ports if _is_taken(host, port)):
        raise PortTakenError(
            f"port {taken} is in use: stop what listens there, or choose another three with "
            f"PORT={first + 100} (that one and the next two are needed)"
        )
    return ports


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        if os.name != "nt":  # there, it would let two processes share a port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise PortTakenError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return False


@contextmanager
def _environment(application: Application, aws_url: str, host: str) -> Iterator[None]:
    """Set what Lambda and the template would set; nothing of the developer's AWS set-up counts."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= application.environment | {
        "AWS_ENDPOINT_URL": aws_url,
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "local"),
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **dict.fromkeys(("NO_PROXY", "no_proxy"), f"{host},{_LOOPBACK}"),
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
