"""The people behind the fuzz: they put what lives into requests that would else all be refused.

Codes, sessions and encrypted data cannot be generated from a schema. So a good share of the valid
requests get a code that was issued just now, a living session, data that WeChat encrypted; other
shares get what is used up, another user's, of the other kind, or too large. What is generated
beyond that, and everything that breaks the schema on purpose, stays as it is.
"""

import json
import zlib
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, cast

from schemathesis import Case, Response
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation

from local import API_CLIENT
from local.simulated_wechat import Phone, PhoneTap, SimulatedWeChat, UserInfo
from tests.harness.api import Api, basic
from tests.harness.leaks import Secrets

Body = dict[str, Any]
AnyCase = Case[Any]
Ways = list[tuple[int, Callable[[], Body | None]]]
"""How a valid request may be filled, each with its share of a hundred."""

NUMBER = "13800138000"
_KEPT = 20
_GIVEN_BY_WX = {"encryptedData", "iv", "cloudID", "rawData", "signature", "code"}
_MORE_THAN_16_KIB = "x" * 17_000


class People:
    """Users with their phones, and what the backend gave them.

    Attributes:
        secrets: Everything that they sent or were given, and that must not be written.
        revived: Operations that a session was good for after it had ended.
    """

    def __init__(self, wechat: SimulatedWeChat, url: str, secrets: Secrets) -> None:
        self.secrets = secrets
        self.revived: list[str] = []
        self._wechat = wechat
        self._api = Api(url)
        self._logging_in: dict[str, Phone] = {}
        self._owners: dict[str, Phone] = {}
        self._known: set[str] = set()
        self._ended: deque[str] = deque(["A" * 70], maxlen=_KEPT)
        self._clumsy = self._log_in(self._person())
        while self._api.decrypt(token=self._clumsy, **self._strange_data()).status != 429:
            pass
        secrets.note_wechat(wechat)

    # What Schemathesis calls

    def before_call(self, case: AnyCase) -> None:
        """Put life into a request, chosen by its content, so that the same one is treated alike."""
        if case.method != case.operation.method.upper():
            return
        # What is not set shows its address in memory, which differs from run to run.
        body = None if isinstance(case.body, NotSet) else case.body
        content = repr((case.operation.label, body, case.query))
        draw = Random(zlib.crc32(content.encode("utf-8", "surrogatepass")))  # noqa: S311  no secret
        token = self._session(case, draw)
        if case.operation.label == "POST /introspect":
            self._be_a_server(case, draw)
        if not isinstance(case.body, dict) or not _valid(case, ParameterLocation.BODY):
            return
        owner = self._owners[token] if token else self._person()
        ways = {
            "POST /login": self._ways_to_log_in,
            "POST /phone": self._ways_to_get_a_number,
            "POST /decrypt": self._ways_to_decrypt,
            "POST /introspect": self._ways_to_ask,
        }[case.operation.label](owner, token)
        shares, fill = zip(*ways, strict=True)
        # Schemathesis knows no 413 as a refusal of a header that it made wrong on purpose.
        if draw.random() < 0.04 and _valid(case, ParameterLocation.HEADER):
            case.body = {**case.body, "padding": _MORE_THAN_16_KIB}
        elif given := draw.choices(fill, shares)[0]():
            if "appid" in case.body:
                given["appid"] = self._wechat.apps[0].appid
            case.body = {k: v for k, v in case.body.items() if k not in _GIVEN_BY_WX} | given

    def after_call(self, case: AnyCase, response: Response) -> None:
        """Remember who was logged in and out."""
        token = _bearer(case)
        if response.status_code < 300 and token in self._known and token not in self._owners:
            self.revived.append(case.operation.label)
        if case.operation.label in {"POST /login", "POST /decrypt"} and response.status_code == 200:
            answer, sent = json.loads(response.content), cast("Body", case.body)
            session = answer.get("session", answer)
            if "token" in session:
                self._remember(session["token"], self._logging_in[sent["code"]])
        if response.status_code == 204 and token in self._owners:
            gone = [token]
            if "all=true" in str(response.request.url):
                gone = [each for each in self._owners if self._owners[each] is self._owners[token]]
            for each in gone:
                self._ended.append(each)
                del self._owners[each]

    def note_access_tokens(self) -> None:
        self.secrets.note_wechat(self._wechat)

    # What goes into a request

    def _session(self, case: AnyCase, draw: Random) -> str:
        """Send a session, and return it if it lives; one that came by a link stays."""
        sent = _bearer(case)
        if sent in self._known or case.operation.label in {"POST /login", "POST /introspect"}:
            return sent if sent in self._owners else ""
        if not _valid(case, ParameterLocation.HEADER):
            return ""
        share = draw.random()
        if share < 0.6:
            token = self._log_in(self._person())
        elif share < 0.64 and case.method != "DELETE":  # the clumsy one stays
            token = self._clumsy
        elif share < 0.75:
            token = draw.choice(self._ended)
        else:
            return ""
        case.headers["Authorization"] = f"Bearer {token}"
        return token if token in self._owners else ""

    def _be_a_server(self, case: AnyCase, draw: Random) -> None:
        """Ask as a client, mostly."""
        if not _valid(case, ParameterLocation.HEADER):
            return
        share = draw.random()
        if share < 0.9:
            client = API_CLIENT if share < 0.8 else (API_CLIENT[0], "wrong")
            case.headers["Authorization"] = basic(*client)

    def _ways_to_ask(self, owner: Phone, token: str) -> Ways:  # noqa: ARG002
        return [
            (50, lambda: {"token": self._log_in(owner)}),
            (20, lambda: {"token": self._ended[0]}),
            (30, _as_generated),
        ]

    def _ways_to_log_in(self, owner: Phone, token: str) -> Ways:  # noqa: ARG002
        return [
            (60, lambda: {"code": self._code(owner)}),
            (10, lambda: {"code": self._spent(self._code(owner))}),
            (10, lambda: {"code": self._tap(owner).code}),
            (20, _as_generated),
        ]

    def _ways_to_get_a_number(self, owner: Phone, token: str) -> Ways:
        return [
            (60, lambda: {"code": self._tap(owner).code}),
            (10, lambda: {"code": self._exchanged(self._tap(owner).code, token)}),
            (10, lambda: {"code": self._tap(self._person()).code}),
            (10, lambda: {"code": self._code(owner)}),
            (10, _as_generated),
        ]

    def _ways_to_decrypt(self, owner: Phone, token: str) -> Ways:
        if token == self._clumsy:
            return [(1, self._strange_data)]
        return [
            (20, lambda: _as_open_data(self._tap(owner))),
            (10, lambda: {"cloudID": self._tap(owner).cloud_id}),
            (10, lambda: _signed(self._info(owner))),
            (20, lambda: {"code": self._code(owner), **_as_open_data(self._tap(owner))}),
            (10, self._strange_data),
            (30, _as_generated),
        ]

    # What people do

    def _person(self) -> Phone:
        return self.secrets.note_person(self._wechat.phone(number=NUMBER))

    def _code(self, phone: Phone) -> str:
        code = self.secrets.note("login code", phone.login())
        self.secrets.note("session_key", phone.session_key)
        self._logging_in[code] = phone
        return code

    def _spent(self, code: str) -> str:
        self._wechat.spend_code(code)
        return code

    def _exchanged(self, code: str, token: str) -> str:
        self._api.phone(code, token=token or None)
        return code

    def _tap(self, phone: Phone) -> PhoneTap:
        tap = phone.tap_phone_number()
        self.secrets.note_data(tap)
        return tap

    def _strange_data(self) -> Body:
        """Somebody else's open data."""
        return _as_open_data(self._tap(self._person()))

    def _info(self, phone: Phone) -> UserInfo:
        info = phone.user_info()
        self.secrets.note_data(info)
        return info

    def _log_in(self, phone: Phone) -> str:
        """Log in, and again if the answer says so: on a busy machine WeChat may come too late."""
        for _ in range(5):
            answer = self._api.login(self._code(phone))
            if answer.status == 200:
                break
            assert answer.problem[2] in {"retry", "login_again"}, answer
        token: str = answer.json["token"]
        self._remember(token, phone)
        return token

    def _remember(self, token: str, phone: Phone) -> None:
        self.secrets.note_session(token)
        self._known.add(token)
        self._owners[token] = phone


def _as_generated() -> None:
    """Leave a request as it is."""


def _as_open_data(data: PhoneTap | UserInfo) -> Body:
    return {"encryptedData": data.encrypted_data, "iv": data.iv}


def _signed(info: UserInfo) -> Body:
    return {**_as_open_data(info), "rawData": info.raw_data, "signature": info.signature}


def _valid(case: AnyCase, location: ParameterLocation) -> bool:
    """Whether this part of the request was made to keep to the schema, or not made at all."""
    return case.meta is None or not case.meta.is_negative_at(location)


def _bearer(case: AnyCase) -> str:
    return str(case.headers.get("Authorization", "")).removeprefix("Bearer ")
