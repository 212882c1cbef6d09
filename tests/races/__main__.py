"""`python -m tests.races`: each case with live figures; ends with 1 if a figure is off."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from local import dynamodb_local
from local.dynamodb_local import DynamoDBLocalError
from tests.races import scenarios
from tests.races.crowd import Crowd, World
from tests.races.scenarios import Figures

_CASES: tuple[Callable[[Crowd], Figures], ...] = (
    scenarios.cold,
    scenarios.cold_platform,
    scenarios.renewal,
    scenarios.rejected,
    partial(scenarios.rejected, errcode=40014, sticky=True),
    partial(scenarios.rejected, errcode=42001, sticky=True),
    partial(scenarios.cold, mode="classic"),
    partial(scenarios.rejected, mode="classic"),
)
_BUCKETS = (0.01, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 9.0)
_BAR = 40


def main() -> int:
    """Run the cases and return the exit code."""
    began = time.monotonic()
    off = 0
    try:
        with (
            dynamodb_local.serve() as url,
            World.start(url) as world,
            Crowd.gather(world) as crowd,
        ):
            crowd.on_progress = _progress
            workers, processes = sum(m.threads for m in crowd.members), len(crowd.members)
            print(f"{workers} workers in {processes} processes, DynamoDB Local, simulated WeChat")
            for case in _CASES:
                figures = case(crowd)
                _show(figures)
                off += len(figures.off)
    except DynamoDBLocalError as error:
        print(error, file=sys.stderr)
        return 2
    taken = time.monotonic() - began
    verdict = f"{off} figures are off" if off else "every figure is as it should be"
    print(f"\n{verdict} ({taken:.0f} s)")
    return 1 if off else 0


def histogram(waits: Sequence[float]) -> list[str]:
    """Draw how long workers waited, one line for each range that holds some."""
    lines = []
    below = 0.0
    for limit in _BUCKETS:
        count = sum(below <= wait < limit for wait in waits)
        if count:
            bar = "█" * max(1, round(_BAR * count / len(waits)))
            lines.append(f"{below:5.2f} - {limit:4.2f} s  {bar} {count}")
        below = limit
    return lines


def _progress(done: int, total: int) -> None:
    if sys.stdout.isatty():
        print(f"\r  {done} of {total} workers have answered", end="\r", flush=True)


def _show(figures: Figures) -> None:
    print(f"\n{figures.title}")
    operations = "".join(f" · {name} {n}" for name, n in sorted(figures.operations.items()))
    print(
        f"  workers {figures.workers} · token calls {figures.token_calls} · forced refreshes "
        f"{figures.forced} · longest wait {max(figures.waits):.2f} s{operations}"
    )
    for line in histogram(figures.waits):
        print(f"    {line}")
    for text, holds in figures.expectations.items():
        print(f"  {'✓' if holds else '✗'} {text}")


if __name__ == "__main__":
    sys.exit(main())
