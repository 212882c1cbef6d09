"""`python -m local.console.screenshot`: both pictures of the console in docs/, after three scenes.

A login, a tap, and a tap whose reply got lost, in a headless Chromium of this machine, as high as
the diagram needs.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from local import console
from local.console.browser import ARGUMENTS, chromium
from local.runtime import functions_write_to

_WIDTH = 1280
_SCENES = ("new", "lost")


_PICTURES = {"en": Path("docs/console.png"), "zh-CN": Path("docs/console.zh-CN.png")}


def main() -> int:
    """Take the pictures and return the exit code."""
    executable = chromium()
    if executable is None:
        print("no Chromium here: apt-get install chromium", file=sys.stderr)
        return 1
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        functions_write_to(nowhere),
        console.start() as stack,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        for language, path in _PICTURES.items():
            _take(browser, stack.url, language, path)
        browser.close()
    return 0


def _take(browser: Browser, url: str, language: str, path: Path) -> None:
    page = browser.new_page(
        viewport={"width": _WIDTH, "height": 800},
        reduced_motion="reduce",
        color_scheme="light",
        locale=language,
    )
    page.goto(f"{url}/")
    page.wait_for_selector("body[data-busy=false]")
    for scene in _SCENES:
        page.click(f".scene[data-scene={scene}]")
        page.wait_for_selector("body[data-busy=false]")
    page.mouse.move(0, 0)
    hidden = page.evaluate(
        "() => { const { scrollHeight, clientHeight } = document.querySelector('.scroll');"
        " return scrollHeight - clientHeight }"
    )
    page.set_viewport_size({"width": _WIDTH, "height": 800 + hidden})
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    sys.exit(main())
