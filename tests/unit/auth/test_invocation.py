"""An invocation: its time, its metrics and its log, kept apart from every other's."""

import threading
from contextlib import redirect_stdout
from typing import Any, cast

import pytest

from wechat_auth import invocation
from wechat_auth.errors import STORAGE_UNAVAILABLE as UNAVAILABLE
from wechat_auth.errors import AuthError, WeChatError, WeChatUnavailableError, misconfigured

from .calling import Context, Lines


def values(line: dict[str, Any]) -> dict[str, Any]:
    """Take an EMF object apart: the metrics' values and their units."""
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    return {name: (line[name], unit) for name, unit in units.items()}


# ---------------------------------------------------------------------- context and time


def test_outside_an_invocation_nothing_limits_the_time() -> None:
    assert invocation.remaining(86_400) == 86_400


def test_work_that_fits_gets_all_the_time_it_asks_for() -> None:
    with invocation.serving(Context(milliseconds=10_000)):
        assert invocation.remaining(5) == 5


def test_work_that_does_not_fit_gets_what_is_left_less_the_reserve() -> None:
    with invocation.serving(Context(milliseconds=3_000)):
        assert invocation.remaining(5) == pytest.approx(2.3)


def test_the_reserve_is_not_kept_back_from_a_worker_that_others_wait_for() -> None:
    with invocation.serving(Context(milliseconds=3_000)):
        assert invocation.remaining(300, reserve=0) == 3


def test_with_less_than_the_reserve_there_is_no_time_left() -> None:
    with invocation.serving(Context(milliseconds=500)):
        assert invocation.remaining(5) == pytest.approx(-0.2)


def test_an_invocation_that_fails_is_over_too(metrics: Lines) -> None:
    def fail() -> None:
        with invocation.serving(Context()):
            invocation.count("Logins")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert invocation.remaining(86_400) == 86_400
    assert [values(line) for line in metrics()] == [{"Logins": ([1.0], "Count")}]


def test_threads_serve_apart_from_one_another() -> None:
    both_serving = threading.Barrier(2, timeout=10)
    seen: dict[int, float] = {}

    def serve(milliseconds: int) -> None:
        with invocation.serving(Context(milliseconds)):
            both_serving.wait()
            seen[milliseconds] = invocation.remaining(86_400)
            both_serving.wait()

    threads = [threading.Thread(target=serve, args=(each,)) for each in (2_000, 3_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {2_000: pytest.approx(1.3), 3_000: pytest.approx(2.3)}
    assert invocation.remaining(86_400) == 86_400


# ---------------------------------------------------------------------- metrics


def test_metrics_are_written_once_at_the_end(metrics: Lines) -> None:
    with invocation.serving(Context()):
        invocation.count("Logins")
        invocation.count("WeChatErrors", 2)
        invocation.count("WeChatErrors")
        invocation.measure_ms("WeChatLatency", 12.5)
        assert metrics() == []

    (line,) = metrics()
    assert values(line) == {
        "Logins": ([1.0], "Count"),
        "WeChatErrors": ([2.0, 1.0], "Count"),
        "WeChatLatency": ([12.5], "Milliseconds"),
    }
    assert line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "WeChatAuth"
    assert line["service"] == "wechat-auth"


def test_where_nothing_was_measured_nothing_is_written(metrics: Lines) -> None:
    with invocation.serving(Context()):
        pass

    assert metrics() == []


def test_one_invocations_metrics_are_not_the_nexts(metrics: Lines) -> None:
    with invocation.serving(Context()):
        invocation.count("Logins")
    with invocation.serving(Context()):
        invocation.count("Decrypts")

    assert [values(line) for line in metrics()] == [
        {"Logins": ([1.0], "Count")},
        {"Decrypts": ([1.0], "Count")},
    ]


def test_outside_an_invocation_nothing_is_measured(metrics: Lines) -> None:
    invocation.count("Logins")
    invocation.measure_ms("WeChatLatency", 1)

    assert metrics() == []


# ---------------------------------------------------------------------- log


def test_an_operators_fault_is_an_error_with_a_remedy_and_a_metric(
    log: Lines, metrics: Lines
) -> None:
    with invocation.serving(Context()):
        invocation.log_fault(misconfigured("store the AppSecret"))

    (line,) = log()
    assert (line["level"], line["message"]) == ("ERROR", "operator fault")
    assert (line["code"], line["remedy"]) == ("misconfigured", "store the AppSecret")
    assert line.keys().isdisjoint({"errcode", "rid", "call"})
    assert [values(each) for each in metrics()] == [{"OperatorFaults": ([1.0], "Count")}]


def test_an_error_of_wechat_is_logged_with_its_call_errcode_and_rid(log: Lines) -> None:
    invocation.log_fault(WeChatError("getStableAccessToken", 40164, "5f3d-11aa-22bb", "192.0.2.7"))

    (line,) = log()
    assert line["call"] == "getStableAccessToken"
    assert (line["errcode"], line["rid"]) == (40164, "5f3d-11aa-22bb")
    assert line["remedy"].endswith("(the address is 192.0.2.7)")


def test_wechat_being_gone_is_a_warning_with_its_reason(log: Lines, metrics: Lines) -> None:
    with invocation.serving(Context()):
        invocation.log_fault(WeChatUnavailableError("code2Session", "ReadTimeoutError"))

    (line,) = log()
    assert (line["level"], line["message"]) == ("WARNING", "fault")
    assert (line["call"], line["reason"]) == ("code2Session", "ReadTimeoutError")
    assert "remedy" not in line
    assert [values(each) for each in metrics()] == [{"WeChatFaults": ([1.0], "Count")}]


def test_any_other_fault_is_a_warning(log: Lines, metrics: Lines) -> None:
    with invocation.serving(Context()):
        invocation.log_fault(AuthError(UNAVAILABLE))

    (line,) = log()
    assert (line["level"], line["code"]) == ("WARNING", "storage_unavailable")
    assert "call" not in line
    assert [values(each) for each in metrics()] == [{"StorageFaults": ([1.0], "Count")}]


def test_metrics_that_cannot_be_written_do_not_replace_the_answer(
    log: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full:
        """Standard output that takes nothing more."""

        def write(self, _: str) -> int:
            raise OSError("No space left on device")

        def flush(self) -> None:
            """Do nothing."""

    def counted() -> str:
        with redirect_stdout(cast("Any", Full())), invocation.serving(Context()):
            invocation.count("Logins")
            return "the answer"

    assert counted() == "the answer"
    (line,) = log()
    assert (line["level"], line["message"]) == ("WARNING", "metrics lost")
    assert line["exception_type"] == "OSError"
    assert capsys.readouterr().out == ""
