"""A worker is an execution environment as far as access_token goes; a process holds several.

Each has its own memory and its own clock, which may be wrong. What it asks for and what it got
travels as the dataclasses below, since most workers live in processes of their own.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

from botocore.session import get_session

from local.template import REGION
from tests.harness.settings import REQUIRED
from wechat_auth.backend import Backend
from wechat_auth.connections import Connections
from wechat_auth.errors import TOKEN_REFUSED, AuthError, WeChatError
from wechat_auth.settings import Settings, TokenMode
from wechat_auth.storage import Aws
from wechat_auth.tokens.access_tokens import AccessTokens
from wechat_auth.tokens.sources import app_secret_source
from wechat_auth.tokens.table import TokenTable
from wechat_auth.wechat import AccessToken, WeChat

APP_SECRET = "0123456789abcdef0123456789abcdef"
_KEY_RING = json.dumps({"current": "k1", "k1": "k1" * 32})

Clock = Callable[[], float]
Sleep = Callable[[float], None]
What = Literal["get", "request"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker finds everything."""

    dynamodb_url: str
    table: str
    wechat_url: str
    platform_table: str = ""

    def settings(self, appids: Sequence[str], mode: TokenMode, component: str = "") -> Settings:
        """Return the settings of who serves these apps or, with a platform, its merchants."""
        own = [] if component else appids
        return Settings.from_env(
            {
                **REQUIRED,
                "WECHAT_APPIDS": ",".join(own),
                "COMPONENT_APPID": component,
                "PLATFORM_TABLE": self.platform_table,
                "PLATFORM_EVENTS_QUEUE": "https://sqs/PlatformEvents",
                "WECHAT_BASE_URLS": self.wechat_url,
                "ACCESS_TOKEN_MODE": mode,
                "APP_SECRETS_ID": component or ",".join(appids),
                "ACCESS_TOKENS_TABLE": self.table,
            }
        )


class Engine(Aws):
    """DynamoDB at a place, and Secrets Manager, which is not what races here."""

    def __init__(self, place: Place) -> None:
        super().__init__(
            partial(
                _session.create_client,
                region_name=REGION,
                endpoint_url=place.dynamodb_url,
                aws_access_key_id="local",
                aws_secret_access_key="local",
            )
        )

    def secret_text(self, secret_id: str) -> str:
        """Return the key ring, or the AppSecrets of the apps that the id lists."""
        if secret_id == "KeyRing":
            return _KEY_RING
        return json.dumps(dict.fromkeys(secret_id.split(","), APP_SECRET))


class CountedWeChat(WeChat):
    """Counts the calls for a token."""

    token_calls = 0

    def stable_access_token(self, appid: str, secret: str, *, force: bool = False) -> AccessToken:
        self.token_calls += 1
        return super().stable_access_token(appid, secret, force=force)

    def classic_access_token(self, appid: str, secret: str) -> AccessToken:
        self.token_calls += 1
        return super().classic_access_token(appid, secret)

    def ask(self, call: str, *args: Any, **more: Any) -> dict[str, Any]:
        self.token_calls += call in {"getComponentAccessToken", "getAuthorizerAccessToken"}
        return super().ask(call, *args, **more)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking for a token, or of a request that needs one.

    Attributes:
        token: The last one it was given; empty if none.
        accepted: Whether WeChat took it when it was used, at once.
        waited: Seconds until it had a token or an error; of a request, until its end.
        slept: Seconds of it that it slept because the protocol says so.
        tries: Calls made with a token.
        token_calls: Calls this worker made for a token meanwhile.
        error: ``code`` of the problem it ended in; empty if none.
        status: HTTP status of that problem.
        retry_after: Its Retry-After.
    """

    token: str = field(default="", repr=False)
    accepted: bool = False
    waited: float = 0
    slept: float = 0
    tries: int = 0
    token_calls: int = 0
    error: str = ""
    status: int = 200
    retry_after: int | None = None


class Worker:
    """One worker of some apps, as cold as a new environment.

    Args:
        place: Where it finds everything.
        aws: The engine there; workers may share it.
        appids: The apps.
        mode: The kind of token.
        clock: Gives the time in seconds.
        sleep: Waits for seconds.
        connections: Its connections to WeChat.
        jitter: Gives a number between two by chance.
        component: The platform, if the apps are its merchants'.
    """

    def __init__(
        self,
        place: Place,
        aws: Aws,
        appids: Sequence[str],
        *,
        mode: TokenMode = "stable",
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        connections: Connections | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
        component: str = "",
    ) -> None:
        self.appid = appids[0]
        self.aws = aws
        self.wechat = CountedWeChat([place.wechat_url], connections)
        self._really_sleep, self._slept = sleep, 0.0
        self.backend = Backend(
            place.settings(appids, mode, component),
            aws=aws,
            wechat=self.wechat,
            clock=clock,
            sleep=self._sleep,
        )
        if component:
            self.tokens = self.backend.access_tokens
            return
        secrets = self.backend.secrets
        source = app_secret_source(mode, self.wechat, secrets)
        self.tokens = AccessTokens(
            TokenTable(aws.table(place.table), secrets, clock=clock),
            lambda _: source,
            secrets,
            clock=clock,
            sleep=self._sleep,
            jitter=jitter,
        )

    def get(self, *, appid: str | None = None) -> Outcome:
        """Ask for a token and use it at once."""
        used: list[str] = []
        outcome = self._outcome(lambda: used.append(self.tokens.get(appid or self.appid)))
        if not used:
            return outcome
        return replace(outcome, token=used[0], accepted=self._accepted(used[0]), tries=1)

    def request(self, *, appid: str | None = None) -> Outcome:
        """Serve a request that needs a token, as the functions do: replayed once if refused."""
        used: list[str] = []

        def call(token: str) -> bool:
            used.append(token)
            return self.wechat.check_encrypted_data(token, "AAAA")

        outcome = self._outcome(lambda: self.tokens.using(appid or self.appid, call))
        token = "" if outcome.error else used[-1]
        return replace(outcome, token=token, accepted=not outcome.error, tries=len(used))

    def _outcome(self, work: Callable[[], object]) -> Outcome:
        """Do something and tell what it cost, and the error that it ended in."""
        asked_before, self._slept, began = self.wechat.token_calls, 0.0, time.perf_counter()
        ended_in: AuthError | None = None
        try:
            work()
        except AuthError as error:
            ended_in = error
        outcome = Outcome(
            waited=time.perf_counter() - began,
            slept=self._slept,
            token_calls=self.wechat.token_calls - asked_before,
        )
        if ended_in is None:
            return outcome
        return replace(
            outcome,
            error=ended_in.problem.code,
            status=ended_in.problem.status,
            retry_after=ended_in.retry_after,
        )

    def _sleep(self, seconds: float) -> None:
        self._slept += seconds
        self._really_sleep(seconds)

    def _accepted(self, token: str) -> bool:
        try:
            self.wechat.check_encrypted_data(token, "AAAA")
        except WeChatError as error:
            if error.errcode in TOKEN_REFUSED:
                return False
            raise
        return True


# What a process of workers is told, and what it answers


@dataclass(frozen=True, slots=True)
class Hire:
    """Be new workers of an app: one for each number, the seconds its clock is ahead."""

    appid: str
    mode: TokenMode
    skews: tuple[float, ...]
    component: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """Do something, the first `workers` of you, each in its own thread, together at a moment.

    Attributes:
        what: Ask for a token, or serve a request.
        at: When, on this machine's monotonic clock.
        workers: How many.
    """

    what: What
    at: float
    workers: int


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it, and how often DynamoDB was read and written for it."""

    outcomes: tuple[Outcome, ...]
    operations: Counter[str]


class Moved(Protocol):
    """Seconds by which everybody's clock was moved, shared by all processes."""

    value: float


@contextmanager
def team(place: Place, threads: int, moved: Moved) -> Iterator[Callable[[Hire | Act], object]]:
    """Be a process of workers."""
    aws = Engine(place)
    operations: Counter[str] = Counter()
    aws.dynamodb.meta.events.register(
        "before-call.dynamodb", lambda model, **_: operations.update([model.name])
    )
    workers: list[Worker] = []
    with ThreadPoolExecutor(threads) as pool:

        def answer(order: Hire | Act) -> object:
            if isinstance(order, Act):
                operations.clear()
                outcomes = tuple(pool.map(partial(_act, order), workers[: order.workers]))
                return Report(outcomes, operations.copy())
            clocks = [partial(_time, moved, skew) for skew in order.skews]
            workers[:] = [
                Worker(
                    place,
                    aws,
                    [order.appid],
                    mode=order.mode,
                    clock=clock,
                    component=order.component,
                )
                for clock in clocks
            ]
            return None

        yield answer


def _act(order: Act, worker: Worker) -> Outcome:
    time.sleep(max(0.0, order.at - time.monotonic()))
    return worker.get() if order.what == "get" else worker.request()


def _time(moved: Moved, skew: float) -> float:
    return time.time() + moved.value + skew


# Made once, before the processes are forked from this one: a client's model is slow to load.
_session = get_session()
Engine(Place("http://127.0.0.1:1", "-", "-")).dynamodb.close()
