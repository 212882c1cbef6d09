"""Figures that tests found: they stand together at the end of the output.

They travel as properties of a test's report, since a worker of xdist has no output of its own.
"""

from collections.abc import Callable, Iterator

import pytest

Say = Callable[[str], None]
"""Puts a line among the figures."""

FIGURE = "figure"
SEARCHED = "characters searched for secrets"


def figures(reporter: pytest.TerminalReporter) -> dict[str, list[str]]:
    """Return the lines of each folder of tests, in the order of its tests."""
    lines: dict[str, list[str]] = {}
    for folder, name, value in _properties(reporter):
        if name == FIGURE:
            lines.setdefault(folder, []).append(str(value))
    return lines


def searched(reporter: pytest.TerminalReporter) -> int:
    """Return how many characters of logs and exceptions the attacks searched for secrets."""
    return sum(int(str(value)) for _, name, value in _properties(reporter) if name == SEARCHED)


def _properties(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str, object]]:
    ends = [report for report in reporter.stats.get("", []) if report.when == "teardown"]
    for report in sorted(ends, key=lambda report: report.nodeid.partition("::")[0]):
        for name, value in report.user_properties:
            yield report.nodeid.split("/")[1], name, value
