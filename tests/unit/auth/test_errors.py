"""The errors: every problem as the contract names it, and every errcode that WeChat documents."""

import re

import pytest

from wechat_auth.errors import (
    ERRCODES,
    ERRCODES_OF_CALL,
    INVALID_REQUEST,
    MISCONFIGURED,
    PROBLEMS,
    TOKEN_REFUSED,
    UNKNOWN_ERRCODE,
    WECHAT_UNAVAILABLE,
    AuthError,
    Errcode,
    Problem,
    WeChatError,
    WeChatUnavailableError,
    invalid_field,
    misconfigured,
)

CONTRACT = {
    "invalid_request": (400, "fix_request", None),
    "session_invalid": (401, "login_again", None),
    "client_invalid": (401, "fix_request", None),
    "user_blocked": (403, "contact_support", None),
    "user_restricted": (403, "contact_support", None),
    "no_such_route": (404, "fix_request", None),
    "wrong_address": (403, "fix_request", None),
    "account_refused": (403, "contact_support", None),
    "request_too_large": (413, "fix_request", None),
    "login_code_rejected": (422, "login_again", None),
    "phone_code_rejected": (422, "authorize_again", None),
    "undecryptable": (422, "login_again", None),
    "too_many_requests": (429, "wait", 60),
    "too_many_failures": (429, "wait", 3600),
    "internal_error": (500, "contact_support", None),
    "misconfigured": (500, "contact_support", None),
    "quota_exhausted": (503, "wait", 3600),
    "login_unfinished": (503, "login_again", None),
    "storage_unavailable": (503, "retry", 1),
    "wechat_unavailable": (503, "retry", 2),
    "account_unavailable": (503, "retry", 1),
}

QUOTA = 45009  # the one that is both: the client waits, the operator looks


def code(problem: Problem) -> str:
    return problem.code


# ---------------------------------------------------------------------- problems


def test_the_problems_are_those_of_the_contract() -> None:
    assert len({problem.code for problem in PROBLEMS}) == len(PROBLEMS)
    assert {
        problem.code: (problem.status, problem.action, problem.retry_after) for problem in PROBLEMS
    } == CONTRACT


@pytest.mark.parametrize("problem", PROBLEMS, ids=code)
def test_a_problem_can_be_shown_in_both_languages(problem: Problem) -> None:
    assert re.fullmatch(r"[\u4e00-\u9fff，]+", problem.title_zh)
    assert re.fullmatch(r"[A-Z][A-Za-z ,]+[a-z]", problem.title_en)


@pytest.mark.parametrize("problem", PROBLEMS, ids=code)
def test_a_problem_has_a_detail_in_whole_sentences(problem: Problem) -> None:
    assert re.fullmatch(r"[A-Z].+\.", problem.detail)


@pytest.mark.parametrize("problem", PROBLEMS, ids=code)
def test_what_clients_read_names_nothing_of_the_inside(problem: Problem) -> None:
    text = f"{problem.title_zh} {problem.title_en} {problem.detail}"

    assert not re.search("AppSecret|access_token|session_key|openid|whitelist|DynamoDB|key ", text)


@pytest.mark.parametrize("problem", PROBLEMS, ids=code)
def test_who_is_told_to_wait_or_retry_is_told_how_long(problem: Problem) -> None:
    assert (problem.retry_after is not None) is (problem.action in {"wait", "retry"})


# ---------------------------------------------------------------------- errcodes
# What each means is in the tables of docs/errors.md, which are compared with the code.


def test_what_only_the_operator_can_mend_has_a_remedy_and_hides_its_cause() -> None:
    rows = [*ERRCODES.items(), *((errcode, row) for (_, errcode), row in ERRCODES_OF_CALL.items())]
    for errcode, row in rows:
        assert (row.remedy is not None) is (row.problem is MISCONFIGURED or errcode == QUOTA)


def test_a_spent_quota_makes_the_client_wait_and_the_operator_look() -> None:
    assert ERRCODES[QUOTA].problem.code == "quota_exhausted"
    assert "daily quota for this call is used up" in str(ERRCODES[QUOTA].remedy)


@pytest.mark.parametrize(
    ("call", "errcode", "problem", "remedy"),
    [
        ("getStableAccessToken", 40001, "misconfigured", "the AppSecret is wrong"),
        ("code2Session", 40001, "misconfigured", "the AppSecret is wrong"),
        ("getPhoneNumber", 40001, "misconfigured", "refuses the access_token"),
        ("code2Session", 40029, "login_code_rejected", None),
        ("getPhoneNumber", 40013, "invalid_request", None),
        ("code2Session", 40013, "misconfigured", "the appid is wrong"),
        ("getPhoneNumber", 40029, "phone_code_rejected", None),
    ],
)
def test_an_errcode_means_what_it_means_for_that_call(
    call: str, errcode: int, problem: str, remedy: str | None
) -> None:
    error = WeChatError(call, errcode)

    assert error.problem.code == problem
    if remedy is None:
        assert error.remedy is None
    else:
        assert remedy in str(error.remedy)


def test_only_calls_that_carry_a_token_are_refused_for_it() -> None:
    assert {40001, 40014, 42001} == TOKEN_REFUSED


@pytest.mark.parametrize("errcode", [0, 2, 40000, 40241, 99999, -2, 10**30])
def test_an_errcode_that_nobody_documented_is_looked_up_by_the_operator(errcode: int) -> None:
    error = WeChatError("code2Session", errcode, "5f3d-11aa-22bb")

    assert error.problem is WECHAT_UNAVAILABLE
    assert error.remedy == "an errcode that is not in the table: look it up with its rid"
    assert Errcode(WECHAT_UNAVAILABLE, error.remedy) == UNKNOWN_ERRCODE


# ---------------------------------------------------------------------- exceptions


def test_an_error_of_wechat_carries_what_the_log_needs() -> None:
    error = WeChatError("code2Session", 40163, "5f3d-11aa-22bb")

    assert (error.call, error.errcode, error.rid) == ("code2Session", 40163, "5f3d-11aa-22bb")
    assert error.retry_after is None
    assert isinstance(error, AuthError)


def test_the_address_that_is_not_whitelisted_is_for_the_operator_alone() -> None:
    error = WeChatError("getStableAccessToken", 40164, None, "192.0.2.7")

    assert str(error.remedy).endswith("(the address is 192.0.2.7)")
    assert "192.0.2.7" not in str(error)
    assert "192.0.2.7" not in error.detail


def test_an_address_without_a_remedy_is_dropped() -> None:
    assert WeChatError("code2Session", 40029, None, "192.0.2.7").remedy is None


def test_wechat_being_gone_is_told_with_a_reason_for_the_log_alone() -> None:
    error = WeChatUnavailableError("getPhoneNumber", "ReadTimeoutError")

    assert (error.problem, error.call, error.reason) == (
        WECHAT_UNAVAILABLE,
        "getPhoneNumber",
        "ReadTimeoutError",
    )
    assert (error.retry_after, error.remedy, error.errcode) == (2, None, None)
    assert "ReadTimeoutError" not in str(error)


def test_an_error_has_its_kinds_detail_and_wait_unless_it_has_its_own() -> None:
    plain = AuthError(WECHAT_UNAVAILABLE)
    special = AuthError(WECHAT_UNAVAILABLE, "Wait.", retry_after=0)

    assert (plain.detail, plain.retry_after) == (WECHAT_UNAVAILABLE.detail, 2)
    assert (special.detail, special.retry_after) == ("Wait.", 0)
    assert str(special) == "wechat_unavailable: Wait."


def test_a_wrong_field_is_named() -> None:
    error = invalid_field("iv", "is missing")

    assert error.problem is INVALID_REQUEST
    assert error.detail == "iv: is missing"


def test_a_misconfiguration_tells_its_remedy_to_the_operator_alone() -> None:
    error = misconfigured("store the AppSecret")

    assert (error.problem, error.remedy) == (MISCONFIGURED, "store the AppSecret")
    assert "AppSecret" not in str(error)
    assert error.detail == MISCONFIGURED.detail
