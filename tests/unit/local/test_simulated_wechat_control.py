"""The simulated WeChat's own routes, for other processes."""

import signal
import subprocess
import sys

import pytest
import urllib3

from local.simulated_wechat import App, Fault, Quota, SimulatedWeChat

from .wechat_caller import APPID, OTHER_APPID, SECRET, Caller, Document


def post(api: Caller, path: str, **body: object) -> Document:
    return api.call("POST", path, body=body)


def test_a_phone_logs_in_without_being_told_anything(wechat: SimulatedWeChat, api: Caller) -> None:
    reply = api.call("POST", "/_phone/login")

    assert api.code2session(reply["code"])["openid"] == reply["openid"]
    assert wechat.phone(name="default").openid == reply["openid"]


def test_phones_are_told_apart_by_name_and_app(wechat: SimulatedWeChat, api: Caller) -> None:
    openids = {
        post(api, "/_phone/login")["openid"],
        post(api, "/_phone/login", phone="default")["openid"],
        post(api, "/_phone/login", phone="second")["openid"],
        post(api, "/_phone/login", appid=OTHER_APPID)["openid"],
    }

    assert len(openids) == 3


def test_a_phone_taps(wechat: SimulatedWeChat, api: Caller) -> None:
    tap = post(api, "/_phone/tap", number="13580006666")

    assert set(tap) == {"code", "encrypted_data", "iv", "cloud_id"}
    phone_info = api.phone_number(api.token(), tap["code"])["phone_info"]
    assert phone_info["purePhoneNumber"] == "13580006666"
    assert api.check_encrypted(api.token(), tap["encrypted_data"])["vaild"] is True


def test_a_tap_may_pick_another_number(wechat: SimulatedWeChat, api: Caller) -> None:
    tap = post(api, "/_phone/tap", tap={"number": "13580006666", "country_code": "852"})

    phone_info = api.phone_number(api.token(), tap["code"])["phone_info"]
    assert phone_info["phoneNumber"] == "+85213580006666"


def test_a_phone_tells_its_users_info(api: Caller) -> None:
    info = post(api, "/_phone/user-info")

    assert set(info) == {"raw_data", "signature", "encrypted_data", "iv", "cloud_id"}


def test_a_phone_encrypts_anything(wechat: SimulatedWeChat, api: Caller) -> None:
    for body in ({"plaintext": {"a": 1}}, {"plaintext_base64": "W10="}):
        assert set(post(api, "/_phone/encrypt", **body)) == {"encrypted_data", "iv"}


def test_a_session_key_expires_on_demand(wechat: SimulatedWeChat, api: Caller) -> None:
    post(api, "/_phone/login")
    post(api, "/_phone/expire-session-key")

    assert wechat.phone(name="default").session_key is None


def test_the_state_can_be_seen_without_any_secret(wechat: SimulatedWeChat, api: Caller) -> None:
    response = api.request("GET", "/_control")

    assert SECRET.encode() not in response.data
    state = response.json()
    assert [app["appid"] for app in state["apps"]] == [APPID, OTHER_APPID]
    assert state["settings"]["login_replaces_session_key"] is True
    assert state["offset"] == 0


def test_the_clock_is_moved(wechat: SimulatedWeChat, api: Caller) -> None:
    assert post(api, "/_control/clock", advance=7200)["offset"] == 7200
    assert api.call("GET", "/_control/clock")["offset"] == 7200
    assert wechat.clock.offset == 7200


def test_faults_are_armed_and_cleared(wechat: SimulatedWeChat, api: Caller) -> None:
    post(api, "/_control/faults", endpoint="code2Session", kind="errcode", errcode=-1, times=None)
    fault = Fault("code2Session", "errcode", times=None)

    assert list(wechat.faults) == [fault]
    assert api.call("GET", "/_control/faults")["faults"][0]["kind"] == "errcode"
    assert api.call("DELETE", "/_control/faults") == {"faults": []}
    assert list(wechat.faults) == []


def test_calls_and_counts_can_be_seen(api: Caller) -> None:
    api.stable_token()
    api.code2session("0" * 32)
    seen = api.call("GET", "/_control/calls")

    assert seen["counts"] == {"getStableAccessToken": 1, "code2Session": 1}
    assert [call["errcode"] for call in seen["calls"]] == [0, 40029]


def test_what_was_billed_can_be_seen(api: Caller) -> None:
    code = post(api, "/_phone/tap")["code"]
    api.phone_number(api.token(), code)

    billed = api.call("GET", "/_control/billed")
    assert billed == {"taps": 1, "exchanges": {code: 1}, "arrivals": {code: 1}}


def test_a_code_is_spent_elsewhere(wechat: SimulatedWeChat, api: Caller) -> None:
    code = wechat.phone().login()
    post(api, "/_control/codes/spend", code=code)

    assert api.code2session(code)["errcode"] == 40163


def test_settings_are_changed(wechat: SimulatedWeChat, api: Caller) -> None:
    post(api, "/_control/settings", login_replaces_session_key=False)

    assert wechat.settings.login_replaces_session_key is False


def test_quotas_are_set(wechat: SimulatedWeChat, api: Caller) -> None:
    post(api, "/_control/quotas", endpoint="code2Session", per_minute=0)

    assert api.code2session(wechat.phone().login())["errcode"] == 45011
    with pytest.raises(ValueError, match="unknown endpoint 'login'"):
        wechat.set_quota("login", Quota())


def test_an_app_is_changed(wechat: SimulatedWeChat, api: Caller) -> None:
    post(api, "/_control/apps", appid=APPID, ip_whitelist=["203.0.113.7"], phone_api=False)

    assert wechat.apps[0] == App(
        APPID, SECRET, cloud=True, phone_api=False, ip_whitelist=("203.0.113.7",)
    )


def test_tokens_are_revoked_refused_and_accepted(wechat: SimulatedWeChat, api: Caller) -> None:
    token, code = api.token(), wechat.phone().tap_phone_number().code
    post(api, "/_control/tokens/refuse-all", appid=APPID, errcode=42001)
    assert api.phone_number(token, code)["errcode"] == 42001
    post(api, "/_control/tokens/accept", appid=APPID)
    assert api.phone_number(token, code)["errcode"] == 0
    post(api, "/_control/tokens/revoke", appid=APPID, sticky=True)
    assert api.phone_number(token, code)["errcode"] == 40001
    assert api.token() == token


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/_control/faults", {"endpoint": "x", "kind": "html"}, "unknown endpoint 'x'"),
        ("/_control/faults", {"endpont": "*"}, "endpont"),
        ("/_control/settings", {"nothing": 1}, "no setting nothing: use login_replaces"),
        ("/_control/tokens/revoke", {"appid": "wx0"}, "40013 invalid appid"),
        ("/_control/apps", {}, "appid"),
        ("/_phone/login", {"appid": "wx0"}, "40013 invalid appid"),
        ("/_phone/encrypt", {}, "plaintext_base64"),
    ],
)
def test_a_mistake_is_named(api: Caller, path: str, body: Document, words: str) -> None:
    response = api.request("POST", path, body=body)

    assert response.status == 400
    assert words in response.json()["error"]


def test_an_unknown_route_lists_the_known_ones(api: Caller) -> None:
    response = api.request("GET", "/_control/nothing")

    assert response.status == 404
    assert "POST /_phone/login" in response.json()["routes"]


def test_it_runs_alone() -> None:
    command = [sys.executable, "-m", "local.simulated_wechat", "--port", "0", "--appid", APPID]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout
        url = process.stdout.readline().removeprefix(f"WeChat for {APPID} at ").split(";")[0]
        with urllib3.PoolManager(retries=False, timeout=10) as http:
            state = http.request("GET", f"{url}/_control").json()
        process.terminate()
        process.communicate(timeout=10)

    assert process.returncode == -signal.SIGTERM
    assert [app["appid"] for app in state["apps"]] == [APPID]


def test_a_taken_port_is_named_with_its_remedy(api: Caller) -> None:
    port = api.url.rpartition(":")[2]
    command = [sys.executable, "-m", "local.simulated_wechat", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert ended.returncode == 1
    assert ended.stdout.startswith(f"port {port} cannot be used (Address already in use): try ")
    assert ended.stderr == ""
