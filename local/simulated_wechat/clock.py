"""The clock of the simulation: the machine's time plus an offset that a test moves."""

import time


class Clock:
    """Seconds since the epoch as WeChat sees them.

    Built on `time.time`, so that a test which freezes that freezes this.
    """

    def __init__(self) -> None:
        self._offset = 0.0

    @property
    def offset(self) -> float:
        """How many seconds this clock is ahead of the machine's."""
        return self._offset

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock by `seconds`; negative moves it back."""
        self._offset += seconds
