"""A stack with a console, from its start to its end."""

import threading

import urllib3

from local import __main__ as run
from local import console
from local.console.feed import Feed
from local.invocations import ACCOUNT_FUNCTION, SAMPLE, handler_of
from local.stack import Stack
from tests.harness.api import Api


def test_a_stack_without_a_console_answers_none_of_its_addresses() -> None:
    with console.start() as stack:
        assert urllib3.request("GET", f"{stack.url}/_console/latest").json()["latest"] == 0
    with Stack.start() as stack:
        for path in ("/", "/_console/", "/_console/latest"):
            reply = urllib3.request("GET", stack.url + path, headers={"Accept": "text/html"})
            assert (reply.status, reply.json()["code"]) == (404, "no_such_route")


def test_a_browser_that_listens_does_not_hold_up_the_end() -> None:
    told: list[bytes] = []
    listening = threading.Event()

    def listen(url: str) -> None:
        reply = urllib3.request("GET", f"{url}/_console/events", preload_content=False)
        listening.set()
        told.append(reply.read())

    with console.start() as stack:
        browser = threading.Thread(target=listen, args=(stack.url,))
        browser.start()
        assert listening.wait(30)
    browser.join(timeout=30)
    assert not browser.is_alive()
    assert told[0].startswith(b"retry: 1000\n\n")


def test_make_run_names_the_console_if_there_is_one() -> None:
    with console.start() as stack:
        line = f"    In a browser       {stack.url}/ "
        assert run.welcome(stack, "log").count(line) == 1
        assert "Whoever" not in run.welcome(stack, "log")
    with Stack.start(host="127.0.0.2") as stack:
        assert "In a browser" not in run.welcome(stack, "log")


def test_on_the_network_the_simulated_aws_is_not() -> None:
    with console.start(host="0.0.0.0") as stack:  # noqa: S104 - what LISTEN may say
        assert stack.aws_url.startswith("http://127.0.0.1:")
        told = "\nWhoever reaches this address can call: the API, the simulated WeChat.\n"
        assert told in run.welcome(stack, "log")


def test_functions_in_containers_reach_the_simulated_aws() -> None:
    with console.start(host="127.0.0.2", aws_host="127.0.0.2") as stack:
        assert stack.aws_url.startswith("http://127.0.0.2:")
        assert "DynamoDB and Secrets Manager.\n" in run.welcome(stack, "log")


def test_with_an_account_function_its_messages_are_shown_and_masked() -> None:
    feed = Feed()
    with console.start(feed=feed, parameters={"AccountFunctionArn": ACCOUNT_FUNCTION}) as stack:
        stack.invocations.functions[ACCOUNT_FUNCTION] = handler_of(SAMPLE)
        api, phone = Api(stack.url), stack.wechat.phone(number="13800138000")
        token, code = api.logged_in(phone), phone.tap_phone_number().code
        stack.invocations.failing = 1
        statuses = [api.phone(code, token=token).status for _ in range(2)]
        assert f"    Account function   {ACCOUNT_FUNCTION}\n" in run.welcome(stack, "log")
    assert statuses == [503, 200]
    told = [message for _, message in feed.after(0) if message.lane == "lambda"]
    assert [(each.name, each.target, each.outcome) for each in told] == [
        ("Invoke", "AccountFunction", ""),
        ("Invoke", "AccountFunction", "Unhandled"),
        ("Invoke", "AccountFunction", ""),
    ]
    assert told[0].got == {"account": {"needsPhone": True}}
    assert (told[2].sent["event"], told[2].sent["by"]) == ("phone", "phoneCode")
    assert told[2].sent["purePhoneNumber"] == "138****8000"
    assert told[2].got["accountId"] == "…(9)"
    assert phone.openid not in repr(told)
