"""A market beside the one that the system serves, in which months are told with faults, and an API server that shows it."""

import os
import signal
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import httpx

from creditrisk.settings import PROJECT_ROOT, load_settings
from local import airflow, postgres
from local.demo_history import DemoHistory
from local.demo_month import Fault
from local.demo_removal import remove
from local.demo_telling import Wanted
from local.environment import PYTHON, process_environment
from local.java import java_home
from local.progress import Progress
from tests.e2e.system import System, free_ports, wait_until
from tests.local.own_market import OwnMarket

MARKET = "planted"
DECISIONS, MEASURED = 700, 3
"""A day, and of the last days."""
OVERDUE = 22
LIMITS = {"CREDITRISK_RESULTS__OVERDUE_DAYS": str(OVERDUE), "CREDITRISK_MONITORING__LEAST_ROWS": "100"}
"""For months of a few hundred decisions a day."""


class PlantedMarket:
    """Months of life told one after the other; each look of the watch is its task's own, as of now, at the real parts."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        with self._as_its_processes():
            self.settings = load_settings()
        # In the hours after a night it is not late yet, so the history ends with the one before.
        self._now = datetime.now(UTC) - timedelta(minutes=self.settings.alerts.nightly_late_minutes)
        self.market = OwnMarket((self._now - timedelta(days=3)).date(), self._now)
        self.market.make(self.settings)

    @property
    def long(self) -> int:
        """Days of a history that reaches into a month whose outcomes are overdue by now, on the last two days of it, too."""
        last = self._now.date() - timedelta(days=1)
        month_end = last.replace(day=1) - timedelta(days=1)
        if (last - month_end).days < OVERDUE + 2:
            month_end = month_end.replace(day=1) - timedelta(days=1)
        return (last - month_end).days + 8

    def tell(self, *faults: Fault, days: int) -> None:
        """Tell some days in place of what was told before."""
        remove(self.settings)
        wanted = Wanted(days, DECISIONS, self.market.seed, 0, MEASURED, frozenset(faults), with_report=False)
        DemoHistory(self.settings, wanted, Progress(), now=self._now).make()

    def look(self) -> dict[str, int]:
        """What the task of the DAG ``watch`` does, in this process."""
        with self._as_its_processes(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Airflow's own
            from plugins.watch_tasks import look_and_send

            return look_and_send()

    @contextmanager
    def _as_its_processes(self) -> Iterator[None]:
        with mock.patch.dict(os.environ, self._environment):
            yield


@contextmanager
def planted_market(system: System) -> Iterator[tuple[PlantedMarket, str]]:
    """The market, and the address of an API server of the same Airflow whose page shows it."""
    (port,) = free_ports(1)
    base = f"http://127.0.0.1:{port}"
    environment = {
        **_stack_environment(system),
        "CREDITRISK_MARKET": MARKET,
        "AIRFLOW__API__BASE_URL": base,
        **LIMITS,
    }
    own = {name: value for name, value in environment.items() if name.startswith(("CREDITRISK_", "AIRFLOW_"))}
    server = subprocess.Popen(
        [PYTHON, "-m", "airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)],
        cwd=PROJECT_ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        market = PlantedMarket(own)
        wait_until(lambda: _answers(base), "the planted market's API server answers", 60)
        yield market, base
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _stack_environment(system: System) -> dict[str, str]:
    """What the stack's Airflow was started with."""
    settings = system.settings
    with mock.patch.dict(os.environ, system.environment):
        of_processes = process_environment(settings, java_home(settings.var_dir / "java"))
    return airflow.configuration(settings, postgres.start(settings).airflow, of_processes)


def _answers(base: str) -> bool:
    try:
        return httpx.get(f"{base}/api/v2/version", timeout=2).is_success
    except httpx.HTTPError:
        return False
