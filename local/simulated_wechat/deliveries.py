"""What WeChat sends by itself: when it is due, again if it is not answered, not always in order.

Source: "消息推送" in WeChat's guide (message-push.html): three attempts, each given up after 5 s.
How late, how often and in which order pushes really come is not published; here a test says so.
"""

from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import Final

from .clock import Clock
from .message_push import Answered, Pushed

ATTEMPTS: Final = 3
BETWEEN_ATTEMPTS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt.

    Attributes:
        due_at: From when it may be made.
        url: Where to.
        pushed: What.
        attempt: 1 for the first.
        answered: What came back, if it was made and there is a server.
    """

    due_at: float
    url: str
    pushed: Pushed
    attempt: int = 1
    answered: Answered | None = None

    @property
    def is_heard(self) -> bool:
        """Whether the answer is the one that WeChat is content with."""
        return self.answered == Answered(HTTPStatus.OK, "success")


class Deliveries:
    """What is to be pushed.

    Args:
        clock: WeChat's.

    Attributes:
        delay: Seconds that a push is late.
        copies: How often each is sent, answered or not.
        newest_first: Whether what is due at the same time goes out in the wrong order.
    """

    def __init__(self, clock: Clock) -> None:
        self.delay = 0.0
        self.copies = 1
        self.newest_first = False
        self._clock = clock
        self._waiting: list[Delivery] = []
        self._lock = Lock()

    def put(self, url: str, pushed: Pushed) -> None:
        """Let something be pushed; without an address nothing ever is."""
        if not url:
            return
        delivery = Delivery(self._clock.now() + self.delay, url, pushed)
        with self._lock:
            self._waiting += [delivery] * self.copies

    def send(self) -> list[Delivery]:
        """Send what is due, and return it with the answers."""
        now = self._clock.now()
        with self._lock:
            due = [each for each in self._waiting if each.due_at <= now]
            self._waiting = [each for each in self._waiting if each.due_at > now]
        due.sort(key=lambda each: each.due_at)
        if self.newest_first:
            due.reverse()
        return [self._send(each, now) for each in due]

    def _send(self, delivery: Delivery, now: float) -> Delivery:
        try:
            answered = delivery.pushed.send(delivery.url)
        except OSError:
            answered = None
        made = Delivery(delivery.due_at, delivery.url, delivery.pushed, delivery.attempt, answered)
        if not made.is_heard and made.attempt < ATTEMPTS:
            again = Delivery(
                now + BETWEEN_ATTEMPTS, delivery.url, delivery.pushed, delivery.attempt + 1
            )
            with self._lock:
                self._waiting.append(again)
        return made
