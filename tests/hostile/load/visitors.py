"""The users of a mini-program, one visit after another, and what they have against the backend."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from local.simulated_wechat import Phone, PhoneTap, SimulatedWeChat
from tests.harness.api import Answer, Api, Document, legacy
from tests.harness.contract import assert_keeps_to_the_contract
from tests.harness.leaks import Secrets

_TRIES = 15
_LOOKS_BACK = 0.2  # part of the visits after which another visitor's session is looked at
_VALIDATED = 0.05  # part of the good answers that are held against the schema: it takes a while

EXCUSES = {
    ("wechat_unavailable", "retry"),
    ("storage_unavailable", "retry"),
    ("account_unavailable", "retry"),
    ("login_code_rejected", "login_again"),
    ("login_unfinished", "login_again"),
    ("phone_code_rejected", "authorize_again"),
}
"""What a fault may cost: one more try, as the answer says."""
EXCUSES_OF_OLD_CODES = EXCUSES | {("undecryptable", "login_again")}
"""What it may cost when the clock has moved on by hours in the middle."""


class GivesUpError(Exception):
    """A visitor goes away; the findings say why."""


@dataclass(frozen=True, slots=True)
class Held:
    """A session that nobody has ended."""

    token: str
    openid: str


@dataclass(slots=True)
class Findings:
    """What all visitors together saw.

    Attributes:
        visits: How many went through to the end.
        answers: How many came, by route and status.
        excused: How many of them a fault excuses, by route and code.
        wrong: Answers that are not right, and none for too long.
        lost: Sessions that were gone though nobody had ended them.
        held: Sessions that nobody has ended.
        secrets: What must stand in no log.
    """

    visits: int = 0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    excused: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    secrets: Secrets = field(default_factory=Secrets)


class Visitors:
    """People who visit at the same time, each again and again as a new person.

    Attributes:
        findings: What they saw.
    """

    def __init__(
        self, wechat: SimulatedWeChat, url: str, openid_of: Callable[[str], str | None]
    ) -> None:
        """Let them meet a backend; `openid_of` asks its authorizer whose a token is."""
        self.findings = Findings()
        self._wechat = wechat
        self._url = url
        self._openid_of = openid_of
        self._numbers = itertools.count(1)
        self._hours = 0  # how often hours have passed at once
        self._lock = threading.Lock()
        self._random = random.Random(1)  # noqa: S311 - no secret is made of it

    def hours_passed(self) -> None:
        """Say that the clock has moved: what was made before is too old now."""
        self._hours += 1

    def come(self, together: int, enough: Callable[[], bool]) -> None:
        """Let so many visit at the same time, one visit after another, until it is enough."""

        def one_after_the_other() -> None:
            while not enough():
                self._visit()

        self._in_threads(together, one_after_the_other)

    def come_back(self, together: int) -> None:
        """Let everybody whose session nobody ended use it once more."""
        left = list(self.findings.held)

        def one_after_the_other() -> None:
            api = Api(self._url)
            while True:
                try:
                    self._look_back(api, left.pop())
                except IndexError:
                    return

        self._in_threads(together, one_after_the_other)

    def _in_threads(self, together: int, act: Callable[[], None]) -> None:
        with ThreadPoolExecutor(together) as pool:
            ends = [pool.submit(act).exception for _ in range(together)]
        # A visitor that dies must not pass for content.
        self.findings.wrong += [f"a visitor died: {error!r}" for end in ends if (error := end())]

    def _visit(self) -> None:
        # No mobile number begins with 100 or is so long, so this is nobody's; and no duration in a
        # log has so many digits.
        phone = self._wechat.phone(number=f"100{next(self._numbers):017d}")
        api = Api(self._url)
        try:
            held = self._go_through(api, phone, logs_out=self._random.random() < 1 / 3)
            if self._random.random() < _LOOKS_BACK and self.findings.held:
                self._look_back(api, self._random.choice(self.findings.held))
        except GivesUpError:
            return
        with self._lock:
            self.findings.visits += 1
            self.findings.held += [held] if held else []

    def _go_through(self, api: Api, phone: Phone, *, logs_out: bool) -> Held | None:
        """Do everything once; return the session unless it was ended."""
        note, expect = self._note, self._expect
        asking = partial(self._until_it_works, since=self._hours)
        number = {
            "phoneNumber": phone.number,
            "purePhoneNumber": phone.number,
            "countryCode": "86",
        }
        note("openid", phone.openid)
        note("phone number", phone.number)
        session = asking("POST /login", lambda _: api.login(phone.login()))
        token: str = session["token"]
        note("session token", token)
        note("session_key", phone.session_key)

        tap = _Tap(phone)
        for time_of_asking in ("once", "twice"):
            got = asking(
                "POST /phone", lambda failed: api.phone(tap.for_code(failed).code, token=token)
            )
            expect(f"the number, asked {time_of_asking}", got, number)
        note("phone code", tap.tap.code)
        got = asking(
            "POST /decrypt",
            lambda failed: api.decrypt(token=token, **legacy(tap.for_data(failed))),
        )
        expect("the number in encryptedData", got, {"data": number})
        got = asking(
            "POST /decrypt",
            lambda failed: api.decrypt(token=token, cloudID=tap.for_data(failed).cloud_id),
        )
        expect("the number behind a cloudID", got, {"data": number})
        got = asking("GET /session", lambda _: api.session(token, "?verify=true"))
        expect("the session", (got["expiresAt"], got["sessionKeyValid"]),
               (session["expiresAt"], True))  # fmt: skip
        if not logs_out:
            return Held(token, phone.openid)
        asking("DELETE /session", lambda _: api.logout(token))
        expect("a session after logout", api.session(token).status, 401)
        return None

    def _look_back(self, api: Api, held: Held) -> None:
        self._until_it_works("GET /session", lambda _: api.session(held.token))
        if self._openid_of(held.token) != held.openid:
            self.findings.lost.append(f"the authorizer does not know {held.openid}")

    def _until_it_works(
        self, route: str, ask: Callable[[Answer | None], Answer], *, since: int | None = None
    ) -> Document:
        """Ask again for as long as a fault may be the reason, and return the good answer.

        Args:
            route: Such as "POST /login".
            ask: Makes the request, given the failure before.
            since: Value of `_hours` when its codes and data were made.

        Raises:
            GivesUpError: The answer is wrong, or the session is lost, or it takes too long.
        """
        failure = None
        for _ in range(_TRIES):
            answer = ask(failure)
            self._validate(answer)
            with self._lock:
                self.findings.answers[route, answer.status] += 1
            if answer.status in (200, 204):
                return answer.json
            failure = answer
            code, action = answer.json.get("code", "none"), answer.json.get("action", "none")
            if code == "session_invalid":
                self.findings.lost.append(f"{route}: {answer.content!r}")
                raise GivesUpError
            excuses = EXCUSES if since in (None, self._hours) else EXCUSES_OF_OLD_CODES
            if (code, action) not in excuses:
                self.findings.wrong.append(f"{route}: {answer.status} {answer.content!r}")
                raise GivesUpError
            with self._lock:
                self.findings.excused[route, code] += 1
        self.findings.wrong.append(f"{route}: no answer in {_TRIES} tries")
        raise GivesUpError

    def _validate(self, answer: Answer) -> None:
        if answer.status != 200 or self._random.random() < _VALIDATED:
            try:
                assert_keeps_to_the_contract(answer)
            except AssertionError as error:
                self.findings.wrong.append(f"outside its schema: {error}")

    def _expect(self, what: str, got: object, wanted: object) -> None:
        """Note what is not as it should be."""
        if got != wanted:
            self.findings.wrong.append(f"{what}: {got!r} instead of {wanted!r}")

    def _note(self, what: str, value: str | None) -> None:
        """Note what must stand in no log."""
        with self._lock:
            self.findings.secrets.note(what, value)


@dataclass(slots=True)
class _Tap:
    """What a tap gave; when that is used up the person taps again."""

    phone: Phone
    tap: PhoneTap = field(init=False)

    def __post_init__(self) -> None:
        self.tap = self.phone.tap_phone_number()

    def for_code(self, failed: Answer | None) -> PhoneTap:
        if failed and failed.json["action"] == "authorize_again":
            self.tap = self.phone.tap_phone_number()
        return self.tap

    def for_data(self, failed: Answer | None) -> PhoneTap:
        if failed and failed.json["action"] == "login_again":
            self.tap = self.phone.tap_phone_number()
        return self.tap
