"""The stack with its console, and a headless Chromium in front of it.

Without a Chromium on this machine the tests are skipped; where CI=true they fail instead.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from local import console
from local.console.browser import ARGUMENTS, chromium
from local.console.feed import Feed, Message
from local.stack import Stack, app_secrets
from tests.console.window import Window
from tests.harness.deployment import Deployment


class RememberingFeed(Feed):
    """Keeps every message."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Message] = []

    def publish(self, message: Message) -> None:
        self.told.append(message)
        super().publish(message)


@pytest.fixture(scope="package")
def feed() -> RememberingFeed:
    return RememberingFeed()


@pytest.fixture(scope="package")
def running_stack(feed: RememberingFeed) -> Iterator[Stack]:
    with console.start(feed=feed) as stack:
        stack.wechat.deliver()  # the platform's first ticket, before anybody watches
        yield stack


@pytest.fixture
def told(deployment: Deployment, feed: RememberingFeed) -> list[Message]:
    """Every message from now on."""
    feed.told.clear()
    return feed.told


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        missing = "no Chromium here: apt-get install chromium (or Google Chrome on the path)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def axe() -> str:
    """The source of axe-core, which tells what people with poor sight cannot read."""
    source = Path(__file__).parents[2] / "miniprogram/node_modules/axe-core/axe.min.js"
    if not source.exists():
        missing = "no axe-core here: make miniprogram/node_modules/.package-lock.json (needs npm)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return source.read_text("utf-8")


@pytest.fixture
def deployment(running_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """As everywhere, but by the real clock: the browser has no other."""
    deployment = Deployment(running_stack)
    deployment.clean()
    # With what WeChat's pushes are checked by, as in `make run`.
    deployment.put_secret("AppSecrets", app_secrets(running_stack.wechat))
    yield deployment
    wechat = deployment.wechat
    wechat.clock.advance(-wechat.clock.offset)
    if wechat.platform:
        wechat.platform.authorizations.clear()
    deployment.close()


@pytest.fixture(scope="package")
def one_window(browser: Browser, running_stack: Stack) -> Iterator[Window]:
    with Window.open(browser, running_stack.url) as window:
        yield window


@pytest.fixture
def window(one_window: Window, deployment: Deployment) -> Iterator[Window]:
    """A window of a desktop, in which somebody new has just opened the mini-program."""
    one_window.begin()
    yield one_window
    assert one_window.errors == []
