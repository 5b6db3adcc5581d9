"""A dead machine's spool, shipped by hand."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from creditrisk.decisions import to_line
from creditrisk.online_store import OnlineStore
from creditrisk.settings import PROJECT_ROOT, Settings
from serving import spool as spool_module
from serving.segments import segment_files
from serving.ship import ship
from serving.spool import Spool
from tests.conftest import free_port
from tests.serving.test_shipping import left_by_a_dead_worker, logged
from tests.serving.test_spool import record


def run(settings: Settings, url: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "CREDITRISK_VAR_DIR": str(settings.var_dir),
        "CREDITRISK_MARKET": settings.market,
        "CREDITRISK_SERVICE_DATABASE_URL": url,
    }
    command = [sys.executable, "-m", "serving.ship"]
    return subprocess.run(
        command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_ships_what_nobody_owns_and_leaves_what_somebody_does(
    market_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MOST_ADOPTED", 2)
    OnlineStore(market_settings).migrate()
    for number in range(3):
        left_by_a_dead_worker(market_settings, to_line(record(number)))
    living = Spool(market_settings.spool_folder)
    living.start()
    living.append(record(3))
    said = asyncio.run(ship(market_settings)).splitlines()
    assert said == [
        f"3 segments of {market_settings.spool_folder} are in Postgres.",
        "1 belong to services that run, which ship them themselves.",
    ]
    assert logged(market_settings) == [0, 1, 2]
    assert len(segment_files(market_settings.spool_folder)) == 1
    living.close()


@pytest.fixture
def left(market_settings: Settings) -> Path:
    return left_by_a_dead_worker(market_settings, to_line(record(1)))


def test_the_command_says_what_came_of_it(market_settings: Settings, left: Path) -> None:
    OnlineStore(market_settings).migrate()
    down = run(market_settings, f"postgresql://somebody:hush@127.0.0.1:{free_port()}/none")
    assert (down.returncode, left.exists()) == (1, True)
    assert "Postgres (decision log)" in down.stderr
    assert "Traceback" not in down.stderr
    assert "hush" not in down.stderr
    assert market_settings.service_database_url
    done = run(market_settings, market_settings.service_database_url.get_secret_value())
    assert (done.returncode, left.exists()) == (0, False)
    assert done.stdout.startswith("1 segments of ")
