"""Pictures of the running system for the documentation: ``python -m local.screenshots docs/images``.

The operators' page is best taken with a month behind it: ``make demo-history`` first.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from creditrisk.settings import Settings, load_settings
from local import airflow, stack
from local.progress import StackError, fail

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
_SIZE = {"width": 1360, "height": 820}
_SETTLE_MILLISECONDS = 2500
USER = "op"


def take(settings: Settings, folder: Path) -> list[Path]:
    """Take all pictures of a running system; the files.

    Raises:
        StackError: there is no browser.
    """
    browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser_path is None:
        raise StackError("no Chromium on the PATH: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    ui = airflow.base_url(settings)
    pictures = {
        "dags.png": f"{ui}/dags",
        "refresh_features.png": f"{ui}/dags/refresh_features",
        "train_model.png": f"{ui}/dags/train_model",
        "promote_model.png": f"{ui}/dags/promote_model",
        "operators_now.png": f"{ui}/plugin/operators",
        "operators_nights.png": f"{ui}/operators/nights",
        "operators_drift.png": f"{ui}/operators/drift",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        page = browser.new_page(viewport=_SIZE)  # type: ignore[arg-type]
        _log_in(page, settings)
        for name, url in pictures.items():
            page.goto(url, wait_until="domcontentloaded")
            page.wait_for_timeout(_SETTLE_MILLISECONDS)
            page.screenshot(path=folder / name)
        browser.close()
    return [folder / name for name in pictures]


def _log_in(page: Page, settings: Settings) -> None:
    page.goto(airflow.base_url(settings), wait_until="domcontentloaded")
    page.fill('input[name="username"]', USER)
    page.fill('input[name="password"]', airflow.passwords(settings)[USER])
    page.click('button[type="submit"]')
    page.wait_for_timeout(_SETTLE_MILLISECONDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Take the pictures; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(
        prog="python -m local.screenshots", description="Pictures of the running system."
    )
    parser.add_argument("folder", type=Path)
    try:
        for file in take(stack.as_started(load_settings()), parser.parse_args(argv).folder):
            print(file)
    except StackError as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
