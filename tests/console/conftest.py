"""The stack with its console, and a headless Chromium in front of it.

Without a Chromium on this machine the tests are skipped; where CI=true they fail instead.
"""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from local import console
from local.console.browser import ARGUMENTS, chromium
from local.stack import Stack
from tests.console.window import Window
from tests.harness.backend import Backend


@pytest.fixture(scope="package")
def running_stack() -> Iterator[Stack]:
    with console.start() as stack:
        yield stack


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


@pytest.fixture
def backend(running_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """As everywhere, but by the real clock: the browser has no other."""
    backend = Backend(running_stack, monkeypatch)
    backend.clean()
    yield backend
    backend.close()


@pytest.fixture(scope="package")
def one_window(browser: Browser, running_stack: Stack) -> Iterator[Window]:
    with Window.open(browser, running_stack.url) as window:
        yield window


@pytest.fixture
def window(one_window: Window, backend: Backend) -> Iterator[Window]:
    """A window of a desktop, in which somebody new has just opened the mini-program."""
    one_window.begin()
    yield one_window
    assert one_window.errors == []
