"""`make profile`: what a login is made of, cold and warm.

The cold start is told by Python's own ``importtime``, the warm request by py-spy, which looks a
thousand times a second where the process is.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import certifi
from trustme import CA

from bench import budgets, measuring
from bench.__main__ import FOLDER
from bench.artefacts import Artefact
from bench.report import table
from bench.scene import STARTED

RUNS: Final = 7
REQUESTS: Final = 4000
MEMORY: Final = (256, 512, 1024)

STANDARD_LIBRARY: Final = "the standard library"
BEFORE: Final = "Python itself, until it runs a line"
READY: Final = "clients, secrets, TLS set-up, connections, and the first request"

LIBRARIES: Final = {
    "botocore": "botocore",
    "jmespath": "botocore",
    "dateutil": "botocore",
    "six": "botocore",
    "urllib3": "urllib3",
    "aws_lambda_powertools": "Powertools",
    "Crypto": "pycryptodome",
    "wechat_auth": "our own modules",
    "wechat_crypto": "our own modules",
    "botocore_data": "our own modules",
    "app": READY,  # it makes them when it is imported
}
"""Whose a module is, by its first name; all others are of the standard library."""

SDK: Final = (
    ("httpsession.py", "AWS's SDK: sending and receiving"),
    ("auth.py", "AWS's SDK: signing"),
    ("signers.py", "AWS's SDK: signing"),
    ("regions.py", "AWS's SDK: to which address"),
    ("endpoint_provider.py", "AWS's SDK: to which address"),
    ("serialize.py", "AWS's SDK: checking and writing the request"),
    ("validate.py", "AWS's SDK: checking and writing the request"),
    ("parsers.py", "AWS's SDK: reading the answer"),
)
"""What the SDK does while in one of its files; the first that is found counts."""
SDK_REST: Final = "AWS's SDK: events, retries and the rest"
TO_WECHAT: Final = "the call to WeChat, by urllib3"
OURS: Final = (
    ("/wechat_crypto/", "sealing"),
    ("/Crypto/", "sealing"),
    ("/aws_lambda_powertools/", "log line and metrics"),
    ("/wechat_auth/", "the rest of ours"),
    ("/app.py", "the rest of ours"),
)
"""Whose the innermost function is that is of none of the calls."""
_REST: Final = "the rest of ours"
_IMPORTED = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)$", re.MULTILINE)


def imported(told: str) -> dict[str, float]:
    """Add up what importing took, in seconds by whose it is: what ``importtime`` wrote."""
    taken: Counter[str] = Counter()
    for microseconds, module in _IMPORTED.findall(told):
        taken[LIBRARIES.get(module.partition(".")[0], STANDARD_LIBRARY)] += int(microseconds)
    return {whose: microseconds / 1e6 for whose, microseconds in taken.items()}


def sampled(stacks: str) -> dict[str, float]:
    """Return the part of the samples by what was being done: stacks in py-spy's raw format.

    Only those of the requests that are measured count.
    """
    counted: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, samples = line.rpartition(" ")
        frames = stack.split(";")
        if any(frame.startswith("_measured ") for frame in frames):
            counted[doing(frames)] += int(samples)
    return {what: samples / counted.total() for what, samples in counted.items()}


def doing(frames: Iterable[str]) -> str:
    """Tell what a stack is doing, from its functions and their files, the outermost first."""
    frames = list(frames)
    in_sdk = [frame for frame in frames if "/botocore/" in frame]
    for file, what in SDK:
        if any(f"/{file}:" in frame for frame in in_sdk):
            return what
    if in_sdk:
        return SDK_REST
    if any("/wechat_auth/wechat.py:" in frame for frame in frames):
        return TO_WECHAT
    for frame in reversed(frames):
        for part, what in OURS:
            if part in frame:
                return what
    return _REST


def cold(bench: measuring.Bench, login: Artefact) -> dict[str, float]:
    """Return seconds by what they go into, medians, of a start until the first answer."""
    runs = []
    for _ in range(RUNS):
        started, said, first = bench.import_times(login)
        taken = {BEFORE: started, **imported(said)}
        taken[READY] += first - sum(taken.values())
        runs.append(taken)
    return {what: median(run.get(what, 0) for run in runs) for what in runs[0]}


def warm(bench: measuring.Bench, login: Artefact) -> dict[str, float]:
    """Return seconds of processor by what they go into, of one request."""
    with TemporaryDirectory() as folder:
        stacks = Path(folder) / "stacks"
        bench.watched(login, REQUESTS, stacks)
        shares = sampled(stacks.read_text("utf-8"))
    cpu = median(bench.warm(login, REQUESTS // 10)["cpu"] for _ in range(RUNS))
    return {what: share * cpu for what, share in shares.items()}


def connected(python: str) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """Return the seconds of init and of the first answer with and without ``backend.prepare``.

    Over TLS; the first answer at the share of a processor that so many MB have.
    """
    found: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    with TemporaryDirectory() as folder:
        certificate, trusted = Path(folder) / "certificate.pem", Path(folder) / "authorities.pem"
        authority = CA()
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(certificate)
        )
        # With all authorities that a machine trusts, since it takes time to read them.
        trusted.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        with budgets.built(python, certificate) as functions:
            trusts = {"SSL_CERT_FILE": str(trusted), "AWS_CA_BUNDLE": str(trusted)}
            ahead = {**functions.bench.settings, **trusts}
            late = {name: value for name, value in ahead.items() if name not in STARTED}
            cases = {"at init": ahead, "by the first request": late}
            for _, (when, settings), size in product(range(RUNS), cases.items(), MEMORY):
                bench = replace(functions.bench, settings=settings)
                taken = bench.limited(functions.functions["login"], size)
                found[when, size].append((taken["init"], taken["first"]))
    return found


def report(title: str, parts: Mapping[str, float], digits: int) -> str:
    """Return a table, the greatest part first."""
    whole = sum(parts.values())
    rows = [
        (what, f"{seconds * 1e3:.{digits}f}", f"{seconds / whole:.0%}")
        for what, seconds in sorted(parts.items(), key=lambda part: -part[1])
    ]
    rows.append(("all of it", f"{whole * 1e3:.{digits}f}", "100%"))
    return f"## {title}\n\n{table(('', 'ms', 'part'), rows)}"


def report_connected(found: Mapping[tuple[str, int], Sequence[tuple[float, float]]]) -> str:
    """Return a table: what is done at init, and what a user then waits for."""
    rows = [
        (when, str(size), *(f"{median(times) * 1e3:.0f}" for times in zip(*runs, strict=True)))
        for (when, size), runs in found.items()
    ]
    heads = ("made", "MB", "init, ms", "first answer after it, ms")
    title = "Clients, secrets and connections of a cold login, over TLS"
    return f"## {title}\n\n{table(heads, rows)}"


def main() -> int:
    """Measure the built login, print, and write it where the documentation shows it."""
    with budgets.built(sys.argv[1]) as functions:
        login = functions.functions["login"]
        parts = [
            report("A cold login", cold(functions.bench, login), 0),
            report("A warm login: processor", warm(functions.bench, login), 2),
        ]
    if measuring.can_be_slowed_down():
        parts.append(report_connected(connected(sys.argv[1])))
    text = "\n\n".join(parts)
    print(text)
    (FOLDER / "profile.txt").write_text(text + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
