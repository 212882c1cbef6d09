"""The page and a stack in a process of its own: one that ends, and one with the real WeChat."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser

from tests.console.real_wechat import APP
from tests.console.window import Window
from tests.harness.api import Api
from wechat_auth import errors

_ENABLED = ".scene:not([disabled])"


@contextmanager
def process(module: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module of ours until the end of the block, at the latest."""
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", module],
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def make_run(port: int) -> Iterator[subprocess.Popen[str]]:
    """Run what `make run` runs, from the moment at which it answers."""
    with process("local", PORT=str(port)) as running:
        assert running.stdout
        assert any("The API is running" in line for line in running.stdout)
        yield running


def three_free_ports() -> int:
    """The first of three that nobody uses."""
    for first in range(21000, 29000, 10):
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            try:
                for at, each in enumerate((one, two, three)):
                    each.bind(("127.0.0.1", first + at))
            except OSError:
                continue
            return first
    raise AssertionError


def test_while_the_stack_is_gone_nothing_can_be_pressed_and_another_one_is_found(
    browser: Browser, axe: str
) -> None:
    port = three_free_ports()
    url = f"http://127.0.0.1:{port}"
    with make_run(port) as running, Window.open(browser, url) as window:
        window.scene("new")
        running.kill()
        window.page.wait_for_selector(".live[data-state=disconnected]")
        assert window.text(".gone") == "连不上本机服务：请重新执行 make run，本页会自行恢复。"
        assert window.page.is_visible(".gone")
        assert window.page.query_selector_all(_ENABLED) == []
        assert window.violations(axe) == []
        running.wait()
        with make_run(port):
            window.page.wait_for_selector(".live[data-state=connected]")
            assert window.page.is_hidden(".gone")
            window.page.wait_for_selector(_ENABLED)
            window.scene("reset")
            window.scene("new")
            assert window.text(".number") == "138****8000"


_ADDRESS_ZH = """\
微信的 IP 白名单里没有本次调用的来源地址：在后台加上，或关闭白名单，\
或改用固定出口 IP 部署（FixedAddresses）（来源地址是 127.0.0.1）"""
_ADDRESS_EN = """\
WeChat's IP whitelist does not hold the address this call came from: add it in the console, \
or switch the whitelist off, or deploy with a fixed egress address (the address is 127.0.0.1)"""
_MISCONFIGURED_ZH = "服务配置有误。运维按 requestId 在日志中查找原因和处理办法"


@pytest.mark.parametrize(
    ("language", "what_to_do", "refused"),
    [
        ("zh-CN", _ADDRESS_ZH, _MISCONFIGURED_ZH),
        ("en", _ADDRESS_EN, errors.MISCONFIGURED.detail),
    ],
)
def test_an_address_that_the_real_wechat_does_not_let_in_is_explained(
    browser: Browser, axe: str, language: str, what_to_do: str, refused: str
) -> None:
    with process("tests.console.real_wechat") as running:
        assert running.stdout
        told = json.loads(running.stdout.readline())
        with Window.open(browser, told["url"], language=language) as window:
            window.page.wait_for_selector(".live[data-state=connected]")
            assert Api(told["url"]).phone(told["code"]).status == 500
            window.page.wait_for_selector(".row[data-kind=answer]")
            line = next(
                each for each in window.part() if each.endswith("40164 (200)") or "40164" in each
            )
            assert window.why(line) == what_to_do
            assert window.why(window.part()[-1]) == refused
            assert window.page.is_hidden(".phone")
            assert window.page.query_selector_all(".scene") == []
            assert window.violations(axe) == []
            assert window.errors == []
            shown = window.page.content()
        assert APP.secret not in shown
        assert told["code"] not in shown
