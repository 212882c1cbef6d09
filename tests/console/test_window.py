"""The page as such: keyboard, languages, widths, a stack that ends."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, Route

from tests.console.window import DESKTOP, PHONE, Window
from tests.harness.deployment import Deployment

SCENES = [
    "open", "new", "old", "refuse", "twice",
    "lost", "expired", "replaced", "dead", "busy", "secured", "withdrawn", "merchant",
    "heal", "reset",
]  # fmt: skip
_FOCUSED = """() => {
    const { dataset, className } = document.activeElement
    return dataset.scene || className
}"""
_TOO_WIDE = """width => [
    ...[...document.querySelectorAll('button, .text, .why, .weui-cell__ft')].filter(each => {
        const { left, right } = each.getBoundingClientRect()
        return left < 0 || right > width
    }),
    ...[...document.querySelectorAll('html, .scene, .why, .text, .language')].filter(each => (
        each.scrollWidth > each.clientWidth + 1)),
].map(each => each.textContent)"""


def reached_by_tab(window: Window) -> list[str]:
    """What has the focus after each Tab, up to the last of the console's buttons."""
    reached: list[str] = []
    # From the top: a browser goes on from where the focus was last.
    window.page.evaluate("Object.assign(document.querySelector('h1'), { tabIndex: -1 }).focus()")
    while len(reached) < 40 and "reset" not in reached:
        window.page.keyboard.press("Tab")
        reached.append(window.page.evaluate(_FOCUSED))
    return reached


def test_every_button_is_reached_by_the_keyboard(window: Window) -> None:
    reached = reached_by_tab(window)
    assert reached[0] == "language"
    assert [name for name in reached if name in SCENES] == SCENES
    on_the_phone = [name.split()[-1] for name in reached if name.startswith("weui-btn")]
    assert on_the_phone == ["new", "old", "check", "logout"]


def test_a_button_that_the_keyboard_cannot_reach_is_found(window: Window) -> None:
    window.page.evaluate("document.querySelector('[data-scene=lost]').tabIndex = -1")
    assert [name for name in reached_by_tab(window) if name in SCENES] != SCENES
    window.page.evaluate("document.querySelector('[data-scene=lost]').tabIndex = 0")


def test_a_scene_and_a_messages_details_open_by_the_keyboard(window: Window) -> None:
    window.page.focus(".scene[data-scene=refuse]")
    window.page.keyboard.press("Enter")
    window.page.wait_for_selector(".part[data-scene=refuse] .row")
    window.rest()
    window.page.focus(".row[data-name=code2Session] .message")
    window.page.keyboard.press("Enter")
    details = window.text(".row[data-name=code2Session] .details") or ""
    assert '"session_key": "' in details
    assert "…(24)" in details
    window.page.keyboard.press("Enter")
    assert window.page.is_hidden(".row[data-name=code2Session] .details")


def too_wide(window: Window, size: tuple[int, int]) -> list[str]:
    """What reaches over its edge, or the window's."""
    found: list[str] = window.page.evaluate(_TOO_WIDE, size[0])
    return found


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "400"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_it_fits_and_works_at_this_width(
    browser: Browser, deployment: Deployment, size: tuple[int, int], language: str
) -> None:
    with Window.open(browser, deployment.stack.url, size, language) as window:
        window.scene("old")
        assert window.text(".number") == "138****8000"
        assert too_wide(window, size) == []
        window.scene("new")
        assert too_wide(window, size) == []
        if size == DESKTOP:  # phone, buttons and the newest message at one glance
            assert window.page.evaluate("document.documentElement.scrollHeight") <= size[1]
        assert window.errors == []


def test_what_is_too_wide_is_found(window: Window) -> None:
    window.page.evaluate("document.querySelector('.why').textContent = 'W'.repeat(300)")
    assert too_wide(window, DESKTOP) != []


def test_what_the_browser_complains_of_is_found(window: Window) -> None:
    window.page.evaluate("console.error('broken')")
    window.page.evaluate("fetch('/_console/nothing')")
    window.page.evaluate("setTimeout(() => { throw new Error('thrown') })")
    window.page.wait_for_timeout(100)
    said = sorted(error.partition(" (")[0] for error in window.errors)
    assert said[1:] == ["broken", "thrown"]
    assert said[0].startswith("Failed to load resource")
    window.errors.clear()


def test_every_word_is_there_in_both_languages(window: Window) -> None:
    for scene in SCENES[1:]:
        window.scene(scene)
        assert all(why.text_content() for why in window.page.query_selector_all(".why"))
    window.page.click(".language")
    assert window.page.get_attribute("html", "lang") == "en"
    english = window.page.inner_text("main")
    assert [line for line in english.splitlines() if not line.isascii() and chinese(line)] == []
    window.page.click(".language")
    assert window.page.get_attribute("html", "lang") == "zh-CN"
    assert window.text(".scene[data-scene=lost]") == "响应丢失"


def chinese(line: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in line)


def test_the_kits_titles_follow_the_language(window: Window) -> None:
    window.page.click(".language")
    window.scene("refuse")
    assert window.text(".problem__title") == "Not authorised"
    window.scene("busy")
    assert window.text(".problem__title") == "WeChat is busy, please try again"
    window.page.click(".language")


def test_what_comes_from_outside_is_text_and_never_markup(
    window: Window, deployment: Deployment
) -> None:
    window.page.evaluate(
        "fetch('/session?verify=<img src=x onerror=window.broken=1>', "
        "{ headers: { authorization: 'Bearer <b>bold</b>' } })"
    )
    window.page.wait_for_selector(".row[data-name='GET /session'][data-kind=answer]")
    assert window.page.query_selector_all(".diagram img, .diagram .message b b") == []
    assert window.page.evaluate("window.broken") is None


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["1280", "400"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_everybody_can_read_every_scene(
    browser: Browser,
    deployment: Deployment,
    axe: str,
    size: tuple[int, int],
    scheme: Literal["light", "dark"],
    language: str,
) -> None:
    found: dict[str, list[str]] = {}
    with Window.open(browser, deployment.stack.url, size, language, scheme=scheme) as window:
        for scene in SCENES:
            window.scene(scene)
            window.page.click(".part:last-child .row:last-child .message")
            found[scene] = window.violations(axe)
    assert {scene: faults for scene, faults in found.items() if faults} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_the_buttons_while_a_scene_plays(
    browser: Browser, deployment: Deployment, axe: str, scheme: Literal["light", "dark"]
) -> None:
    found: list[tuple[str | None, list[str]]] = []
    with Window.open(browser, deployment.stack.url, scheme=scheme) as window:

        def look(route: Route) -> None:
            found.append((window.page.get_attribute("body", "data-busy"), window.violations(axe)))
            route.continue_()

        window.page.route("**/_console/acts/tap", look)
        window.scene("new")
        assert found == [("true", [])]


def test_what_is_too_pale_is_found(window: Window, axe: str) -> None:
    window.page.evaluate("document.querySelector('.why').style.color = '#999'")
    assert [each.split()[0] for each in window.violations(axe)] == ["color-contrast"]


def test_on_a_phone_a_scene_brings_its_messages_into_view(
    browser: Browser, deployment: Deployment
) -> None:
    with Window.open(browser, deployment.stack.url, PHONE) as window:
        window.page.evaluate("scrollTo(0, 0)")
        window.scene("new")
        top = window.page.evaluate("document.querySelector('.scroll').getBoundingClientRect().top")
        assert 0 <= top < PHONE[1] / 2


def test_it_speaks_the_language_of_the_browser(browser: Browser, deployment: Deployment) -> None:
    for locale, language in (("zh-TW", "zh-CN"), ("en-GB", "en"), ("de", "en")):
        with Window.open(browser, deployment.stack.url, language=locale) as window:
            assert window.page.get_attribute("html", "lang") == language


def test_what_is_said_of_a_failed_login_speaks_of_no_tap(
    window: Window, deployment: Deployment
) -> None:
    window.scene("busy")
    window.press(".logout")
    window.page.reload()  # a busy WeChat from the start
    window.page.wait_for_selector(".row[data-name='POST /login'][data-kind=answer]")
    window.rest()
    said = window.why("← POST /login wechat_unavailable (503)")
    assert "点击" not in said
    assert "自己再试" in said
    assert window.text(".login") == "微信服务繁忙，请稍后再试"
    window.scene("heal")
    assert (window.text(".login") or "").startswith("已登录")
