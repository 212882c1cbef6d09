"""The contract under fuzz: Schemathesis over infra/openapi.yaml, against a running stack."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import HookContext, Response
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.engine.run import PhaseName
from schemathesis.hooks import unregister
from schemathesis.schemas import BaseSchema

from tests.hostile.fuzz.people import AnyCase, People

OPENAPI = Path(__file__).parents[3] / "infra" / "openapi.yaml"

DOES_NOT_FIT = {
    "unsupported_method": "An HTTP API answers 404 to a method without a route, never 405.",
    "positive_data_acceptance": "A code of the right form may still be unknown to WeChat: 422.",
    "ignored_auth": (
        "It takes for ignored what was good: sessions are put in just before a request is sent, so "
        "it thinks that they were made up. tests/e2e/test_bad_input.py asks without one."
    ),
}
"""Checks of Schemathesis that are left out, and why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered: as much as a search for secrets needs."""

    operation: str
    status: int
    text: str


@dataclass(slots=True)
class Report:
    """What a fuzz did and found.

    Attributes:
        seed: With which it can be repeated, up to where the links begin: they lead on from what
            was answered, and no two answers are the same.
        cases: Requests by phase and operation.
        statuses: Answers by operation and status; only to the operation's own method.
        no_route: Answers, by status, to methods that the contract does not name.
        links: Requests that followed a link of the contract, by source, target and status.
        journeys: What sessions were good for, from login on, in the order of time.
        checks: How often each check was made.
        failures: What a check found, with a request to see it again.
        replies: Every answer.
        seconds: How long it took.
    """

    seed: int
    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    no_route: Counter[int] = field(default_factory=Counter)
    links: Counter[tuple[str, int]] = field(default_factory=Counter)
    journeys: Counter[tuple[str, ...]] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        """Sum it up in a few lines."""
        operations = sorted({operation for _, operation in self.cases})
        phases = Counter[str]()
        for (phase, _), number in self.cases.items():
            phases[phase] += number
        lines = [
            f"{self.cases.total()} cases in {self.seconds:.0f} s, seed {self.seed}; "
            + ", ".join(f"{phase} {number}" for phase, number in phases.items())
        ]
        for operation in operations:
            number = sum(n for (_, o), n in self.cases.items() if o == operation)
            lines.append(f"  {operation:16} {number:6}  {_by_status(self.statuses, operation)}")
        lines.append("along links:")
        for link in sorted({link for link, _ in self.links}):
            number = sum(n for (each, _), n in self.links.items() if each == link)
            lines.append(f"  {link:32} {number:6}  {_by_status(self.links, link)}")
        longest = max(self.journeys, key=len, default=())
        lines.append(f"longest of {self.journeys.total()} sessions: {', '.join(longest)}")
        lines.append(f"methods without a route: {_counts(self.no_route)}")
        lines.append(f"checks: {_counts(self.checks)}; {len(self.failures)} failed")
        return "\n".join(lines)


def fuzz(url: str, people: People, *, cases: int, seed: int) -> Report:
    """Send at least about so many requests, and report what came back."""
    schema = _schema(url, cases, seed)
    report, started = Report(seed), time.perf_counter()
    with _hooks(people):
        for event in from_schema(schema).execute():
            match event:
                case events.ScenarioFinished():
                    _note(report, event)
                case events.NonFatalError():
                    report.failures.append((event.info.title, str(event.value)))
                case events.FatalError():
                    raise event.exception
    report.seconds = time.perf_counter() - started
    return report


def _schema(url: str, cases: int, seed: int) -> BaseSchema:
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "base-url": url,
            "checks": {name: {"enabled": False} for name in DOES_NOT_FIT},
            "generation": {"no-shrink": True, "database": "none"},
            "phases": {
                # Half of the cases for one operation after the other: there are six.
                "fuzzing": {
                    "generation": {"max-examples": max(1, cases // 10)},
                    # What was answered differs from run to run, and the seed is to decide.
                    "extra-data-sources": {"responses": False},
                },
                # Half of them along links, in scenarios of some ten steps that are valid.
                "stateful": {
                    "generation": {"max-examples": max(1, cases // 20), "mode": "positive"},
                    "max-steps": 12,
                },
            },
        }
    )
    return schemathesis.openapi.from_path(OPENAPI, config=config)


@contextmanager
def _hooks(people: People) -> Iterator[None]:
    """Let people have a hand in each request; Schemathesis knows such hooks by their names."""

    def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
        people.before_call(case)

    def after_call(context: HookContext, case: AnyCase, response: Response) -> None:
        people.after_call(case, response)

    hooks = [schemathesis.hook(before_call), schemathesis.hook(after_call)]
    try:
        yield
    finally:
        for hook in hooks:
            unregister(hook)


def _note(report: Report, event: events.ScenarioFinished) -> None:
    for case_id, interaction in event.recorder.interactions.items():
        node, response = event.recorder.cases[case_id], interaction.response
        case, operation = node.value, node.value.operation.label
        report.cases[event.phase.value, operation] += 1
        if response is None:
            report.failures.append(("no answer", operation))
            continue
        text = response.content.decode() + repr(response.headers)
        report.replies.append(Reply(operation, response.status_code, text))
        if case.method != case.operation.method.upper():
            report.no_route[response.status_code] += 1
            continue
        report.statuses[operation, response.status_code] += 1
        if node.is_transition_applied and node.parent_id:
            source = event.recorder.cases[node.parent_id].value.operation.label
            report.links[f"{source} -> {operation}", response.status_code] += 1
    if event.phase is PhaseName.STATEFUL_TESTING:
        report.journeys.update(_journeys(event.recorder))
    for checks in event.recorder.checks.values():
        for check in checks:
            report.checks[check.name] += 1
            if check.status is not Status.SUCCESS:
                found = check.failure_info
                what = f"{found.failure}\n{found.code_sample}" if found else "the check broke"
                report.failures.append((check.name, what))


def _journeys(recorder: ScenarioRecorder) -> Iterator[tuple[str, ...]]:
    """Yield what each session that a scenario made was good for, in the order of time."""
    steps: dict[str, list[str]] = {}
    for case_id, interaction in recorder.interactions.items():
        if (response := interaction.response) is None or response.status_code >= 300:
            continue
        operation = recorder.cases[case_id].value.operation.label
        header = interaction.request.headers.get("Authorization", [""])[0]
        if header in steps:
            steps[header].append(operation)
        if operation == "POST /login":
            steps[f"Bearer {json.loads(response.content)['token']}"] = [operation]
    yield from map(tuple, steps.values())


def _by_status(counted: Counter[tuple[str, int]], operation: str) -> str:
    return _counts(Counter({status: n for (o, status), n in counted.items() if o == operation}))


def _counts(counted: Mapping[Any, int]) -> str:
    return ", ".join(f"{name}: {number}" for name, number in sorted(counted.items(), key=str))
