"""The state behind the rules: apps, people, codes, tokens, and what was billed."""

from collections import Counter
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING

from .clock import Clock
from .codes import Codes
from .deliveries import Deliveries
from .errors import WeChatError
from .message_push import MessagePush
from .open_data import OpenData
from .people import Person, new_session_key
from .quotas import Quotas
from .tokens import AccessTokens

if TYPE_CHECKING:
    from .api_security import ApiSecurity
    from .platform import ThirdPartyPlatform


@dataclass(frozen=True, slots=True)
class App:
    """A mini-program as its console has it.

    Attributes:
        appid: Its appid.
        secret: Its AppSecret.
        cloud: Whether cloud development is on, so that its phones get a cloudID.
        unionid: Whether it is bound to an open-platform account.
        phone_api: Whether it may use getPhoneNumber and checkEncryptedData (else 48001).
        ip_whitelist: Addresses that may get an access_token; empty admits all.
    """

    appid: str
    secret: str = field(repr=False)
    cloud: bool = False
    unionid: bool = False
    phone_api: bool = True
    ip_whitelist: tuple[str, ...] = ()


@dataclass(slots=True)
class Settings:
    """Where WeChat's pages leave a choice, or contradict each other.

    Attributes:
        login_replaces_session_key: A new login code replaces the session_key when it is issued,
            so that data encrypted from then on needs the new one; else when it is exchanged.
        country_code_as_number: getPhoneNumber answers countryCode 86, not "86".
        open_data_as_object: getOpenData answers each item's json as an object, not as a string.
        wrong_secret_errcode: What the token calls say to a wrong AppSecret, 40125 or 40001.
        unknown_ciphertext_errcode: The errcode of checkEncryptedData beside vaild false, 1 or 0.
    """

    login_replaces_session_key: bool = True
    country_code_as_number: bool = True
    open_data_as_object: bool = False
    wrong_secret_errcode: int = 40125
    unknown_ciphertext_errcode: int = 1


@dataclass(slots=True)
class Billed:
    """What costs money, and what must never be sent twice.

    Attributes:
        taps: Phone-number taps: WeChat bills each when the user taps.
        exchanges: Phone codes exchanged for a number, by code.
        arrivals: How often each login or phone code arrived, by code, whatever the answer was;
            unless WeChat refused the access_token and so never looked at the code.
    """

    taps: int = 0
    exchanges: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[str] = field(default_factory=Counter)


class World:
    """Everything WeChat knows. Hold `lock` to touch it."""

    def __init__(self, apps: tuple[App, ...], settings: Settings) -> None:
        self.lock = RLock()
        self.clock = Clock()
        self.settings = settings
        self.apps = {app.appid: app for app in apps}
        self.api_security: dict[str, ApiSecurity] = {}
        self.message_push: dict[str, MessagePush] = {}
        self.deliveries = Deliveries(self.clock)
        self.people: dict[tuple[str, str], Person] = {}
        self.platform: ThirdPartyPlatform | None = None
        self.codes = Codes(self.clock)
        self.tokens = AccessTokens(self.clock)
        self.open_data = OpenData(self.clock)
        self.quotas = Quotas(self.clock)
        self.billed = Billed()

    def app(self, appid: str) -> App:
        """Return an app, or raise WeChatError 40013."""
        try:
            return self.apps[appid]
        except KeyError:
            raise WeChatError(40013) from None

    def exchange_login_code(self, appid: str, text: str) -> dict[str, object]:
        """Spend a login code of an app, and return who logged in, as code2Session answers it."""
        code = self.codes.find("login", text)
        person = code.person
        if person.appid != appid:
            raise WeChatError(40029)
        if code.used:
            raise WeChatError(40163)
        code.use()
        if not self.settings.login_replaces_session_key:
            person.session_key = new_session_key()
        reply: dict[str, object] = {
            "session_key": person.live_session_key(),
            "openid": person.openid,
        }
        if person.unionid:
            reply["unionid"] = person.unionid
        return reply

    def push_of(self, appid: str) -> MessagePush:
        """Return the message push of an app, in safe mode, as its console has it."""
        return self.message_push.setdefault(appid, MessagePush(appid, self.clock))

    def tell(self, person: "Person", event: str, revoke_info: str | None = None) -> None:
        """Push what has happened to a user to whoever serves their mini-program."""
        push, platform = self.message_push.get(person.appid), self.platform
        if platform and person.appid in platform.authorizations:
            push, url = platform.push, platform.message_url.replace("$APPID$", person.appid)
        elif push:
            url = push.url
        else:
            return
        pushed = push.event(event, person.openid, revoke_info=revoke_info, appid=person.appid)
        self.deliveries.put(url, pushed)
