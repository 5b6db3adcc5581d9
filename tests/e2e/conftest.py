import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser

from local.generate_loans import generate_loans
from tests.e2e.browsing import chromium
from tests.e2e.system import PORTS, System, command, free_ports, processes_of

signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that the fixture below still cleans up

CUSTOMERS, DAYS, SEED = 2000, 730, 11

LAST = "test_operators_page.py"
"""It generates a month of nights and decisions, which the other files' tests need not meet."""

CANARY = {
    "JUDGE_INTERVAL_SECONDS": "1",
    "STEP_LEAST_SECONDS": "0",
    "LEAST_CUSTOMERS": "400",
    "APPROVAL_SHIFT_LIMIT": "0.08",
    "GROUP_APPROVAL_SHIFT_LIMIT": "0.16",
    "PROBLEM_SHARE_LIMIT": "0.05",
    "SLOW_SHARE_LIMIT": "0.1",
}
"""Seconds for hours, and limits wide enough to be told from a few hundred customers."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The system after its first walk from a loans file to decisions. Nothing of it is left at the end."""
    folder = tmp_path_factory.mktemp("a whole system")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CREDITRISK_")}
    environment["CREDITRISK_VAR_DIR"] = str(folder / "var")
    environment.update((name, str(port)) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True))
    environment.update((f"CREDITRISK_CANARY__{name}", value) for name, value in CANARY.items())
    newest = datetime.now(UTC).date() - timedelta(days=1)
    loans = folder / "own loans.csv"
    generate_loans(loans, customers=CUSTOMERS, days=DAYS, seed=SEED, newest=newest)
    try:
        ran = command(environment, "run", "--loans", str(loans))
        assert ran.returncode == 0, ran.stdout
        yield System(environment, loans, newest, ran.stdout)
    finally:
        stopped = command(environment, "stop")
        assert stopped.returncode == 0, stopped.stdout
        assert processes_of(folder / "var") == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for each file that asks for it: while it lives, its event loop runs in this thread, and no other can."""
    with chromium() as browser:
        yield browser
