"""`make load`: so many SECONDS under load (60), what was seen, and whether it holds."""

import os
import sys
from collections import Counter

from local import dynamodb_local
from local.dynamodb_local import DynamoDBLocalError
from tests.hostile.load.load import FAULTS, Report, run


def main() -> int:
    """Run, print, and return the exit code: 1 if something does not hold."""
    seconds = float(os.environ.get("SECONDS") or 60)
    print(f"{seconds:.0f} seconds of visitors, {FAULTS:.0%} faults …", flush=True)
    try:
        with dynamodb_local.serve() as url:
            report = run(url, seconds)
    except DynamoDBLocalError as error:
        print(error, file=sys.stderr)
        return 1
    for line in figures(report):
        print(line)
    for objection in report.objections():
        print(f"!! {objection}")
    return 1 if report.objections() else 0


def figures(report: Report) -> list[str]:
    """Say what a run showed, in a few lines."""
    findings = report.findings
    routes: dict[str, list[str]] = {}
    for (route, status), count in sorted(findings.answers.items()):
        routes.setdefault(route, []).append(f"{count} × {status}")
    excused = Counter[str]()
    for (_, code), count in findings.excused.items():
        excused[code] += count
    reasons = ", ".join(f"{code} {count}" for code, count in excused.most_common())
    rate = report.requests / report.seconds
    twice = report.exchanged_twice
    early, late = max(report.early) / 1024, max(report.late) / 1024
    return [
        *(f"  {route:16} {', '.join(counts)}" for route, counts in routes.items()),
        f"requests: {report.requests} in {report.seconds:.0f} s, {rate:.0f} a second",
        f"visits: {findings.visits}",
        f"calls to WeChat that failed: {report.faults}",
        f"answers that asked to try again: {report.excused:.2%} ({reasons})",
        f"wrong answers: {len(findings.wrong)}, phone codes exchanged twice: {twice}",
        f"lost sessions: {len(findings.lost)}, looked at in the end: {len(findings.held)}",
        f"access_tokens: {report.tokens} for {report.windows} windows",
        f"peak memory of an environment: {early:.1f} MiB after a third, {late:.1f} at the end",
        f"secrets in {report.written / 1e6:.1f} MB of logs: {', '.join(report.leaks) or 'none'}",
    ]


if __name__ == "__main__":
    sys.exit(main())
