"""A person's browser on the operators' page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from local import airflow
from local.screenshots import BROWSERS, FLAGS
from tests.e2e.system import System


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser itself, without a window."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Seen:
    """Somebody's browser, logged in or not, which notes what went wrong in it."""

    def __init__(self, system: System, browser: Browser, user: str | None, base: str | None = None) -> None:
        self.base = base or airflow.base_url(system.settings)
        self.context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.elsewhere: list[str] = []
        if user:
            self._log_in(user, airflow.passwords(system.settings)[user])
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.problems.append(said.text))
        self.page.on("request", self._note)

    def _log_in(self, user: str, password: str) -> None:
        self.page.goto(self.base, wait_until="domcontentloaded")
        self.page.fill('input[name="username"]', user)
        self.page.fill('input[name="password"]', password)
        self.page.click('button[type="submit"]')
        expect(self.page.locator('input[name="username"]')).to_have_count(0)
        expect(self.page.get_by_text("Dag Runs").first).to_be_visible(timeout=20_000)

    def _note(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def open(self, path: str) -> int:
        """Open a view by its path; the status."""
        answer = self.page.goto(f"{self.base}/operators/{path}", wait_until="load")
        assert answer is not None
        return answer.status

    def text(self) -> str:
        """Of the view."""
        return self.page.locator("main").inner_text()
