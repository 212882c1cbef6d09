"""What must come of a fault: a function of the request, the call that fails, and how it fails."""

from tests.hostile.faults.faults import SEALED, WORK_DONE, Call, Kind

Outcome = str

_HEALTHY = {
    "DELETE /session": "204",
    "DELETE /session?all": "204",
    "POST /decrypt, not decryptable": "422 undecryptable login_again",
    "schedule": "renewed",
}
LOGIN_AGAIN = "422 login_code_rejected login_again"
AUTHORIZE_AGAIN = "422 phone_code_rejected authorize_again"
LOGGED_OUT = "401 session_invalid login_again"

KEEPS_THE_ANSWER = Call("UpdateItem", "PhoneExchanges")
GIVES_BACK = Call("UpdateItem", "Sessions", 2)  # the first counts a failure
_CALLS_FOR_TOKENS = {"AccessTokens", "AppSecrets", "WeChat"}
_INVOKED = {"access_token", "end_sessions"}
_QUEUED = ("user_events", "platform_events")
_LOGINS = {"code2Session", "thirdpartyCode2Session"}
_DELETES = {"DeleteItem", "BatchWriteItem"}
_NOT_REPEATED: set[Kind] = {"garbage", "denied"}


def healthy(request: str) -> Outcome:
    """Return the answer when nothing fails."""
    return _HEALTHY.get(request, "200")


def answer(request: str, calls: list[Call], call: Call, kind: Kind, *, lasting: bool) -> Outcome:
    """Return the answer while a call fails; for the arguments see `afterwards`."""
    if _is_bearable(request, calls, call, lasting=lasting) or (
        not lasting and _is_repeated(call, kind)
    ):
        return healthy(request)
    status, code, action = _problem(call, kind)
    login = _login(calls)
    sent = login is not None and calls.index(call) + (kind != "refused") > login
    if action == "retry" and sent:
        code, action = "login_unfinished", "login_again"
    if request.startswith("schedule"):
        return code
    if request.startswith(_QUEUED):
        return "again"
    if request.startswith("push"):
        return str(status)
    if request in _INVOKED:
        return f"error {code}"
    return f"500 {code}" if request == "authorizer" else f"{status} {code} {action}"


def afterwards(
    request: str, calls: list[Call], call: Call, kind: Kind, *, lasting: bool
) -> Outcome:
    """Return the answer to the very same request once all works again.

    Args:
        request: The request.
        calls: What it calls when all works, in this order.
        call: What failed.
        kind: How.
        lasting: Whether its repetitions failed too.
    """
    worked = answer(request, calls, call, kind, lasting=lasting) == healthy(request)
    done = kind in WORK_DONE
    in_vain = not done and (lasting or not _is_repeated(call, kind))
    if request == "schedule":
        return "fresh" if worked and not (_keeps_a_token(call) and in_vain) else "renewed"
    if request.startswith("DELETE") and (worked or (call.name in _DELETES and done)):
        return LOGGED_OUT
    if call.name == "getPhoneNumber" and done:
        return AUTHORIZE_AGAIN
    if call == KEEPS_THE_ANSWER and in_vain:
        return AUTHORIZE_AGAIN
    login = _login(calls)
    if login is not None and (worked or calls.index(call) + done > login):
        return LOGIN_AGAIN
    return healthy(request)


def _login(calls: list[Call]) -> int | None:
    """Return which of the calls, if any, spends a login code."""
    return next((at for at, each in enumerate(calls) if each.name in _LOGINS), None)


def _is_bearable(request: str, calls: list[Call], call: Call, *, lasting: bool) -> bool:
    """Tell whether the request is answered all the same.

    A number or a token that was had is used though it cannot be kept, and data that WeChat vouched
    for though it stays counted as a failure; a merchant's refresh token can be had of WeChat's
    list; and who logs out everywhere is logged out, whether or not WeChat's session_key could be
    reset. What lasts while one token is kept fails the lease of the next one.
    """
    if call == GIVES_BACK and request.startswith("POST /decrypt"):
        return True
    before, after = calls[: calls.index(call)], calls[calls.index(call) + 1 :]
    if _keeps_a_token(call):
        return not lasting or not any(_writes(each, "AccessTokens") for each in after)
    if _writes(call, "Platform") and before and before[-1].name == "getAuthorizerAccessToken":
        return True
    everywhere = request == "DELETE /session?all" and call.of in _CALLS_FOR_TOKENS
    return everywhere or call == KEEPS_THE_ANSWER


def _writes(call: Call, table: str) -> bool:
    return (call.name, call.of) == ("UpdateItem", table)


def _keeps_a_token(call: Call) -> bool:
    """Tell whether a token is written; before each, the lease is taken."""
    return _writes(call, "AccessTokens") and call.number % 2 == 0


def _is_repeated(call: Call, kind: Kind) -> bool:
    """Tell whether the SDK tries again; WeChat and the account function are never asked twice."""
    return not call.is_made_once and kind not in _NOT_REPEATED


def _problem(call: Call, kind: Kind) -> tuple[int, str, str]:
    if call.is_the_teams:
        return 503, "account_unavailable", "retry"
    if kind == "denied" or kind in SEALED:
        return 500, "misconfigured", "contact_support"
    if not call.is_wechats:
        return 503, "storage_unavailable", "retry"
    if kind == "throttled":
        return 429, "too_many_requests", "wait"
    return 503, "wechat_unavailable", "retry"
