"""SimulatedWeChat: the world, its faults and the record of what was called."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, Literal

from . import sample
from .answer import Answer, Call, answer
from .api_security import ApiSecurity
from .deliveries import ATTEMPTS, Deliveries, Delivery
from .errors import WeChatError
from .faults import ENDPOINTS, Faults
from .message_push import MessagePush
from .people import Person, new_openid
from .phone import Phone
from .platform import PHONE_NUMBERS, ThirdPartyPlatform
from .quotas import Quota
from .request import Request
from .world import App, Billed, Settings, World

DEFAULT_NUMBER: Final = "13800138000"

_CALLS_KEPT: Final = 10_000


class SimulatedWeChat:
    """WeChat's server API for some apps, and the phones of their users. Thread-safe.

    Args:
        apps: The first is the default of `phone`.
        settings: Other choices than the default ones.

    Attributes:
        clock: WeChat's clock; `clock.advance(seconds)` moves it.
        faults: Faults on demand.
        settings: Where WeChat leaves a choice; may be changed at any time.
        on_call: Called with each Call once its answer is made, or None.
    """

    def __init__(self, apps: Iterable[App], settings: Settings | None = None) -> None:
        self._world = World(tuple(apps), settings or Settings())
        self._phones: dict[tuple[str, str], Phone] = {}
        self._calls: deque[Call] = deque(maxlen=_CALLS_KEPT)
        self._counts: Counter[tuple[str, str | None, int | None]] = Counter()
        self.clock = self._world.clock
        self.settings = self._world.settings
        self.faults = Faults(self._world.lock)
        self.on_call: Callable[[Call], None] | None = None

    # What the tests and the console arrange

    def phone(
        self,
        appid: str | None = None,
        number: str = DEFAULT_NUMBER,
        *,
        name: str | None = None,
        country_code: str = "86",
        nick_name: str = "Band",
    ) -> Phone:
        """Return the phone of a person.

        Args:
            appid: The mini-program that runs on it; the first app by default.
            number: The person's number, without country code.
            name: A name to find the same phone by again; without one it is a new person's.
            country_code: Country code of the number, without plus sign.
            nick_name: What wx.getUserInfo tells.
        """
        with self._world.lock:
            appid = appid or next(iter(self._world.apps))
            if name is not None and (appid, name) in self._phones:
                return self._phones[appid, name]
            unionid = new_openid() if self._world.app(appid).unionid else None
            person = Person(appid, new_openid(), unionid, number, country_code, nick_name)
            self._world.people[appid, person.openid] = person
            phone = Phone(self._world, person)
            if name is not None:
                self._phones[appid, name] = phone
            return phone

    def add_sample(self) -> None:
        """Let the first app have the sample user, whose codes always work (see `sample`)."""
        with self._world.lock:
            sample.add_to(self._world)

    @property
    def apps(self) -> tuple[App, ...]:
        """The apps as they are now."""
        with self._world.lock:
            return tuple(self._world.apps.values())

    def put_app(self, app: App) -> None:
        """Add an app, or change one: a new AppSecret, another whitelist."""
        with self._world.lock:
            self._world.apps[app.appid] = app

    def set_up_api_security(self, appid: str | None = None) -> ApiSecurity:
        """Let the owner of an app generate all keys anew, and switch API security on.

        Args:
            appid: The app; the first one by default.
        """
        with self._world.lock:
            app = self._world.app(appid or next(iter(self._world.apps)))
            self._world.api_security[app.appid] = ApiSecurity(app.appid, self.clock)
            return self._world.api_security[app.appid]

    def remove_api_security(self, appid: str) -> None:
        """Let an app be as if its owner had never set up API security."""
        with self._world.lock:
            self._world.api_security.pop(appid, None)

    @property
    def api_security(self) -> dict[str, ApiSecurity]:
        """The API security of the apps that have it, by appid."""
        with self._world.lock:
            return dict(self._world.api_security)

    def message_push(self, appid: str | None = None) -> MessagePush:
        """Return the message push of an app, in safe mode, as its console has it.

        Args:
            appid: The app; the first one by default.
        """
        with self._world.lock:
            app = self._world.app(appid or next(iter(self._world.apps)))
            return self._world.push_of(app.appid)

    @property
    def deliveries(self) -> Deliveries:
        """What WeChat is going to push: how late, how often, in which order."""
        return self._world.deliveries

    def deliver(self) -> list[Delivery]:
        """Push what is due by now, tickets included, and return it with the answers."""
        with self._world.lock:
            platform = self._world.platform
            if platform and (ticket := platform.due_ticket()):
                self.deliveries.put(platform.push.url, ticket)
        made = self.deliveries.send()  # without the lock: who is told may ask something
        if platform and any(
            each.url == platform.push.url and not each.is_heard and each.attempt == ATTEMPTS
            for each in made
        ):
            platform.pushing = False  # until it asks for tickets again
        return made

    def authorize(self, appid: str, permissions: Iterable[int] = (PHONE_NUMBERS,)) -> None:
        """Let a merchant, of a new mini-program if need be, authorise the platform.

        Raises:
            ValueError: There is no platform.
        """
        with self._world.lock:
            platform = self._some_platform()
            if appid not in self._world.apps:
                self._world.apps[appid] = App(appid, "", cloud=True)
            self.deliveries.put(platform.push.url, platform.authorize(appid, permissions))

    def withdraw(self, appid: str) -> None:
        """Let a merchant withdraw its authorisation of the platform.

        Raises:
            ValueError: There is no platform.
        """
        with self._world.lock:
            platform = self._some_platform()
            self.deliveries.put(platform.push.url, platform.withdraw(appid))

    def set_up_platform(self, appid: str) -> ThirdPartyPlatform:
        """Let there be a third-party platform of this appid, in place of any other."""
        with self._world.lock:
            self._world.platform = ThirdPartyPlatform(appid, self.clock)
            return self._world.platform

    def remove_platform(self) -> None:
        """Let there be no third-party platform."""
        with self._world.lock:
            self._world.platform = None

    @property
    def platform(self) -> ThirdPartyPlatform | None:
        """The third-party platform, if there is one."""
        with self._world.lock:
            return self._world.platform

    def set_quota(self, endpoint: str, quota: Quota) -> None:
        """Set how often each app may call `endpoint`."""
        if endpoint not in ENDPOINTS:
            raise ValueError(f"unknown endpoint {endpoint!r}: use one of {', '.join(ENDPOINTS)}")
        with self._world.lock:
            self._world.quotas.limits[endpoint] = quota

    def spend_code(self, code: str) -> None:
        """Let another server of the same app exchange a login or phone code.

        Raises:
            WeChatError: 40029 if it is unknown or expired.
        """
        with self._world.lock:
            self._world.codes.spend(code)

    def revoke_access_token(
        self, appid: str, *, errcode: int = 40001, sticky: bool = False
    ) -> None:
        """Refuse the valid access_tokens of an app from now on.

        Args:
            appid: The app.
            errcode: 40001, 40014 or 42001.
            sticky: Whether stable normal mode hands the refused token out again until forced.
        """
        with self._world.lock:
            self._world.tokens.revoke(self._caller(appid), errcode, sticky=sticky)

    def refuse_all_tokens(self, appid: str, *, errcode: int = 40001) -> None:
        """Refuse every access_token of an app, future ones too."""
        with self._world.lock:
            self._world.tokens.refuse_all(self._caller(appid), errcode)

    def accept_tokens(self, appid: str) -> None:
        """End `refuse_all_tokens`."""
        with self._world.lock:
            self._world.tokens.refuse_all(self._caller(appid), 0)

    def _some_platform(self) -> ThirdPartyPlatform:
        if self._world.platform is None:
            raise ValueError("there is no third-party platform")
        return self._world.platform

    def _caller(self, appid: str) -> str:
        """Return the appid of an app, or of the platform."""
        platform = self._world.platform
        return appid if platform and platform.appid == appid else self._world.app(appid).appid

    # What can be seen

    def accepts(self, access_token: str) -> bool:
        """Tell whether an access_token works at this moment."""
        with self._world.lock:
            try:
                self._world.tokens.owner(access_token)
            except WeChatError:
                return False
            return True

    def has_expired(self, access_token: str) -> bool:
        """Tell whether an access_token lived out its time, and was not refused before that."""
        with self._world.lock:
            return self._world.tokens.has_expired(access_token)

    @property
    def people(self) -> tuple[Person, ...]:
        """Everybody who ever had a phone."""
        with self._world.lock:
            return tuple(self._world.people.values())

    def is_fresh_code(self, kind: Literal["login", "phone"], code: str) -> bool:
        """Tell whether a code would work at this moment."""
        with self._world.lock:
            try:
                return not self._world.codes.find(kind, code).used
            except WeChatError:
                return False

    @property
    def access_tokens(self) -> tuple[str, ...]:
        """Every access_token ever issued, oldest first."""
        with self._world.lock:
            return self._world.tokens.texts

    def forced_refreshes(self, appid: str) -> int:
        """Return how many forced refreshes were ever carried out for an app."""
        with self._world.lock:
            return self._world.tokens.forced[appid]

    @property
    def calls(self) -> tuple[Call, ...]:
        """The last 10,000 calls, oldest first."""
        with self._world.lock:
            return tuple(self._calls)

    def count(self, endpoint: str, *, appid: str | None = None, errcode: int | None = None) -> int:
        """Return how many calls ever arrived at `endpoint`, of one app or errcode if given."""
        with self._world.lock:
            return sum(
                number
                for (name, caller, told), number in self._counts.items()
                if name == endpoint
                and (appid is None or caller == appid)
                and (errcode is None or told == errcode)
            )

    def counts(self) -> dict[str, int]:
        """Return how many calls ever arrived, by endpoint."""
        totals: Counter[str] = Counter()
        with self._world.lock:
            for (name, _, _), number in self._counts.items():
                totals[name] += number
        return dict(totals)

    @property
    def billed(self) -> Billed:
        """A copy of what was billed so far."""
        with self._world.lock:
            billed = self._world.billed
            return replace(
                billed, exchanges=billed.exchanges.copy(), arrivals=billed.arrivals.copy()
            )

    # What goes over the wire

    def answer(self, request: Request) -> Answer:
        """Answer one request, and tell `on_call`."""
        reply, call = answer(self._world, self.faults, request)
        with self._world.lock:
            self._calls.append(call)
            self._counts[call.endpoint, call.appid, call.errcode] += 1
        if self.on_call:
            self.on_call(call)
        return reply
