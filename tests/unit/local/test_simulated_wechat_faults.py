"""Faults on demand, and what the simulated WeChat's server stands."""

import json
import socket
import statistics
import threading
import time

import pytest

from local.simulated_wechat import Call, Fault, SimulatedWeChat, serve

from .wechat_caller import APPID, Caller


def test_a_fault_hits_as_often_as_it_is_told(wechat: SimulatedWeChat, api: Caller) -> None:
    wechat.faults.add(Fault("code2Session", "errcode", errcode=40226, times=2))
    phone = wechat.phone()

    told = [api.code2session(phone.login()).get("errcode") for _ in range(3)]
    assert told == [40226, 40226, None]


def test_a_fault_can_hit_a_share_of_the_calls(wechat: SimulatedWeChat, api: Caller) -> None:
    wechat.faults.add(Fault("getStableAccessToken", "errcode", times=None, share=0.1))

    told = [api.stable_token().get("errcode", 0) for _ in range(20)]
    assert told == [0, 0, 0, 0, 0, 0, 0, 0, 0, -1] * 2


@pytest.mark.parametrize(("work_done", "errcode"), [(False, None), (True, 40163)])
def test_an_errcode_may_come_before_or_after_the_work(
    wechat: SimulatedWeChat, api: Caller, work_done: bool, errcode: int | None
) -> None:
    wechat.faults.add(Fault("code2Session", "errcode", errcode=-1, work_done=work_done))
    code = wechat.phone().login()

    assert api.code2session(code)["errcode"] == -1
    assert api.code2session(code).get("errcode") == errcode


def test_latency_and_another_fault_add_up(wechat: SimulatedWeChat, api: Caller) -> None:
    wechat.faults.add(Fault("code2Session", "latency", seconds=0.05))
    wechat.faults.add(Fault("code2Session", "errcode", errcode=-1, seconds=0.05))
    began = time.perf_counter()

    assert api.code2session("0" * 32)["errcode"] == -1
    assert time.perf_counter() - began >= 0.1


def test_an_unknown_fault_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown endpoint 'jscode2session': use \\* or one of"):
        Fault("jscode2session", "errcode")
    with pytest.raises(ValueError, match="unknown kind 'slow': use one of latency, drop_before"):
        Fault("code2Session", "slow")  # type: ignore[arg-type]


def test_calls_are_recorded(wechat: SimulatedWeChat, api: Caller) -> None:
    seen: list[Call] = []
    wechat.on_call = seen.append
    api.stable_token()
    api.code2session("0" * 32)
    wechat.faults.add(Fault("getPhoneNumber", "html"))
    with pytest.raises(json.JSONDecodeError):
        api.phone_number(api.token(), "x")

    told = [(call.endpoint, call.appid, call.errcode, call.fault) for call in wechat.calls]
    assert told == [
        ("getStableAccessToken", APPID, 0, None),
        ("code2Session", APPID, 40029, None),
        ("getStableAccessToken", APPID, 0, None),
        ("getPhoneNumber", APPID, None, "html"),
    ]
    assert tuple(seen) == wechat.calls
    assert wechat.count("getStableAccessToken") == 2
    assert wechat.count("code2Session", errcode=40029) == 1
    assert wechat.count("code2Session", errcode=0) == 0
    assert wechat.count("code2Session", appid="wx0") == 0


def test_a_kept_connection_answers_without_delay(api: Caller) -> None:
    durations = []
    for _ in range(21):
        began = time.perf_counter()
        api.stable_token()
        durations.append(time.perf_counter() - began)

    # A head sent apart from its body waits 40 ms for the client's acknowledgement each time.
    assert statistics.median(durations) < 0.03


def test_closing_ends_kept_and_delayed_connections_at_once(wechat: SimulatedWeChat) -> None:
    wechat.faults.add(Fault("getAccessToken", "latency", seconds=60))
    with serve(wechat) as server:
        idle = socket.create_connection(("127.0.0.1", server.port))
        waiting = socket.create_connection(("127.0.0.1", server.port))
        waiting.sendall(b"GET /cgi-bin/token HTTP/1.1\r\nHost: x\r\n\r\n")
        while not wechat.count("getAccessToken"):
            threading.Event().wait(0.001)
        began = time.perf_counter()

    assert time.perf_counter() - began < 5
    with idle, waiting:
        assert idle.recv(1) == b""
    assert not [t for t in threading.enumerate() if t.name == "simulated-wechat"]


def test_a_client_that_goes_away_disturbs_nobody(
    wechat: SimulatedWeChat, api: Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2]))) as client:
        client.sendall(b"POST /cgi-bin/stable_token HTTP/1.1\r\nContent-Length: 50\r\n\r\n{")
    wechat.faults.add(Fault("code2Session", "latency", seconds=0.05))
    with socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2]))) as client:
        client.sendall(b"GET /sns/jscode2session HTTP/1.1\r\nHost: x\r\n\r\n")

    assert "access_token" in api.stable_token()
    assert capfd.readouterr() == ("", "")


def test_a_body_of_unknown_length_is_refused(api: Caller) -> None:
    response = api.http.request("POST", f"{api.url}/cgi-bin/stable_token", body=iter([b"{}"]))

    assert response.status == 411
