"""An account function to begin with: `make run ACCOUNT=local/account_function.py`.

It knows accounts by their phone number, as most teams do: who logs in for the first time is asked
for a number, and that number finds the account or makes one. A team's own would have a database
in place of the two dictionaries. The messages: docs/account-function.md.
"""

import itertools
import threading
from typing import Any

CLOSED = {"13580006666"}
"""Numbers whose account has been closed."""
PHONE_NUMBER = 8
"""The phone number, among the numbers of what a user can withdraw."""

_numbers: dict[str, tuple[str, int]] = {}
"""Account id, and when the number was verified, by phone number with country code."""
_logins: dict[tuple[str, str], str] = {}
"""Account id by appid and openid."""
_new = (f"account-{number}" for number in itertools.count(1))
_lock = threading.Lock()


def handler(event: dict[str, Any], _: object = None) -> dict[str, Any]:
    """Answer a message of version 1; it may come twice, so nothing here is done twice."""
    user = event["appid"], event.get("openid", "")
    with _lock:
        match event["event"]:
            case "login":
                account_id = _logins.get(user)
                if account_id is None:
                    return {"account": {"needsPhone": True}}
                return {**_known(account_id), "account": {"isNew": False, "needsPhone": False}}
            case "phone":
                return _phone(event, user)
            case "user_authorization_revoke" if PHONE_NUMBER in event["revoked"]:
                _forget_numbers(_logins.get(user), until=event["at"])
            case "user_authorization_cancellation":
                _forget_numbers(_logins.pop(user, None), until=event["at"])
        return {}


def _phone(event: dict[str, Any], user: tuple[str, str]) -> dict[str, Any]:
    if event["purePhoneNumber"] in CLOSED:
        return {"refuse": {"title": "该手机号的账号已注销", "code": "account_closed"}}
    number = f"+{event['countryCode']} {event['purePhoneNumber']}"
    known, _ = _numbers.get(number, (_logins.get(user), 0))
    account_id = known or next(_new)
    _numbers[number] = account_id, event.get("verifiedAt", 0)
    if event.get("openid"):
        _logins[user] = account_id
    return {**_known(account_id), "account": {"isNew": known is None}}


def _forget_numbers(account_id: str | None, *, until: int) -> None:
    """Forget an account's numbers, but none that was verified later than what is told of."""
    for number, (owner, verified_at) in list(_numbers.items()):
        if owner == account_id and verified_at <= until:
            del _numbers[number]


def _known(account_id: str) -> dict[str, Any]:
    return {"accountId": account_id, "claims": {"role": "member"}}
