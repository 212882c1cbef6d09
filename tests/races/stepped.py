"""A thread that runs only when it is told to, from one call to the outside to the next.

So a test decides how workers interleave, and the same decisions give the same run again.
"""

import threading
from collections.abc import Callable

_PATIENCE = 30.0  # seconds after which a step that does not end is an error


class Stepped:
    """Something a worker does, step by step.

    Attributes:
        at: The call before which it stands; empty before it begins and when it is over.
        over: Whether it has come to its end.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        """Stand before the beginning."""
        self.at = ""
        self.over = False
        self._work = work
        self._error: BaseException | None = None
        self._killed = False
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def step(self) -> None:
        """Let it make the call before which it stands, and go on to the next.

        Raises:
            BaseException: What it ended in.
        """
        self._go.release()
        if not self._stands.acquire(timeout=_PATIENCE):
            raise TimeoutError(f"a step from {self.at!r} does not end")
        if self._error is not None:
            raise self._error

    def kill(self) -> None:
        """End it where it stands; the call before which it stands is never made."""
        if not self.over:
            self._killed = True
            self._go.release()
            self._thread.join()

    def gate(self, call: str) -> None:
        """Stand before a call until told to step; for the thread itself."""
        self.at = call
        self._stands.release()
        self._wait()

    def _wait(self) -> None:
        self._go.acquire()
        if self._killed:
            raise _KilledError

    def _run(self) -> None:
        try:
            self._wait()
            self._work()
        except _KilledError:
            pass
        except BaseException as error:  # noqa: BLE001 - told to whoever steps
            self._error = error
        self.at, self.over = "", True
        self._stands.release()


class _KilledError(BaseException):
    """Not an Exception: nothing that the worker catches."""
