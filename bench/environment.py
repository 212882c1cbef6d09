"""One Lambda environment in a process: imports a handler, answers a first event, then more.

Started as ``python3.13 -P -s -S -B environment.py <JSON>``: nothing of this machine's Python but
its standard library, and no bytecode is written. It reports one line of JSON, on a file descriptor
of its own, since functions write their logs to stdout. All times are of the system's one monotonic
clock, so that the parent's can be taken from them.
"""

import json
import os
import socket
import sys
import time
from typing import Any

_waited = 0.0
_NETWORK = ("connect", "recv", "recv_into", "send", "sendall")


class Context:
    """Lambda's context object, with time in plenty."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = "bench"
    function_version = "$LATEST"
    memory_limit_in_mb = "512"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    log_group_name = "/aws/lambda/bench"
    log_stream_name = "bench"

    def get_remaining_time_in_millis(self) -> int:
        """Return as much as no handler uses up."""
        return 10_000


def _measure_network() -> None:
    """Add up the time that this process spends in the network."""
    for name in _NETWORK:
        setattr(socket.socket, name, _timed(getattr(socket.socket, name)))


def _reference(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Do work of the standard library alone, to count instructions beside."""
    for _ in range(100):
        text = "&".join(f"{name}={value}" for name, value in sorted(event["headers"].items()))
        event = json.loads(json.dumps({**event, "text": text}))
    return {"statusCode": 204}


def _measured(handler: Any, event: Any, context: Any, requests: int) -> tuple[float, float]:
    """Return the seconds of processor and of the clock that a request takes."""
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(requests):
        handler(event, context)
    return (time.process_time() - cpu) / requests, (time.perf_counter() - wall) / requests


def _peak_memory() -> int:
    """Return bytes; what getrusage tells would hold the parent's too."""
    with open("/proc/self/status") as status:  # noqa: PTH123 - pathlib is not loaded, nor be it
        kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024


def _timed(call: Any) -> Any:
    def timed(*args: Any) -> Any:
        global _waited  # noqa: PLW0603
        began = time.perf_counter()
        try:
            return call(*args)
        finally:
            _waited += time.perf_counter() - began

    return timed


def main() -> None:
    """Do what the JSON says."""
    began = time.perf_counter()
    order = json.loads(sys.argv[1])
    if order.get("mark"):
        sys.stderr.write(order["mark"])
    if (core := order.get("core")) is not None:
        os.sched_setaffinity(0, {core})
    sys.path[:0] = order["path"]
    if order.get("reference"):
        handler = _reference
    else:
        from app import handler  # type: ignore[import-not-found,no-redef]  # noqa: PLC0415

    event, context = order["event"], Context()
    told: dict[str, Any] = {"started": began, "loaded": time.perf_counter()}
    if order.get("list_modules"):
        told["modules"] = sorted(sys.modules)
    if order.get("pause_after_init"):
        os.write(order["report_to"], b"\n")
        sys.stdin.readline()  # the parent takes away most of the processor now
        told["resumed"] = time.perf_counter()
    answer = handler(event, context)
    told["answered"] = time.perf_counter()
    told["cold_cpu"] = time.process_time()
    told["rss"] = _peak_memory()
    told["status"] = answer.get("statusCode", 200) if isinstance(answer, dict) else 200
    if requests := order.get("requests", 0):
        for _ in range(order.get("warm_up", 0)):
            handler(event, context)
        told["cpu"], told["wall"] = _measured(handler, event, context, requests)
        if order.get("network"):
            # Apart, since to watch the network costs processor time too.
            _measure_network()
            _, watched = _measured(handler, event, context, requests)
            told["outside_network"] = watched - _waited / requests
    with os.fdopen(order["report_to"], "w") as report:
        report.write(json.dumps(told))
    sys.stdout.flush()
    os._exit(0)  # a Lambda environment is never shut down in order


if __name__ == "__main__":
    main()
