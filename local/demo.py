"""`python -m local.demo`: the whole journey over HTTP, step by step, checked.

Starts a stack of its own on free ports, or walks against one that runs already: API_URL for the
API and WECHAT_URL for the simulated WeChat that it talks to. Ends at the first step that is not
as it should be, with exit code 1.
"""

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import urllib3

from local import API_CLIENT, APPID, COMPONENT
from local.invocations import ACCOUNT_FUNCTION, SAMPLE, Invocations, handler_of
from local.runtime import functions_write_to
from local.simulated_wechat import App, SimulatedWeChat
from local.stack import Stack

NUMBER: Final = "13800138000"
CLOSED_NUMBER: Final = "13580006666"
"""Which the sample of an account function refuses."""
_SECURED: Final = "wxfedcba9876543210"
_MERCHANT: Final = "wx0000000000abc010"
_ASKS: Final = 40
_PAUSE: Final = 0.5  # seconds between two of them
Document = dict[str, Any]
Serve = Callable[[], AbstractContextManager[tuple[str, str]]]
"""Starts something that serves; gives the addresses of the API and of the simulated WeChat."""


class StepError(Exception):
    """A step did not end as it should; the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered."""

    status: int
    body: Document

    def brief(self) -> str:
        """Say it in one cell of the table, tokens and numbers shortened."""
        if problem := self.body.get("code"):
            return f"{self.status} {problem}: {_shorten(self.body['detail'], 48)}"
        return f"{self.status} {_masked(self.body)}" if self.body else str(self.status)


@dataclass(slots=True)
class Walk:
    """One person's phone, the API, the account function, and what one step leaves for the next.

    `app` is the member that names the mini-program, in bodies of both; empty if there is only one.
    """

    api_url: str
    wechat_url: str
    app: Mapping[str, str] = field(default_factory=dict)
    phone: str = field(default_factory=lambda: f"demo-{time.time_ns()}")
    token: str = ""
    code: str = ""
    account: Invocations | None = None
    http: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    def api(self, method: str, path: str, body: Document | None = None, token: str = "") -> Answer:
        """Call the API."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = body and {**body, **self.app}
        reply = self.http.request(method, self.api_url + path, json=body, headers=headers)
        return Answer(reply.status, json.loads(reply.data) if reply.data else {})

    def introspect(self, token: str) -> Answer:
        """Ask who a token stands for, as one of the team's servers does: once more after a 503."""
        for _ in range(2):
            reply = self.http.request(
                "POST",
                f"{self.api_url}/introspect",
                fields={"token": token},
                encode_multipart=False,
                headers=urllib3.make_headers(basic_auth=":".join(API_CLIENT)),
            )
            if reply.status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
        return Answer(reply.status, json.loads(reply.data))

    def wechat(self, method: str, path: str, body: Document | None = None) -> Document:
        """Ask the simulated WeChat or one of its phones."""
        reply = self.http.request(method, self.wechat_url + path, json=body or {})
        document: Document = json.loads(reply.data)
        if reply.status != 200:  # noqa: PLR2004
            raise StepError(f"the simulated WeChat answered {document}")
        return document

    def login_code(self) -> str:
        """Call wx.login on the phone."""
        code: str = self.wechat("POST", "/_phone/login", {"phone": self.phone, **self.app})["code"]
        return code

    def tap(self, number: str = NUMBER) -> Document:
        """Tap the phone-number button and allow it."""
        who = {"phone": self.phone, "number": number, **self.app}
        return self.wechat("POST", "/_phone/tap", who)

    def until(self, ask: Callable[[], Answer], check: Callable[[Answer], Answer]) -> Answer:
        """Ask until what WeChat has pushed has been acted on, for a while.

        Raises:
            StepError: The last answer was not as `check` wants it.
        """
        for _ in range(_ASKS):
            self.wechat("POST", "/_control/deliveries")
            with suppress(StepError):
                return check(ask())
            time.sleep(_PAUSE)
        return check(ask())

    def asked(self, endpoint: str) -> int:
        """Count WeChat's calls of one endpoint so far."""
        counts: Mapping[str, int] = self.wechat("GET", "/_control/calls")["counts"]
        return counts.get(endpoint, 0)


def login(walk: Walk) -> Answer:
    """Log in: POST /login with a wx.login code."""
    return _logged_in(walk, walk.api("POST", "/login", {"code": walk.login_code()}))


def _logged_in(walk: Walk, answer: Answer) -> Answer:
    expect(answer, 200, {"token", "expiresAt"})
    walk.token = answer.body["token"]
    return answer


def phone(walk: Walk) -> Answer:
    """New-style phone code: POST /phone."""
    walk.code = walk.tap()["code"]
    answer = walk.api("POST", "/phone", {"code": walk.code}, walk.token)
    return expect_number(answer)


def same_code_again(walk: Walk) -> Answer:
    """The same code again: same answer, WeChat not asked."""
    before = walk.asked("getPhoneNumber")
    answer = expect_number(walk.api("POST", "/phone", {"code": walk.code}, walk.token))
    if walk.asked("getPhoneNumber") != before:
        raise StepError("WeChat was asked again for a code that had been exchanged")
    return answer


def phone_without_login(walk: Walk) -> Answer:
    """A phone code without logging in first."""
    return expect_number(walk.api("POST", "/phone", {"code": walk.tap()["code"]}))


def code_of_another(walk: Walk) -> Answer:
    """A stranger who got hold of a code gets no number."""
    code = walk.tap()["code"]
    stranger = replace(walk, phone=f"{walk.phone}-stranger", token="")
    login(stranger)
    answer = stranger.api("POST", "/phone", {"code": code}, stranger.token)
    return expect_problem(answer, 422, "phone_code_rejected", "authorize_again")


def introspect(walk: Walk) -> Answer:
    """A server of the team's asks: POST /introspect."""
    answer = walk.introspect(walk.token)
    names = {"active", "token_type", "sub", "client_id", "exp", "iat", "openid"}
    expect(answer, 200, names | ({"unionid", "account_id", "claims"} & answer.body.keys()))
    if answer.body["active"] is not True:
        raise StepError("expected an active token")
    return answer


def decrypt(walk: Walk) -> Answer:
    """Legacy: POST /decrypt with encryptedData and iv."""
    return expect_data_number(walk.api("POST", "/decrypt", _legacy(walk.tap()), walk.token))


def decrypt_with_the_key_before(walk: Walk) -> Answer:
    """A wx.login around the tap has replaced session_key."""
    tap = walk.tap()
    login(walk)
    return expect_data_number(walk.api("POST", "/decrypt", _legacy(tap), walk.token))


def one_shot(walk: Walk) -> Answer:
    """Log in and decrypt in one request."""
    body = {"code": walk.login_code(), **_legacy(walk.tap())}
    answer = walk.api("POST", "/decrypt", body)
    expect(answer, 200, {"data", "session"})
    walk.token = answer.body["session"]["token"]
    return expect_data_number(answer, {"data", "session"})


def user_info(walk: Walk) -> Answer:
    """wx.getUserInfo data with its signature."""
    info = walk.wechat("POST", "/_phone/user-info", {"phone": walk.phone, **walk.app})
    body = {**_legacy(info), "rawData": info["raw_data"], "signature": info["signature"]}
    answer = walk.api("POST", "/decrypt", body, walk.token)
    expect(answer, 200, {"data"})
    if answer.body["data"].get("nickName") != "Band" or "openId" in answer.body["data"]:
        raise StepError("expected the user's data without openId")
    return answer


def cloud_id(walk: Walk) -> Answer:
    """A cloudID, exchanged at WeChat."""
    return expect_data_number(
        walk.api("POST", "/decrypt", {"cloudID": walk.tap()["cloud_id"]}, walk.token)
    )


def check_session(walk: Walk) -> Answer:
    """GET /session."""
    return expect(walk.api("GET", "/session", token=walk.token), 200, {"expiresAt"})


def check_session_at_wechat(walk: Walk) -> Answer:
    """GET /session?verify=true: is session_key live?"""
    answer = walk.api("GET", "/session?verify=true", token=walk.token)
    expect(answer, 200, {"expiresAt", "sessionKeyValid"})
    if answer.body["sessionKeyValid"] is not True:
        raise StepError("expected sessionKeyValid to be true")
    return answer


def login_code_as_phone_code(walk: Walk) -> Answer:
    """A wx.login code sent as a phone code."""
    answer = walk.api("POST", "/phone", {"code": walk.login_code()}, walk.token)
    expect_problem(answer, 400, "invalid_request", "fix_request")
    if "wx.login" not in answer.body["detail"]:
        raise StepError("expected the error to say that this is a wx.login code")
    return answer


def code_spent_elsewhere(walk: Walk) -> Answer:
    """A phone code that another server has exchanged."""
    code = walk.tap()["code"]
    walk.wechat("POST", "/_control/codes/spend", {"code": code})
    answer = walk.api("POST", "/phone", {"code": code}, walk.token)
    return expect_problem(answer, 422, "phone_code_rejected", "authorize_again")


def logout(walk: Walk) -> Answer:
    """DELETE /session."""
    return expect(walk.api("DELETE", "/session", token=walk.token), 204, set())


def introspect_after_logout(walk: Walk) -> Answer:
    """The server asks again."""
    answer = expect(walk.introspect(walk.token), 200, {"active"})
    if answer.body["active"] is not False:
        raise StepError("expected a token that is not active")
    return answer


def after_logout(walk: Walk) -> Answer:
    """The same token after that."""
    answer = walk.api("GET", "/session", token=walk.token)
    return expect_problem(answer, 401, "session_invalid", "login_again")


def logout_everywhere(walk: Walk) -> Answer:
    """Two devices log in, one logs out everywhere."""
    login(walk)
    other_device = walk.token
    login(walk)
    answer = expect(walk.api("DELETE", "/session?all=true", token=walk.token), 204, set())
    for token in (other_device, walk.token):
        expect_problem(
            walk.api("GET", "/session", token=token), 401, "session_invalid", "login_again"
        )
    return answer


def login_without_account(walk: Walk) -> Answer:
    """Log in: the account function does not know this user."""
    answer = expect(
        walk.api("POST", "/login", {"code": walk.login_code()}),
        200,
        {"token", "expiresAt", "account"},
    )
    walk.token = answer.body["token"]
    return expect_account(answer, {"needsPhone": True})


def account_unavailable(walk: Walk) -> Answer:
    """A phone code while the account function fails."""
    walk.code = walk.tap()["code"]
    if walk.account:
        walk.account.failing = 1
    answer = walk.api("POST", "/phone", {"code": walk.code}, walk.token)
    return expect_problem(answer, 503, "account_unavailable", "retry")


def account_made(walk: Walk) -> Answer:
    """The same code again: accepted, from one exchange."""
    before = walk.asked("getPhoneNumber")
    answer = walk.api("POST", "/phone", {"code": walk.code}, walk.token)
    expect_number(answer, {"phoneNumber", "purePhoneNumber", "countryCode", "account"})
    if walk.asked("getPhoneNumber") != before:
        raise StepError("WeChat was asked again for a code that had been exchanged")
    return expect_account(answer, {"isNew": True})


def account_known(walk: Walk) -> Answer:
    """Log in again: the account function knows this user."""
    answer = walk.api("POST", "/login", {"code": walk.login_code()})
    walk.token = answer.body.get("token", "")
    return expect_account(answer, {"isNew": False, "needsPhone": False})


def account_refused(walk: Walk) -> Answer:
    """The number of an account that is closed."""
    other = replace(walk, phone=f"{walk.phone}-closed")
    other.tap(CLOSED_NUMBER)  # whose number it is from now on
    login_without_account(other)
    answer = other.api("POST", "/phone", {"code": other.tap()["code"]}, other.token)
    return expect_problem(answer, 403, "account_refused", "contact_support")


def account_forgotten(walk: Walk) -> Answer:
    """The user closes the WeChat account: it is told."""
    walk.wechat("POST", "/_phone/close-account", {"phone": walk.phone, **walk.app})
    return walk.until(
        lambda: walk.api("POST", "/login", {"code": walk.login_code()}),
        lambda answer: expect_account(answer, {"needsPhone": True}),
    )


ACCOUNT_STEPS: Final[tuple[Callable[[Walk], Answer], ...]] = (
    login_without_account,
    account_unavailable,
    account_made,
    account_known,
    account_refused,
    account_forgotten,
)
"""What an account function changes: on a stack of its own, since the others have none."""


def login_with_api_security(walk: Walk) -> Answer:
    """API security: log in to an app that has it."""
    return login(walk)


def phone_with_api_security(walk: Walk) -> Answer:
    """API security: POST /phone, signed and encrypted."""
    answer = phone(walk)
    if not walk.wechat("GET", "/_control/calls")["calls"][-1]["sealed"]:
        raise StepError("expected the call to WeChat to be sealed")
    return answer


def decrypt_with_api_security(walk: Walk) -> Answer:
    """API security: POST /decrypt, WeChat asked about it."""
    return decrypt(walk)


def certificate_changed(walk: Walk) -> Answer:
    """API security: while WeChat changes its certificate."""
    walk.wechat("POST", "/_control/api-security", {**walk.app, "replace": "certificate"})
    return phone(walk)


def plain_answer(walk: Walk) -> Answer:
    """API security: a plain answer is not believed."""
    walk.wechat("POST", "/_control/api-security", {**walk.app, "on": False})
    answer = walk.api("POST", "/phone", {"code": walk.tap()["code"]}, walk.token)
    walk.wechat("POST", "/_control/api-security", {**walk.app, "on": True})
    return expect_problem(answer, 500, "misconfigured", "contact_support")


def consent_withdrawn(walk: Walk) -> Answer:
    """The user withdraws the number: the kept answer goes."""
    login(walk)
    phone(walk)
    same_code_again(walk)
    walk.wechat("POST", "/_phone/withdraw", {"phone": walk.phone, **walk.app})
    return walk.until(
        lambda: walk.api("POST", "/phone", {"code": walk.code}, walk.token),
        lambda answer: expect_problem(answer, 422, "phone_code_rejected", "authorize_again"),
    )


def account_closed(walk: Walk) -> Answer:
    """The user closes the WeChat account: logged out."""
    walk.wechat("POST", "/_phone/close-account", {"phone": walk.phone, **walk.app})
    return walk.until(
        lambda: walk.api("GET", "/session", token=walk.token),
        lambda answer: expect_problem(answer, 401, "session_invalid", "login_again"),
    )


def not_authorized(walk: Walk) -> Answer:
    """A merchant that has not authorised the platform."""
    answer = walk.api("POST", "/login", {"code": "0a3Lvrll2wqOLf4JQuml2PhLwb1Lvrlu"})
    return expect_problem(answer, 403, "app_not_authorized", "contact_support")


def merchant_authorizes(walk: Walk) -> Answer:
    """The merchant authorises it: its users log in."""
    walk.wechat("POST", "/_control/platform/authorize", dict(walk.app))
    return walk.until(
        lambda: walk.api("POST", "/login", {"code": walk.login_code()}),
        lambda answer: _logged_in(walk, answer),
    )


def merchants_number(walk: Walk) -> Answer:
    """A phone number, by the merchant's access_token."""
    return phone(walk)


def merchants_open_data(walk: Walk) -> Answer:
    """Legacy: open data of the merchant's user."""
    return decrypt(walk)


def merchant_withdraws(walk: Walk) -> Answer:
    """The merchant withdraws its authorisation."""
    walk.wechat("POST", "/_control/platform/withdraw", dict(walk.app))
    return walk.until(
        lambda: walk.api("POST", "/login", {"code": walk.login_code()}),
        lambda answer: expect_problem(answer, 403, "app_not_authorized", "contact_support"),
    )


STEPS: Final[tuple[Callable[[Walk], Answer], ...]] = (
    login,
    phone,
    same_code_again,
    phone_without_login,
    code_of_another,
    introspect,
    decrypt,
    decrypt_with_the_key_before,
    one_shot,
    user_info,
    cloud_id,
    check_session,
    check_session_at_wechat,
    login_code_as_phone_code,
    code_spent_elsewhere,
    logout,
    after_logout,
    introspect_after_logout,
    logout_everywhere,
)
SECURED_STEPS: Final[tuple[Callable[[Walk], Answer], ...]] = (
    login_with_api_security,
    phone_with_api_security,
    decrypt_with_api_security,
    certificate_changed,
    plain_answer,
    logout,
)
"""With an app that has API security, if one is simulated."""


PUSH_STEPS: Final[tuple[Callable[[Walk], Answer], ...]] = (consent_withdrawn, account_closed)
"""With an app whose messages are pushed to the API."""
PLATFORM_STEPS: Final[tuple[Callable[[Walk], Answer], ...]] = (
    not_authorized,
    merchant_authorizes,
    merchants_number,
    merchants_open_data,
    merchant_withdraws,
)
"""With a merchant of the third-party platform, if there is one."""


def expect(answer: Answer, status: int, names: set[str]) -> Answer:
    """Hold an answer against its status and the names in its body."""
    if answer.status != status or answer.body.keys() != names:
        raise StepError(f"expected {status} with {sorted(names)}, got {answer.brief()}")
    return answer


def expect_account(answer: Answer, account: Document) -> Answer:
    """Hold an answer against what the account function has for the client."""
    if (answer.status, answer.body.get("account")) != (200, account):
        raise StepError(f"expected 200 with account {account}, got {answer.brief()}")
    return answer


def expect_number(answer: Answer, names: set[str] | None = None) -> Answer:
    """Hold an answer against the person's phone number."""
    expect(answer, 200, names or {"phoneNumber", "purePhoneNumber", "countryCode"})
    if answer.body.get("phoneNumber") != NUMBER:
        raise StepError("expected the number of the person who tapped")
    return answer


def expect_data_number(answer: Answer, names: set[str] | None = None) -> Answer:
    """Hold decrypted data against the person's phone number."""
    expect(answer, 200, names or {"data"})
    expect_number(Answer(200, answer.body["data"]))
    return answer


def expect_problem(answer: Answer, status: int, code: str, action: str) -> Answer:
    """Hold an answer against a problem document's code and action."""
    if (answer.status, answer.body.get("code"), answer.body.get("action")) != (
        status,
        code,
        action,
    ):
        raise StepError(f"expected {status} {code} ({action}), got {answer.brief()}")
    return answer


def main(serve: Serve | None = None) -> int:
    """Walk the journey, through what `serve` starts, and return the exit code."""
    terminal = sys.stdout
    started = time.perf_counter()
    # What the functions log is theirs; the table is ours.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, functions_write_to(nowhere):
        show = partial(print, file=terminal, flush=True)
        passed, steps, failure = _walk(serve or _serve, show)
        if not (failure or serve or "API_URL" in os.environ):
            more, others, failure = _walk(_serve_with_account_function, show)
            passed, steps = passed + more, steps + others
    seconds = time.perf_counter() - started
    print(f"\n{passed} of {steps} steps as they should be, {seconds:.1f} s")
    if failure:
        print(f"step {passed + 1}: {failure}", file=sys.stderr)
    return 1 if failure else 0


def _walk(
    serve: "Callable[[], AbstractContextManager[Walk | tuple[str, str]]]",
    show: Callable[[str], None],
) -> tuple[int, int, str]:
    """Take the steps up to the first that fails; return how many passed of how many, and why."""
    with serve() as served:
        walk = served if isinstance(served, Walk) else Walk(*served)
        show(f"API {walk.api_url}   simulated WeChat {walk.wechat_url}\n")
        show(f"{'':2}  {'asked':<52}  {'answered':<72}  {'ms':>5}")
        steps = [(step, app) for app, journey in _journeys(walk) for step in journey]
        for number, (step, app) in enumerate(steps, 1):
            walk.app = app
            failure = ""
            began = time.perf_counter()
            try:
                answered = step(walk).brief()
            except (StepError, urllib3.exceptions.HTTPError, ValueError, KeyError) as error:
                failure = f"{type(error).__name__}: {error}"
                answered = f"NOT AS IT SHOULD BE: {failure}"
            milliseconds = (time.perf_counter() - began) * 1000
            asked = (step.__doc__ or "").rstrip(".")
            show(f"{number:2}  {asked:<52}  {_shorten(answered, 72):<72}  {milliseconds:5.0f}")
            if failure:
                return number - 1, len(steps), failure
    return len(steps), len(steps), ""


def _journeys(walk: Walk) -> Iterator[tuple[Mapping[str, str], Sequence[Callable[[Walk], Answer]]]]:
    """Tell which steps to walk, by the members that name their mini-program."""
    simulated = walk.wechat("GET", "/_control")
    apps = [app["appid"] for app in simulated["apps"]]
    first = {"appid": apps[0]} if len(apps) > 1 else {}
    yield first, ACCOUNT_STEPS if walk.account else STEPS
    if simulated["pushed_to"] and not walk.account:
        yield first, PUSH_STEPS
    for appid in simulated["api_security"]:
        yield {"appid": appid}, SECURED_STEPS
    if simulated["platform"]:
        yield {"appid": _MERCHANT}, PLATFORM_STEPS


@contextmanager
def _serve() -> Iterator[tuple[str, str]]:
    """Serve, or find, what the environment says."""
    if "API_URL" in os.environ:
        yield os.environ["API_URL"].rstrip("/"), os.environ["WECHAT_URL"].rstrip("/")
    else:
        apps = (App(appid, secrets.token_hex(16), cloud=True) for appid in (APPID, _SECURED))
        wechat = SimulatedWeChat(apps)
        wechat.set_up_api_security(_SECURED)
        wechat.set_up_platform(COMPONENT)
        with Stack.start(wechat=wechat) as stack, stack.alive():
            yield stack.url, stack.wechat_url


@contextmanager
def _serve_with_account_function() -> Iterator[Walk]:
    """Serve a stack that has an account function, the sample."""
    parameters = {"AccountFunctionArn": ACCOUNT_FUNCTION}
    with Stack.start(parameters=parameters) as stack, stack.alive():
        stack.invocations.functions[ACCOUNT_FUNCTION] = handler_of(SAMPLE)
        yield Walk(stack.url, stack.wechat_url, account=stack.invocations)


def _legacy(given: Document) -> Document:
    return {"encryptedData": given["encrypted_data"], "iv": given["iv"]}


def _masked(value: object) -> str:
    """Show an answer without showing a token or a number whole."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_masked(each)}" for name, each in value.items()) + "}"
    text = str(value)
    if text.isdigit() and len(text) >= 11:  # noqa: PLR2004
        return f"{text[:3]}****{text[-4:]}"
    return _shorten(text, 12)


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


if __name__ == "__main__":
    sys.exit(main())
