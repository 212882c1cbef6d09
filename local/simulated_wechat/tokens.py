"""access_token: the stable and the classic kind, each with its own rules.

Rules: developers.weixin.qq.com, getStableAccessToken and getAccessToken.
"""

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, get_args

from .clock import Clock
from .errors import WeChatError
from .quotas import day_of

LIFE: Final = 7200
OVERLAP: Final = 300
FORCED_PER_DAY: Final = 20
FORCED_APART: Final = 30

Kind = Literal["stable", "classic", "component", "authorizer"]


@dataclass(slots=True)
class _Token:
    kind: Kind
    appid: str
    text: str
    expires_at: float
    refused: int = 0  # errcode it is refused with before its time; 0 = accepted
    handed_out: bool = True  # whether stable normal mode still answers with it


@dataclass(slots=True)
class _Forced:
    day: int
    count: int = 0
    at: float = float("-inf")


class AccessTokens:
    """Every access_token ever given out, and which of them WeChat accepts now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[str, _Token] = {}
        self._issued: defaultdict[tuple[Kind, str], list[_Token]] = defaultdict(list)
        self._forced: dict[str, _Forced] = {}
        self.forced: Counter[str] = Counter()  # forced refreshes ever carried out, by appid
        self._refused_apps: dict[str, int] = {}

    def stable(self, appid: str, *, force: bool) -> tuple[str, int]:
        """Return getStableAccessToken's token and the seconds it has left.

        Normal mode hands out the valid token until its last five minutes; then it makes a new one
        and both work for five minutes. Forced mode ends the valid ones and makes a new one; within
        30 seconds of the last time it does nothing more than normal mode.

        Raises:
            WeChatError: 45009 on the 21st forced refresh of a day.
        """
        now = self._clock.now()
        if force and self._may_force(appid, now):
            for token in self._valid("stable", appid):
                token.refused, token.handed_out = 40001, False
            self.forced[appid] += 1
            return self._issue("stable", appid)
        for token in self._valid("stable", appid):
            if token.handed_out and token.expires_at - now > OVERLAP:
                return token.text, int(token.expires_at - now)
        return self.replace("stable", appid)

    def classic(self, appid: str) -> tuple[str, int]:
        """Return getAccessToken's token: always a new one; the last works five more minutes."""
        return self.replace("classic", appid)

    def owner(self, text: str) -> str:
        """Return the appid an access_token speaks for.

        Raises:
            WeChatError: 40014 if WeChat never made it, 40001 if it was replaced or revoked,
                42001 if it expired.
        """
        token = self._tokens.get(text)
        if token is None:
            raise WeChatError(40014)
        refused = self._refused_apps.get(token.appid) or token.refused
        if refused:
            raise WeChatError(refused)
        if token.expires_at <= self._clock.now():
            raise WeChatError(42001)
        return token.appid

    def appid_of(self, text: str) -> str | None:
        """Return the appid that `text` was made for, whether or not it still works."""
        token = self._tokens.get(text)
        return token.appid if token else None

    def kind_of(self, text: str) -> Kind | None:
        """Tell which call issued a token."""
        token = self._tokens.get(text)
        return token.kind if token else None

    def has_expired(self, text: str) -> bool:
        """Tell whether a token lived out its time, and was not refused before that."""
        token = self._tokens[text]
        return not token.refused and token.expires_at <= self._clock.now()

    @property
    def texts(self) -> tuple[str, ...]:
        """Every token ever given out, oldest first."""
        return tuple(self._tokens)

    def revoke(self, appid: str, errcode: int, *, sticky: bool) -> None:
        """Refuse with `errcode` what is valid now, whichever call issued it.

        Args:
            appid: Whose tokens.
            errcode: 40001, 40014 or 42001.
            sticky: Whether stable normal mode goes on handing out the refused token until forced.
        """
        for kind in get_args(Kind):
            for token in self._valid(kind, appid):
                token.refused, token.handed_out = errcode, sticky and token.handed_out

    def refuse_all(self, appid: str, errcode: int) -> None:
        """Refuse every token of this app with `errcode`, future ones too; 0 ends it."""
        self._refused_apps[appid] = errcode

    def _may_force(self, appid: str, now: float) -> bool:
        forced = self._forced.get(appid, _Forced(day_of(now)))
        if now - forced.at < FORCED_APART:
            return False
        if forced.day != day_of(now):
            forced = _Forced(day_of(now))
        if forced.count >= FORCED_PER_DAY:
            raise WeChatError(45009)
        self._forced[appid] = _Forced(forced.day, forced.count + 1, now)
        return True

    def _valid(self, kind: Kind, appid: str) -> Iterator[_Token]:
        now = self._clock.now()
        return (t for t in reversed(self._issued[kind, appid]) if t.expires_at > now)

    def replace(self, kind: Kind, appid: str) -> tuple[str, int]:
        """Issue a token and let the last one work for the overlap, not longer and not shorter."""
        last = next(self._valid(kind, appid), None)
        if last:
            last.expires_at, last.handed_out = self._clock.now() + OVERLAP, False
        return self._issue(kind, appid)

    def _issue(self, kind: Kind, appid: str) -> tuple[str, int]:
        # WeChat's tokens are a number, an underscore and well over a hundred characters.
        text = f"{len(self._tokens) + 1}_{secrets.token_urlsafe(100)}"
        token = _Token(kind, appid, text, self._clock.now() + LIFE)
        self._tokens[text] = token
        self._issued[kind, appid] = [*reversed(list(self._valid(kind, appid))), token]
        return text, LIFE
