"""Login codes and phone codes: each is valid for five minutes and works once."""

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from .clock import Clock
from .errors import WeChatError
from .expiring_dict import Expiring
from .people import Person

LIFE: Final = 300

_ALPHANUMERIC: Final = string.digits + string.ascii_letters


@dataclass(slots=True)
class Code:
    """A code that a phone was given.

    Attributes:
        kind: Which call it is for.
        text: What the phone sends.
        person: Whose it is, in which app.
        phone_info: What a phone code is exchanged for.
        used: Whether it has been exchanged.
        lasting: Whether it can be exchanged again and again, for good.
    """

    kind: Literal["login", "phone"]
    text: str
    person: Person
    phone_info: Mapping[str, object]
    used: bool = False
    lasting: bool = False

    def use(self) -> None:
        """Use it up, if it can be."""
        self.used = not self.lasting


class Codes:
    """The codes that are out."""

    def __init__(self, clock: Clock) -> None:
        self._codes: Expiring[str, Code] = Expiring(clock, LIFE)

    def issue_login(self, person: Person) -> Code:
        """Make a wx.login code: 32 letters and digits, the first a 0."""
        text = "0" + "".join(secrets.choice(_ALPHANUMERIC) for _ in range(31))
        return self._keep(Code("login", text, person, {}))

    def issue_phone(self, person: Person, phone_info: Mapping[str, object]) -> Code:
        """Make a getPhoneNumber code: 64 lower-case hex digits."""
        text = secrets.token_hex(32)
        return self._keep(Code("phone", text, person, phone_info))

    def find(self, kind: Literal["login", "phone"], text: str) -> Code:
        """Return a code that has not expired, used or not.

        Raises:
            WeChatError: 40029 if it is unknown, expired or of the other kind.
        """
        code = self._codes.get(text)
        if code is None or code.kind != kind:
            raise WeChatError(40029)
        return code

    def spend(self, text: str) -> None:
        """Use up a code of either kind.

        Raises:
            WeChatError: 40029 if it is unknown or expired.
        """
        code = self._codes.get(text)
        if code is None:
            raise WeChatError(40029)
        code.use()

    def keep(self, code: Code) -> None:
        """Add a lasting code."""
        self._codes.keep(code.text, code)

    def _keep(self, code: Code) -> Code:
        self._codes[code.text] = code
        return code
