"""A browser window that shows the console: what stands in it, and what can be pressed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self

from playwright.sync_api import Browser, ConsoleMessage, Page, Response, Route

DESKTOP = (1280, 800)
PHONE = (400, 800)
_SECONDS_20 = 20_000
_VIOLATIONS = """() => axe.run(document, { runOnly: ['wcag2a', 'wcag2aa'] }).then(found => (
    found.violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => (
        [id, target, failureSummary.split('\\n')[1]].join(' '))))))"""


class Window:
    """The console in a browser.

    Attributes:
        errors: What the browser complained of. A status of the API's that is not 2xx is none:
            browsers report each, and the scenes are about them.
        bodies: What was received from the same host, by path.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.bodies: list[tuple[str, str]] = []
        self._url = url
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("response", self._response)

    @classmethod
    @contextmanager
    def open(
        cls,
        browser: Browser,
        url: str,
        size: tuple[int, int] = DESKTOP,
        language: str = "zh-CN",
        *,
        scheme: Literal["light", "dark"] = "light",
        broken_kit: tuple[str, str] | None = None,
    ) -> Iterator[Self]:
        """Open one; in a broken kit the second text stands in place of the first."""
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",
            color_scheme=scheme,
            locale=language,
        )
        page = context.new_page()
        page.set_default_timeout(_SECONDS_20)
        window = cls(page, url)
        if broken_kit:

            def broken(route: Route) -> None:
                body = route.fetch().text()
                assert broken_kit[0] in body
                route.fulfill(body=body.replace(*broken_kit), content_type="text/javascript")

            page.route("**/_console/kit/index.js", broken)
        page.goto(f"{url}/")
        window.rest()
        yield window
        context.close()

    def begin(self) -> None:
        """Be as new: loaded again where a test left it at work, else with a new phone."""
        self.bodies.clear()
        self.errors.clear()
        if self.page.get_attribute("body", "data-busy") != "false":
            self.page.reload()
            self.rest()
        self.scene("reset")

    def rest(self) -> None:
        """Wait until what was pressed is over."""
        self.page.wait_for_selector("body[data-busy=false]")

    def scene(self, name: str) -> None:
        """Press one of the console's buttons."""
        self.page.click(f".scene[data-scene={name}]")
        self.rest()

    def press(self, selector: str) -> None:
        """Press a button on the phone."""
        self.page.click(f".phone {selector}")
        self.rest()

    def text(self, selector: str) -> str | None:
        """What the first such element says, or None."""
        found = self.page.query_selector(selector)
        return (found.text_content() or "").strip() if found else None

    def part(self, at: int = -1) -> list[str]:
        """The messages of one part of the diagram, the last by default, a line each."""
        parts = self.page.query_selector_all(".part")
        return [
            _line(*(row.get_attribute(f"data-{name}") or "" for name in _DATA))
            + (f" ({status.text_content()})" if (status := row.query_selector(".status")) else "")
            for row in parts[at].query_selector_all(".row")
        ]

    def why(self, line: str) -> str:
        """The sentence beside the last such message."""
        rows = self.page.query_selector_all(".part:last-child .row")
        lines = self.part()
        at = len(lines) - 1 - lines[::-1].index(line)
        sentence = rows[at].query_selector(".why")
        assert sentence
        return sentence.text_content() or ""

    def violations(self, axe: str) -> list[str]:
        """What axe-core's rules of WCAG 2 A and AA object to; contrast of 4.5:1 is one."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(axe)
        found: list[str] = self.page.evaluate(_VIOLATIONS)
        return found

    def _console(self, message: ConsoleMessage) -> None:
        address = message.location["url"]
        of_the_api = address.startswith(self._url) and "/_console" not in address
        if message.type in {"error", "warning"} and not (
            of_the_api and message.text.startswith("Failed to load resource: the server responded")
        ):
            self.errors.append(f"{message.text} ({address})")

    def _response(self, response: Response) -> None:
        path = response.url.removeprefix(self._url)
        if path != "/_console/events":  # which never ends
            self.bodies.append((path, response.text()))


_DATA = ("kind", "name", "target", "outcome")


def _line(kind: str, name: str, target: str, outcome: str) -> str:
    signs = {"request": "→", "answer": "←", "push": "⇒", "heard": "⇐", "work": "λ", "note": "!"}
    sign = signs.get(kind, "phone" if kind == "phone" else "")
    return " ".join(part for part in (sign.strip(), name, target, outcome) if part)
