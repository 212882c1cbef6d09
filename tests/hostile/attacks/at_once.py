"""Work that many do at the same time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MANY = 16

T = TypeVar("T")
U = TypeVar("U")


def at_the_same_time(work: Callable[[T], U], over: Iterable[T]) -> list[U]:
    """Do the work over each, 16 at a time, and return what came of it in that order."""
    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(work, over))
