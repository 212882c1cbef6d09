"""What WeChat remembers only for a while."""

from typing import Generic, TypeVar

from .clock import Clock

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """A dictionary whose items are gone `life` seconds after they were put in."""

    def __init__(self, clock: Clock, life: float) -> None:
        self._clock = clock
        self._life = life
        self._kept: dict[K, tuple[float, V]] = {}
        self._lasting: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return what was put in under `key`; None if nothing was, or it is gone."""
        if key in self._lasting:
            return self._lasting[key]
        until, value = self._kept.get(key, (0.0, None))
        return value if until > self._clock.now() else None

    def __setitem__(self, key: K, value: V) -> None:
        """Put an item in, and drop those that are gone: the oldest come first."""
        now = self._clock.now()
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] > now:
                break
            del self._kept[oldest]
        self._kept[key] = (now + self._life, value)

    def keep(self, key: K, value: V) -> None:
        """Put an item in for good."""
        self._lasting[key] = value
