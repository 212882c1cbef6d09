"""The messages that passed, in order, for those who watch."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Literal

_KEPT: Final = 1000

Kind = Literal["phone", "request", "call", "answer", "push", "heard", "work", "note"]
Lane = Literal["phone", "api", "dynamodb", "secretsmanager", "sqs", "lambda", "wechat"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message; nothing in it is a secret (masking).

    Attributes:
        kind: `phone` (the phone and WeChat), `request` and `answer` (mini-program and API),
            `call` (a function and what it asked, answer included), `push` and `heard` (WeChat and
            API), `work` (a function and what it took from a queue), `note` (something happened).
        lane: Who was asked or, of a note, where it happened.
        name: Such as "POST /phone", "GetItem", "getPhoneNumber" or a note's name.
        request: API Gateway's id of the request that it belongs to, or empty.
        function: The function that serves that request, or empty.
        target: The table or secret, by its name in the template, or empty.
        sent: What was sent, as JSON.
        got: What came back, as JSON.
        status: HTTP status, or None.
        outcome: Empty for success; else WeChat's errcode, AWS's error code or a problem's code.
        explained: What an error means and what to do, in Chinese and in English, or None.
        milliseconds: How long it took, or None.
        at: When it was over, in seconds since the epoch.
    """

    kind: Kind
    lane: Lane
    name: str
    request: str = ""
    function: str = ""
    target: str = ""
    sent: Any = None
    got: Any = None
    status: int | None = None
    outcome: str = ""
    explained: tuple[str, str] | None = None
    milliseconds: float | None = None
    at: float = field(default_factory=time.time)


class Feed:
    """The last messages, numbered from 1. Thread-safe."""

    def __init__(self) -> None:
        self._messages: deque[tuple[int, Message]] = deque(maxlen=_KEPT)
        self._latest = 0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def latest(self) -> int:
        """The number of the newest message, 0 before the first."""
        with self._changed:
            return self._latest

    @property
    def closed(self) -> bool:
        """Whether nothing more will come."""
        with self._changed:
            return self._closed

    def publish(self, message: Message) -> None:
        """Add a message."""
        with self._changed:
            self._latest += 1
            self._messages.append((self._latest, message))
            self._changed.notify_all()

    def after(self, number: int, wait: float = 0) -> list[tuple[int, Message]]:
        """Return the messages after `number`; wait so many seconds for one if there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._latest > number, wait)
            return [each for each in self._messages if each[0] > number]

    def close(self) -> None:
        """End every wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
