"""An account function to begin with: `make run ACCOUNT=local/account_function.py`.

It knows accounts by their phone number, as most teams do: who logs in for the first time is asked
for a number, and that number finds the account or makes one. A team's own would have a database
in place of the two dictionaries. The messages: docs/account-function.md.
"""

import threading
from typing import Any

CLOSED = {"13580006666"}
"""Numbers whose account has been closed."""

_accounts: dict[str, str] = {}
"""Account id by phone number with country code."""
_logins: dict[tuple[str, str], str] = {}
"""Account id by appid and openid."""
_lock = threading.Lock()


def handler(event: dict[str, Any], _: object = None) -> dict[str, Any]:
    """Answer a message of version 1."""
    user = event["appid"], event.get("openid", "")
    with _lock:
        if event["event"] == "login":
            account_id = _logins.get(user)
            if account_id is None:
                return {"account": {"needsPhone": True}}
            return {**_known(account_id), "account": {"isNew": False, "needsPhone": False}}
        if event["purePhoneNumber"] in CLOSED:
            return {"refuse": {"title": "该手机号的账号已注销", "code": "account_closed"}}
        number = f"+{event['countryCode']} {event['purePhoneNumber']}"
        is_new = number not in _accounts
        # The same message may come twice, so nothing here is done twice.
        account_id = _accounts.setdefault(number, f"account-{len(_accounts) + 1}")
        if event.get("openid"):
            _logins[user] = account_id
        return {**_known(account_id), "account": {"isNew": is_new}}


def _known(account_id: str) -> dict[str, Any]:
    return {"accountId": account_id, "claims": {"role": "member"}}
