"""The wiring: what an execution environment is made of, each part when it is first needed.

A wrong setting is an error of the invocation that meets it, with a remedy, and never an init
failure; and each function loads only what its path uses. `prepare` builds ahead, at init.

Nothing below imports this module: each part takes what it uses as parameters.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING

from wechat_auth import invocation
from wechat_auth.apps import Apps
from wechat_auth.connections import Connections
from wechat_auth.failure_budget import FailureBudget
from wechat_auth.secret_store import SecretStore
from wechat_auth.sessions import Sessions
from wechat_auth.settings import Settings, start_of_environment
from wechat_auth.storage import Aws, Queue, Table
from wechat_auth.wechat import WeChat

_INIT_SECONDS = 7.5
"""Seconds that the preparations may take; Lambda ends an init after 10."""

if TYPE_CHECKING:
    from wechat_auth.account import AccountFunction
    from wechat_auth.open_data import OpenData
    from wechat_auth.phone_records import PhoneRecords
    from wechat_auth.platform.platform import Platform
    from wechat_auth.platform.table import PlatformTable
    from wechat_auth.secured_calls import Envelope
    from wechat_auth.tokens.access_tokens import AccessTokens
    from wechat_auth.tokens.sources import TokenSource
    from wechat_auth.tokens.table import TokenTable


class Backend:
    """The parts of one execution environment.

    Args:
        settings: Of this deployment.
        aws: AWS's clients, if not those of the environment.
        wechat: The client of WeChat's API, if not that of the settings.
        clock: Gives the time in seconds.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        aws: Aws | None = None,
        wechat: WeChat | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.connections = Connections()
        self.aws = aws or Aws(connections=self.connections)
        self.clock = clock
        self.sleep = sleep
        self._envelopes: dict[str, Envelope] = {}
        if wechat:
            self.wechat = wechat

    @cached_property
    def secrets(self) -> SecretStore:
        """The key ring, the AppSecrets and the API clients."""
        return SecretStore(
            self.aws,
            key_ring_id=self.settings.key_ring_id,
            app_secrets_id=self.settings.app_secrets_id,
            api_clients_id=self.settings.api_clients_id,
            clock=self.clock,
        )

    @cached_property
    def wechat(self) -> WeChat:
        """The client of WeChat's API, with its connections."""
        return WeChat(self.settings.wechat_base_urls, self.connections)

    @cached_property
    def sessions(self) -> Sessions:
        """The sessions of all users."""
        return Sessions(
            self._sessions_table,
            self.secrets,
            appids=self.apps,
            life=self.settings.session_life,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def apps(self) -> Apps:
        """The mini-programs that are served."""
        return Apps(self.settings.appids, self.platform)

    @cached_property
    def platform(self) -> "Platform | None":
        """The third-party platform; imported here, since most teams have none."""
        appid = self.settings.component_appid
        if not appid:
            return None
        from wechat_auth.platform.calls import PlatformCalls  # noqa: PLC0415
        from wechat_auth.platform.platform import Platform  # noqa: PLC0415

        return Platform(
            appid,
            self.platform_table,
            PlatformCalls(self.wechat, appid),
            self.secrets,
            access_tokens=lambda: self.access_tokens,
            clock=self.clock,
        )

    def receive_of_platform(
        self, merchant: str | None, body: bytes, query: Mapping[str, str]
    ) -> str | None:
        """Open a push to the platform; imported here, since most teams have none."""
        from wechat_auth.platform.pushes import receive  # noqa: PLC0415

        return receive(
            self.settings.component_appid,
            merchant,
            body,
            query,
            table=self.platform_table,
            secrets=self.secrets,
            user_events=self.user_events,
            platform_events=self.aws.queue(self.settings.platform_events_queue),
            now=self.clock(),
        )

    def look_after_platform(self) -> dict[str, str]:
        """Do what the schedule does for the platform, if there is one, and say what was done."""
        if self.platform is None:
            return {}
        from wechat_auth.platform.authorizations import look_after  # noqa: PLC0415

        return look_after(self.platform, self.access_tokens, self.secrets, clock=self.clock)

    @cached_property
    def platform_table(self) -> "PlatformTable":
        """What the platform must not lose; imported here likewise."""
        from wechat_auth.platform.table import PlatformTable  # noqa: PLC0415

        settings = self.settings
        table = self.aws.table(settings.platform_table)
        return PlatformTable(table, settings.component_appid, self.secrets, clock=self.clock)

    def platform_of(self, appid: str) -> "Platform | None":
        """Return the platform if an app is a merchant's; ``None`` for an own one."""
        return None if appid in self.settings.appids else self.platform

    @cached_property
    def account_function(self) -> "AccountFunction | None":
        """The team's account function; imported here, since most teams have none."""
        if not self.settings.account_function_arn:
            return None
        from wechat_auth.account import AccountFunction  # noqa: PLC0415

        return AccountFunction(self.aws, self.settings.account_function_arn, self.sessions)

    @cached_property
    def failure_budget(self) -> FailureBudget:
        """The failed decryptions of all users."""
        limit = self.settings.decrypt_failures_per_day
        return FailureBudget(self._sessions_table, self.secrets, limit=limit, clock=self.clock)

    @cached_property
    def access_tokens(self) -> "AccessTokens":
        """The access_tokens; imported here, since login and authorizer need none."""
        from wechat_auth.tokens.access_tokens import AccessTokens  # noqa: PLC0415
        from wechat_auth.tokens.sources import app_secret_source  # noqa: PLC0415

        own = app_secret_source(self.settings.access_token_mode, self.wechat, self.secrets)

        def source_of(appid: str) -> "TokenSource":
            platform = self.platform_of(appid)
            return platform.source(appid) if platform else own

        return AccessTokens(
            self.token_table,
            source_of,
            self.secrets,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def token_table(self) -> "TokenTable":
        """The rows that environments share the access_tokens by; imported as those."""
        from wechat_auth.tokens.table import TokenTable  # noqa: PLC0415

        table = self.aws.table(self.settings.access_tokens_table)
        return TokenTable(table, self.secrets, clock=self.clock)

    def envelope(self, appid: str) -> "Envelope | None":
        """Return what an app's calls are sealed in; imported here, since few have API security.

        Raises:
            AuthError: ``misconfigured``, if its keys are of no use.
        """
        document = self.secrets.api_security(appid)
        if document is None:
            return None
        known = self._envelopes.get(appid)
        if known is None or known.document != document:
            from wechat_auth.secured_calls import Envelope  # noqa: PLC0415

            doubt = self.secrets.app_secret_refused
            known = Envelope(appid, document, doubt=doubt, clock=self.clock)
            self._envelopes[appid] = known
        return known

    def envelopes(self) -> None:
        """Make the envelopes of all apps ahead of the first call.

        Raises:
            AuthError: As :meth:`envelope`.
        """
        for appid in self.settings.appids:
            self.envelope(appid)

    @cached_property
    def phone_records(self) -> "PhoneRecords":
        """What is kept of phone exchanges; imported here, since only /phone needs it."""
        from wechat_auth.phone_records import PhoneRecords  # noqa: PLC0415

        return PhoneRecords(
            self.aws.table(self.settings.phone_exchanges_table),
            self.secrets,
            clock=self.clock,
            sleep=self.sleep,
        )

    @cached_property
    def user_events(self) -> Queue:
        """The queue of what WeChat says about users."""
        return self.aws.queue(self.settings.user_events_queue)

    @cached_property
    def open_data(self) -> "OpenData":
        """The reader of open data; imported here, since only /decrypt needs it."""
        from wechat_auth.open_data import OpenData  # noqa: PLC0415

        return OpenData(
            self.failure_budget,
            self.access_tokens,
            self.wechat,
            self.envelope,
            max_age=self.settings.open_data_max_age,
            check_encrypted_data=self.settings.check_encrypted_data,
            clock=self.clock,
            account_function=self.account_function,
        )

    @cached_property
    def _sessions_table(self) -> Table:
        return self.aws.table(self.settings.sessions_table)


@cache
def backend() -> Backend:
    """Return the backend of this execution environment.

    Raises:
        AuthError: ``misconfigured``; the remedy names the setting.
    """
    return Backend(Settings.from_env())


def prepare(
    needs: Callable[[Backend], object] = lambda _: None,
    *,
    calls_wechat: bool = False,
    reads: Callable[[Backend], object] = lambda _: None,
    make_backend: Callable[[], Backend] = backend,
) -> None:
    """Build at init what the first request would wait for.

    At init Lambda lends a whole processor, whatever the function's memory; a request has only its
    share, and TLS is most of what a first one would do. So clients are made now, secrets read, and
    DynamoDB and WeChat connected to meanwhile. Whatever fails is left to the first request, which
    meets the same error and can say so.

    A snapshot (SnapStart) may live for weeks: it gets the clients, but no secret or connection.
    If Lambda does not say that it is starting an environment, nothing is done.

    Args:
        needs: Names more parts to build.
        calls_wechat: Whether to connect to WeChat, and to the team's account function.
        reads: Names what to read of Secrets Manager beside the key ring.
        make_backend: Gives the backend.
    """
    start = start_of_environment()
    if start is None:
        return
    with suppress(Exception), invocation.initialising(_INIT_SECONDS):
        made = make_backend()
        made.connections.tls  # noqa: B018 - made by being asked for
        made.aws.dynamodb  # noqa: B018
        made.aws.secrets_manager  # noqa: B018
        if calls_wechat:
            made.wechat  # noqa: B018
            if made.account_function:
                made.aws.lambda_  # noqa: B018
        needs(made)
        if start == "snap-start":
            return
        to_dynamodb = _meanwhile(made.aws.connect_to_dynamodb)
        if calls_wechat:
            _meanwhile(made.wechat.connect)
            if made.account_function:
                _meanwhile(made.account_function.connect)
        made.secrets.key_ring()
        reads(made)
        to_dynamodb.join()  # while a whole processor is lent; WeChat may be far away


def _meanwhile(connect: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=connect, name="connect", daemon=True)
    thread.start()
    return thread
