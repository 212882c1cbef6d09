"""Nothing written says more than it must: logs, metrics, exceptions, answers, tables.

One walk goes through everything, failures included, and notes each secret and each piece of
personal data that it meets. Afterwards all that was written is searched for each of them, in every
spelling that a careless line could give it.
"""

import base64
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from urllib.parse import quote

import pytest
import time_machine

from local.runtime import FunctionError
from local.simulated_wechat import Fault, Phone, PhoneTap, SimulatedWeChat, UserInfo
from local.simulated_wechat.faults import ENDPOINTS
from tests.harness.api import Answer, Api, legacy
from tests.harness.deployment import Deployment
from tests.harness.leaks import ALLOWED, Secrets, Written, all_that_is_written
from wechat_auth import invocation

NUMBER, FOREIGN = "13800138000", "13580006666"
NICK_NAME = "an unmistakable nick name"


@pytest.fixture
def written(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    deployment.cold_start(wechat=deployment.impatient_wechat())
    with all_that_is_written(capsys) as written:
        yield written


class Walk:
    """Goes through everything there is, and notes what must not be told."""

    def __init__(
        self, api: Api, deployment: Deployment, secrets: Secrets, clock: time_machine.Traveller
    ) -> None:
        self.api = api
        self.deployment = deployment
        self.secrets = secrets
        self.clock = clock
        secrets.note_wechat(deployment.wechat)
        for name, key in deployment.secret("KeyRing").items():
            if name != "current":
                secrets.note("key", key)

    def person(self, number: str = NUMBER) -> Phone:
        phone = self.deployment.wechat.phone(number=number, nick_name=NICK_NAME)
        self.secrets.note("nick name", NICK_NAME)
        return self.secrets.note_person(phone)

    def code(self, phone: Phone) -> str:
        code = self.secrets.note("login code", phone.login())
        self.secrets.note("session_key", phone.session_key)
        return code

    def tap(self, phone: Phone) -> PhoneTap:
        tap = phone.tap_phone_number()
        self.secrets.note_data(tap)
        return tap

    def info(self, phone: Phone) -> UserInfo:
        info = phone.user_info()
        self.secrets.note_data(info)
        return info

    def token(self, phone: Phone) -> str:
        answer = self.api.login(self.code(phone))
        return self.secrets.note_session(answer.json["token"])

    def everything_that_works(self) -> None:
        phone = self.person()
        token = self.token(phone)
        tap = self.tap(phone)
        for _ in range(2):
            self.api.phone(tap.code, token=token)
        self.api.phone(self.tap(self.person(FOREIGN)).code)
        self.api.decrypt(token=token, **legacy(self.tap(phone)))
        self.api.decrypt(token=token, cloudID=self.tap(phone).cloud_id)
        info = self.info(phone)
        body = {"encryptedData": info.encrypted_data, "iv": info.iv}
        signed = body | {"rawData": info.raw_data, "signature": info.signature}
        self.api.decrypt(token=token, **signed)
        one_shot = self.api.decrypt(code=self.code(phone), **legacy(self.tap(phone)))
        self.secrets.note("session token", one_shot.json["session"]["token"])
        self.api.session(token, "?verify=true")
        self.deployment.stack.invoke(
            "authorizer", {"headers": {"authorization": f"Bearer {token}"}}
        )
        self.deployment.stack.invoke("refresh_access_token", {})
        self.deployment.stack.invoke("access_token", {})
        self.api.introspect(token)
        self.api.logout(token)
        self.api.logout(self.token(phone), "?all=true")
        self.token(phone)
        self.deployment.stack.invoke("end_sessions", {"openids": [phone.openid]})
        self.secrets.note_wechat(self.deployment.wechat)

    def everything_that_wechat_refuses(self) -> None:
        phone, other = self.person(), self.person(FOREIGN)
        token, theirs = self.token(phone), self.token(other)
        code, tap = self.code(phone), self.tap(phone)
        self.api.login(code)
        self.api.login(code)
        self.api.login(tap.code)
        self.api.phone(self.code(phone), token=token)
        self.api.phone(self.tap(phone).code, token=theirs)
        self.api.decrypt(token=theirs, **legacy(tap))
        self.api.decrypt(token=theirs, cloudID=tap.cloud_id)
        self.deployment.wechat.refuse_all_tokens(phone.appid)
        self.api.phone(tap.code)
        self.deployment.wechat.accept_tokens(phone.appid)
        self.clock.shift(31)

    def everything_that_is_malformed(self) -> None:
        phone = self.person()
        token, tap, info = self.token(phone), self.tap(phone), self.info(phone)
        for body in (
            {"code": self.code(phone) + "&appid=x"},
            {"code": [self.code(phone)]},
            {"code": self.code(phone), "appid": phone.openid},
            {"code": self.code(phone), "pad": "x" * 20_000},
        ):
            self.api.request("POST", "/login", body)
            self.api.request("POST", "/phone", body, token=token)
            self.api.request("POST", "/decrypt", body, token=token)
        self.api.request("POST", "/login", f'{{"code": "{self.code(phone)}"'.encode())
        self.api.decrypt(token=token, encryptedData=tap.encrypted_data[1:], iv=tap.iv)
        self.api.decrypt(token=token, encryptedData=tap.encrypted_data, iv=tap.iv + "x")
        self.api.decrypt(token=token, encryptedData=tap.iv, iv=tap.iv)
        self.api.decrypt(
            token=token,
            encryptedData=info.encrypted_data,
            iv=info.iv,
            rawData=info.raw_data + NUMBER,
            signature=info.signature,
        )
        for header in (f"Basic {token}", f"Bearer {token}x", token):
            self.api.request("GET", "/session", headers={"Authorization": header})
            self.api.request("POST", "/introspect", headers={"Authorization": header})
        self.api.introspect(token, (phone.openid, token))
        self.api.introspect(token + "x")
        self.api.introspect(None, hint=token)
        self.api.session(token, f"?verify={NUMBER}")
        for function, payload in (
            ("access_token", {"appid": phone.openid}),
            ("access_token", {"rejected": [token]}),
            ("end_sessions", {"openids": [phone.openid, NUMBER + "|"]}),
        ):
            with pytest.raises(FunctionError):
                self.deployment.stack.invoke(function, payload)

    def everything_that_breaks(self) -> None:
        phone = self.person()
        wechat = self.deployment.wechat
        loose = f"invalid {phone.openid} {NUMBER} {phone.unionid}, rid: 6123abcd-0a1b2c3d-0000ffff"
        faults = [
            Fault("*", "latency", seconds=30, times=None),
            Fault("*", "drop_after", times=None),
            Fault("*", "html", times=None),
            Fault("*", "truncated", times=None),
            Fault("*", "errcode", errcode=-1, errmsg=loose, times=None),
            Fault("*", "errcode", errcode=40164, errmsg=loose, times=None),
            Fault("*", "errcode", errcode=12345, errmsg=loose, times=None),
        ]
        faults += [
            Fault(endpoint, "errcode", errcode=40001, errmsg=loose, times=None)
            for endpoint in ENDPOINTS
        ]
        for fault in faults:
            self.ask_all(phone, partial(wechat.faults.add, fault))
        for operation in ("GetItem", "PutItem", "UpdateItem", "Query", "BatchWriteItem"):
            for code in ("InternalServerError", "ValidationException"):
                self.ask_all(phone, partial(self.deployment.fail, operation, code))
        self.ask_all(phone, self.break_the_code)
        app = wechat.apps[0]
        wechat.put_app(replace(app, ip_whitelist=("198.51.100.7",)))
        self.ask_all(phone, lambda: self.deployment.clear("AccessTokens"))

    def break_the_code(self) -> None:
        """Let our own code meet what it does not expect."""
        for item in self.deployment.items("Sessions"):
            self.deployment.put("Sessions", item | {"sealed": {"S": "x"}})

    def ask_all(self, phone: Phone, spoil: Callable[[], None]) -> None:
        """Make a request of every kind while something is broken; nothing remembered helps."""
        token, codes = self.token(phone), [self.code(phone) for _ in range(2)]
        tap, info = self.tap(phone), self.info(phone)
        spoil()
        self.deployment.cold_start(sleep=self.clock.shift)
        self.api.login(codes[0])
        self.api.phone(tap.code, token=token)
        self.api.decrypt(token=token, **legacy(tap))
        self.api.decrypt(token=token, cloudID=info.cloud_id)
        self.api.decrypt(code=codes[1], encryptedData=info.encrypted_data, iv=info.iv)
        self.api.session(token, "?verify=true")
        self.api.introspect(token)
        self.deployment.stack.invoke("refresh_access_token", {})
        for function, payload in (
            ("access_token", {}),
            ("end_sessions", {"openids": [self.person().openid]}),
        ):
            with suppress(FunctionError):
                self.deployment.stack.invoke(function, payload)
        self.api.logout(token, "?all=true")
        self.deployment.heal()
        self.deployment.wechat.faults.clear()
        # A new client: this one may have met so much silence that it asks no more for a while.
        self.deployment.cold_start(wechat=self.deployment.impatient_wechat())
        self.clock.shift(31)
        self.secrets.note_wechat(self.deployment.wechat)


def test_nothing_written_holds_a_secret_or_personal_data(
    api: Api,
    deployment: Deployment,
    written: Written,
    clock: time_machine.Traveller,
) -> None:
    secrets = Secrets()
    walk = Walk(api, deployment, secrets, clock)
    walk.everything_that_works()
    dump_of_what_works = repr(deployment.dump())
    walk.everything_that_wechat_refuses()
    walk.everything_that_is_malformed()
    walk.everything_that_breaks()

    # The walk did meet all that it was to meet.
    assert {answer.json.get("code") for answer in api.answers if answer.content} >= {
        None, "invalid_request", "session_invalid", "request_too_large", "login_code_rejected",
        "phone_code_rejected", "client_invalid", "undecryptable", "internal_error", "misconfigured",
        "storage_unavailable", "wechat_unavailable",
    }  # fmt: skip
    assert set(secrets.known.values()) == {
        "AppSecret", "key", "access_token", "openid", "unionid", "session_key", "login code",
        "phone code", "encryptedData", "iv", "cloudID", "signature", "phone number", "nick name",
        "session token", "secret of a session token", "Token", "EncodingAESKey",
    }  # fmt: skip

    output = written.output
    for marker in ('"message":"request"', '"CloudWatchMetrics"', '"remedy"', "unexpected error"):
        assert marker in output
    assert len(written.records) > 200
    assert len(written.exceptions) > 100
    assert secrets.found_in(output) == []
    assert secrets.found_in("\n".join(written.records)) == []
    assert secrets.found_in("\n".join(written.exceptions)) == []
    kinds = {(answer.method, answer.path, answer.status) for answer in api.answers}
    for kind in sorted(kinds):
        told = "\n".join(
            everything_of(a) for a in api.answers if kind == (a.method, a.path, a.status)
        )
        assert secrets.found_in(told, allowed=ALLOWED.get(kind, frozenset())) == [], kind
    for dump in (dump_of_what_works, repr(deployment.dump())):
        assert secrets.found_in(dump) == []


def test_each_log_line_is_json_of_named_fields(
    api: Api, deployment: Deployment, written: Written, clock: time_machine.Traveller
) -> None:
    walk = Walk(api, deployment, Secrets(), clock)
    walk.everything_that_works()
    walk.everything_that_wechat_refuses()
    names = set()
    for line in written.output.splitlines():
        document = json.loads(line)
        names |= set() if "_aws" in document else set(document)
    assert names <= {
        "level", "location", "message", "timestamp", "service", "route", "status", "ms",
        "requestId", "code", "errcode", "rid", "remedy", "call", "reason", "outcome",
        "appid", "users", "ended",
        "exception_type", "at",
    }  # fmt: skip


SOME_SECRET = "5ec4e7/+000000000000==5ec4e7"


@pytest.mark.parametrize(
    "leak",
    [
        f"GET /sns/jscode2session?secret={quote(SOME_SECRET, safe='')}&js_code=x",
        f"KeyError: '{SOME_SECRET}'",
        json.dumps({"session_key": SOME_SECRET}),
        base64.b64encode(f'{{"a": "{SOME_SECRET}"}}'.encode()).decode(),
        base64.b64encode(f'{{"ab": "{SOME_SECRET}"}}'.encode()).decode(),
        base64.urlsafe_b64encode(f'{{"abc": "{SOME_SECRET}"}}'.encode()).decode(),
        SOME_SECRET.encode().hex(),
        repr({"B": b"\x00" + SOME_SECRET.encode()}),
    ],
)
def test_the_search_finds_a_secret_in_whatever_spelling(leak: str) -> None:
    secrets = Secrets()
    secrets.note("secret", SOME_SECRET)
    secrets.note("another", "something else entirely")
    assert secrets.found_in(leak) == ["secret"]


def test_the_search_finds_what_a_careless_line_would_log(
    api: Api, phone: Phone, written: Written, wechat: SimulatedWeChat, deployment: Deployment
) -> None:
    secrets = Secrets()
    openid = secrets.note("openid", phone.openid)
    token = secrets.note("session token", api.logged_in(phone))
    assert secrets.found_in(written.output) == []
    invocation.logger.info("login", extra={"user": {"openid": openid}})
    print(json.dumps({"event": {"headers": {"authorization": f"Bearer {token}"}}}))
    logging.getLogger("urllib3.connectionpool").error("GET /wxa/checksession?openid=%s", openid)
    assert secrets.found_in(written.output) == ["openid", "session token"]
    assert secrets.found_in("\n".join(written.records)) == ["openid"]


def everything_of(answer: Answer) -> str:
    text = answer.content.decode()
    return text + re.sub(r"\s+", " ", repr(dict(answer.headers)))
