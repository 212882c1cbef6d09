"""A worker is an execution environment as far as access_token goes; a process holds several.

Each has its own memory and its own clock, which may be wrong. What it asks for and what it got
travels as the dataclasses below, since most workers live in processes of their own.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast
from unittest import mock

from botocore.session import get_session

from wechat_auth import aws, services
from wechat_auth.access_token import AccessTokens
from wechat_auth.errors import TOKEN_REFUSED, AuthError, WeChatError
from wechat_auth.secret_store import SecretStore
from wechat_auth.settings import TokenMode
from wechat_auth.wechat import AccessToken, WeChat
from wechat_auth.with_access_token import with_access_token

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient

APP_SECRET = "0123456789abcdef0123456789abcdef"
_KEY_RING = json.dumps({"current": "k1", "k1": "k1" * 32})

Clock = Callable[[], float]
What = Literal["get", "request"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker finds everything."""

    dynamodb_url: str
    table: str
    wechat_url: str


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
        remedy: What the operator is told, if it is an operator's fault.
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
    remedy: str = ""


class Worker:
    """One worker of some apps, as cold as a new environment."""

    def __init__(
        self,
        place: Place,
        dynamodb: "DynamoDBClient",
        appids: Sequence[str],
        *,
        mode: TokenMode = "stable",
        clock: Clock = time.time,
        sleep: Callable[[float], None] = time.sleep,
        wechat: "CountedWeChat | None" = None,
    ) -> None:
        self.appid = appids[0]
        self.dynamodb = dynamodb
        self._really_sleep, self._slept = sleep, 0.0
        self.wechat = wechat or CountedWeChat([place.wechat_url])
        texts = {"ring": _KEY_RING, "apps": json.dumps(dict.fromkeys(appids, APP_SECRET))}
        self.secrets = SecretStore(
            lambda: cast("SecretsManagerClient", _Secrets(texts)),
            key_ring_id="ring",
            app_secrets_id="apps",
            clock=clock,
        )
        self.tokens = AccessTokens(
            lambda: self.dynamodb,
            place.table,
            self.secrets,
            self.wechat,
            mode=mode,
            clock=clock,
            sleep=self._sleep,
        )

    def get(self, *, appid: str | None = None, rejected: str | None = None) -> Outcome:
        """Ask for a token and use it at once."""
        used: list[str] = []
        outcome = self._outcome(
            lambda: used.append(self.tokens.get(appid or self.appid, rejected=rejected))
        )
        if not used:
            return outcome
        return replace(outcome, token=used[0], accepted=self._accepted(used[0]), tries=1)

    def request(self, *, appid: str | None = None) -> Outcome:
        """Serve a request that needs a token, as the functions do: replayed once if refused."""
        used: list[str] = []

        def call(token: str) -> bool:
            used.append(token)
            return self.wechat.check_encrypted_data(token, "AAAA")

        with serving(self.tokens):
            outcome = self._outcome(lambda: with_access_token(appid or self.appid, call))
        token = "" if outcome.error else used[-1]
        return replace(outcome, token=token, accepted=not outcome.error, tries=len(used))

    def _outcome(self, work: Callable[[], object]) -> Outcome:
        """Do something and tell what it cost, and the error that it ended in."""
        asked_before, self._slept, began = self.wechat.token_calls, 0.0, time.perf_counter()
        try:
            work()
        except AuthError as error:
            ended_in: AuthError | None = error
        else:
            ended_in = None
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
            remedy=ended_in.remedy or "",
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


def connect(place: Place) -> "DynamoDBClient":
    """Return a client of the engine, set up as the functions' own."""
    client = _session.create_client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=place.dynamodb_url,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=aws._CONFIG,
    )
    return cast("DynamoDBClient", client)


@contextmanager
def workers_at_work() -> Iterator[None]:
    """Let `with_access_token` find the tokens of the worker whose thread it runs in."""
    with mock.patch.object(services, "access_tokens", _tokens_of_this_thread):
        yield


@contextmanager
def serving(tokens: AccessTokens) -> Iterator[None]:
    """Serve a request in this thread with these tokens."""
    _serving.tokens = tokens
    try:
        yield
    finally:
        del _serving.tokens


# What a process of workers is told, and what it answers


@dataclass(frozen=True, slots=True)
class Hire:
    """Be new workers of an app: one for each number, the seconds its clock is ahead."""

    appid: str
    mode: TokenMode
    skews: tuple[float, ...]


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


def serve(orders: Connection, place: Place, threads: int, moved: Moved) -> None:
    """Be a process of workers until told None, or until nobody is left to tell."""
    client = connect(place)
    operations: Counter[str] = Counter()
    client.meta.events.register(
        "before-call.dynamodb", lambda model, **_: operations.update([model.name])
    )
    workers: list[Worker] = []
    with workers_at_work(), ThreadPoolExecutor(threads) as pool:
        orders.send(None)  # ready
        while True:
            try:
                order = orders.recv()
            except EOFError:
                return
            match order:
                case Hire():
                    workers = [
                        Worker(
                            place,
                            client,
                            [order.appid],
                            mode=order.mode,
                            clock=partial(_time, moved, skew),
                        )
                        for skew in order.skews
                    ]
                case Act():
                    operations.clear()
                    act = partial(_act, order)
                    outcomes = tuple(pool.map(act, workers[: order.workers]))
                    orders.send(Report(outcomes, operations.copy()))
                case _:
                    return


def _tokens_of_this_thread() -> AccessTokens:
    tokens: AccessTokens = _serving.tokens
    return tokens


def _act(order: Act, worker: Worker) -> Outcome:
    time.sleep(max(0.0, order.at - time.monotonic()))
    return worker.get() if order.what == "get" else worker.request()


def _time(moved: Moved, skew: float) -> float:
    return time.time() + moved.value + skew


class CountedWeChat(WeChat):
    """Counts the calls for a token."""

    token_calls = 0

    def stable_access_token(self, appid: str, secret: str, *, force: bool = False) -> AccessToken:
        self.token_calls += 1
        return super().stable_access_token(appid, secret, force=force)

    def classic_access_token(self, appid: str, secret: str) -> AccessToken:
        self.token_calls += 1
        return super().classic_access_token(appid, secret)


class _Secrets:
    """Secrets Manager, which is not what races here."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]:  # noqa: N803 - AWS's name
        return {"SecretString": self._texts[SecretId]}


_serving = threading.local()

# Made once, before the processes are forked from this one: a client's model is slow to load.
_session = get_session()
connect(Place("http://127.0.0.1:1", "", "")).close()
