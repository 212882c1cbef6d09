"""What an attacker can see of a failure, and whether it tells right padding from wrong."""

import base64
import io
import json
import math
import random
import statistics
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.hostile.attacks.forging import Oracle
from tests.hostile.attacks.leaky import Quietly

LEAST = 0.0005
"""Seconds of difference that are looked for: half of the millisecond that must not be missed."""
FALSE_ALARM = 1e-9
"""Probability at most that one look at what is the same tells it apart."""
PAIRS = 300
_ROUNDS = 4

Sample = tuple[bytes, bytes]
"""An iv and a ciphertext."""


@dataclass(frozen=True, slots=True)
class Observation:
    """An answer as the attacker sees it; ids, which are new in every answer, are blotted out.

    Attributes:
        calls: What went out to WeChat and AWS meanwhile, in alphabetical order.
        seconds: How long it took.
        processor: How many seconds of a processor it took.
    """

    status: int
    body: str
    headers: tuple[tuple[str, str], ...]
    length: int
    calls: tuple[str, ...]
    seconds: float
    processor: float


Send = Callable[[bytes, bytes], Observation]

SEEN: Mapping[str, Callable[[Observation], Hashable]] = {
    "status": lambda seen: seen.status,
    "body": lambda seen: seen.body,
    "headers": lambda seen: seen.headers,
    "length": lambda seen: seen.length,
    "outgoing calls": lambda seen: seen.calls,
}
MEASURED: Mapping[str, Callable[[Observation], float]] = {
    "time": lambda seen: seen.seconds,
    "processor time": lambda seen: seen.processor,
}
CHANNELS = (*SEEN, *MEASURED)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two kinds of request, measured in turn.

    Attributes:
        pairs: How many of each.
        difference: Seconds by which the medians of the second kind's exceed the first's.
        p: How probable so many pairs that differ by ``LEAST`` are where nothing differs.
    """

    pairs: int
    difference: float
    p: float

    @property
    def told_apart(self) -> bool:
        return self.p < FALSE_ALARM


def compare(one: list[float], other: list[float]) -> Comparison:
    """Compare two series that were measured in turn, by an exact sign test of their pairs.

    Where both come from the same source, either one of a pair may be the slower, whatever else
    the machine does: in no more than half of the pairs, but for chance, one exceeds the other by
    ``LEAST``. So the probability of a false alarm does not depend on noise, load or distribution.
    """
    gains = [b - a for a, b in zip(one, other, strict=True)]
    most = max(sum(gain > LEAST for gain in gains), sum(gain < -LEAST for gain in gains))
    difference = statistics.median(other) - statistics.median(one)
    return Comparison(len(gains), difference, min(1.0, 2 * _at_least(most, len(gains))))


def in_turn(
    send: Send, one: Sample, other: Sample, pairs: int = PAIRS
) -> tuple[list[Observation], list[Observation]]:
    """Send two requests so many times in turn; chance, seeded, says which of a pair comes first."""
    chance = random.Random(7)  # noqa: S311
    seen: tuple[list[Observation], list[Observation]] = ([], [])
    for _ in range(pairs):
        for index in chance.sample((0, 1), 2):
            seen[index].append(send(*(one, other)[index]))
    return seen


def tell_apart(
    send: Send,
    one: Sample,
    other: Sample,
    channel: str,
    *,
    certain: float = FALSE_ALARM,
    pairs: int = PAIRS,
) -> Comparison:
    """Measure two requests in turn, in up to four rounds where they are not told apart at once."""
    measure = MEASURED[channel]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for series, seen in zip(times, in_turn(send, one, other, pairs), strict=True):
            series.extend(map(measure, seen))
        found = compare(*times)
        if found.p < certain:
            break
    return found


def learn(send: Send, wrong: Sample, right: Sample, channel: str) -> Oracle | None:
    """Train on a request of wrong and one of right padding; ``None`` if they look the same.

    The attacker makes both from one genuine encryptedData: see ``wrong_and_right``.
    """
    if channel in SEEN:
        look = SEEN[channel]
        seen = in_turn(send, wrong, right, pairs=8)
        looks = [{look(each) for each in kind} for kind in seen]
        if looks[0] & looks[1]:
            return None
        return lambda iv, ciphertext: look(send(iv, ciphertext)) in looks[1]
    if not tell_apart(send, wrong, right, channel).told_apart:
        return None
    measure = MEASURED[channel]
    # Noise only adds, and most guesses are of wrong padding: the fastest of the last ones tells
    # what that takes now. What is slow three times over is then compared with it pair by pair.
    last = deque((measure(send(*wrong)) for _ in range(_ROUNDS)), maxlen=2 * _ROUNDS)

    def slow(iv: bytes, ciphertext: bytes) -> bool:
        took, usual = measure(send(iv, ciphertext)), min(last)
        last.append(took)
        return took > usual + LEAST

    def oracle(iv: bytes, ciphertext: bytes) -> bool:
        if not all(slow(iv, ciphertext) for _ in range(3)):
            return False
        candidate = (iv, ciphertext)
        return tell_apart(send, wrong, candidate, channel, certain=1e-4, pairs=24).p < 1e-4

    return oracle


def wrong_and_right(encrypted_data: str, iv: str) -> tuple[Sample, Sample]:
    """Spoil genuine data so that its padding is wrong, and so that only its first block is."""
    ciphertext, vector = bytearray(base64.b64decode(encrypted_data)), base64.b64decode(iv)
    garbled = bytes([vector[0] ^ 0x80]) + vector[1:]  # the brace becomes no UTF-8
    right = (garbled, bytes(ciphertext))
    ciphertext[-17] ^= 0x80
    return (garbled, bytes(ciphertext)), right


class Function:
    """The decrypt function itself, observed from beside it.

    Nothing is between it and the clock: no network, no gateway, and what it asks of others is
    counted and answered at once. That is harder on the function than any client could be, whose
    clock sees those as well, and all the noise that they make.
    """

    def __init__(
        self,
        handler: Callable[[Any, Any], dict[str, Any]],
        context: object,
        calls: list[str],
        quietly: Quietly,
    ) -> None:
        self.calls = calls
        self.quietly = quietly
        self.sent = 0
        self.written = io.StringIO()
        self.handler = handler
        self._context = context

    def __call__(self, iv: bytes, ciphertext: bytes) -> Observation:
        event = as_event(iv, ciphertext)
        self.calls.clear()
        self.sent += 1
        began, processor = time.perf_counter(), time.thread_time()
        answer = self.handler(event, self._context)
        took, processor = time.perf_counter() - began, time.thread_time() - processor
        body = answer["body"]
        return Observation(
            status=answer["statusCode"],
            body=body,
            headers=tuple(sorted(answer["headers"].items())),
            length=len(body),
            calls=tuple(sorted(self.calls)),
            seconds=took,
            processor=processor,
        )


def as_fields(iv: bytes, ciphertext: bytes) -> dict[str, str]:
    """Return the fields of a POST /decrypt."""
    return {
        "encryptedData": base64.b64encode(ciphertext).decode(),
        "iv": base64.b64encode(iv).decode(),
    }


def as_event(iv: bytes, ciphertext: bytes) -> dict[str, Any]:
    """Return the event of a POST /decrypt, payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "POST /decrypt",
        "headers": {"authorization": "Bearer a-session"},
        "requestContext": {"requestId": "id", "http": {"method": "POST"}},
        "body": json.dumps(as_fields(iv, ciphertext)),
    }


def _at_least(successes: int, trials: int) -> float:
    """Return the probability of so many heads or more among fair coins."""
    ways = sum(math.comb(trials, heads) for heads in range(successes, trials + 1))
    return float(ways / 2**trials)
