"""Faults on demand: what a real WeChat and the network before it do on a bad day."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, get_args

Kind = Literal[
    "latency",
    "drop_before",
    "drop_after",
    "status",
    "html",
    "truncated",
    "incomplete",
    "altered",
    "errcode",
]

ENDPOINTS: Final = (
    "code2Session",
    "getStableAccessToken",
    "getAccessToken",
    "getPhoneNumber",
    "checkSessionKey",
    "resetUserSessionKey",
    "checkEncryptedData",
    "getOpenData",
    "thirdpartyCode2Session",
    "getComponentAccessToken",
    "startPushTicket",
    "getPreAuthCode",
    "getAuthorizerRefreshToken",
    "getAuthorizerAccessToken",
    "getAuthorizerList",
)

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for calls to fail.

    The kinds: `latency` (the work is done at once, the answer comes `seconds` late),
    `drop_before` and `drop_after` (the TCP connection is reset before or after the work),
    `status` (an HTTP error), `html` (a page with status 200), `truncated` (half a JSON document),
    `incomplete` (the connection ends before Content-Length is reached), `altered` (a blank more at
    the end of the body, which only a signature can tell) and `errcode`.

    Attributes:
        endpoint: WeChat's name of the call, or "*" for every call.
        kind: What happens.
        times: How many calls it hits; None until cleared.
        seconds: How long the answer, or the drop, takes to come; of any kind.
        status: HTTP status of `status`.
        errcode: The errcode of `errcode`.
        errmsg: Its text; WeChat's own by default.
        work_done: Whether WeChat did the work before `status`, `html` or `errcode`.
        share: Part of the calls that it hits, evenly spread: 0.01 is every hundredth.
    """

    endpoint: str
    kind: Kind
    times: int | None = 1
    seconds: float = 0.0
    status: int = 502
    errcode: int = -1
    errmsg: str | None = None
    work_done: bool = False
    share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse names that would silently never match."""
        if self.endpoint not in (ANY, *ENDPOINTS):
            raise ValueError(
                f"unknown endpoint {self.endpoint!r}: use * or one of {', '.join(ENDPOINTS)}"
            )
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown kind {self.kind!r}: use one of {', '.join(get_args(Kind))}")

    @property
    def does_the_work(self) -> bool:
        """Whether WeChat acts on the request although the answer is spoilt."""
        return self.work_done or self.kind in (
            "drop_after",
            "truncated",
            "incomplete",
            "altered",
        )


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int | None
    accumulated: float = 0.0

    def strikes(self) -> bool:
        """Whether it hits this call; counts it."""
        self.accumulated += self.fault.share
        if self.left == 0 or self.accumulated < 1 - 1e-9:
            return False
        self.accumulated -= 1
        if self.left is not None:
            self.left -= 1
        return True


class Faults:
    """The faults that are armed, in the order in which they were added.

    Args:
        lock: The simulation's one lock.
    """

    def __init__(self, lock: AbstractContextManager[object]) -> None:
        self._lock = lock
        self._armed: list[_Armed] = []

    def add(self, fault: Fault) -> None:
        """Arm a fault."""
        with self._lock:
            self._armed.append(_Armed(fault, fault.times))

    def clear(self) -> None:
        """Disarm all."""
        with self._lock:
            self._armed.clear()

    def __iter__(self) -> Iterator[Fault]:
        """Iterate over what is armed and not used up."""
        with self._lock:
            return iter([armed.fault for armed in self._armed if armed.left != 0])

    def take(self, endpoint: str) -> tuple[float, Fault | None]:
        """Return what hits this call: seconds of delay (they add up) and the first other fault."""
        delay, spoiler = 0.0, None
        with self._lock:
            for armed in self._armed:
                fault = armed.fault
                is_spoiler = fault.kind != "latency"
                if fault.endpoint not in (ANY, endpoint) or (is_spoiler and spoiler):
                    continue
                if armed.strikes():
                    delay += fault.seconds
                    spoiler = fault if is_spoiler else spoiler
            self._armed = [armed for armed in self._armed if armed.left != 0]
        return delay, spoiler
