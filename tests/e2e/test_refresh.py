"""Rerun, backfilled, killed, refused: what is served stays right."""

import time
from datetime import timedelta

import psutil
import pytest

from creditrisk.storage import Storage
from tests.e2e.system import System, spark_processes


def test_running_the_date_again_changes_nothing(system: System) -> None:
    before = (system.served(), system.catalog.lake.keys())
    run_id, state = system.run_dag("refresh_features", {"as_of": str(system.newest)})
    assert state == "success"
    assert system.states("refresh_features", run_id) == dict.fromkeys(
        ("build_features", "quality_gate", "publish"), "success"
    )
    assert (system.served(), system.catalog.lake.keys()) == before


def test_a_backfilled_past_date_is_built_and_judged_and_not_published(system: System) -> None:
    past = system.newest - timedelta(days=30)
    slot = f"{past + timedelta(days=1)}T02:00:00Z"
    served = system.served()
    with system.login() as client:
        asked = client.request(
            "POST",
            "/backfills",
            json={
                "dag_id": "refresh_features",
                "from_date": slot,
                "to_date": slot,
                "dag_run_conf": {"landed_until": str(system.newest)},
            },
        )
        assert asked.is_success, asked.text
        found: list[dict[str, str]] = []
        deadline = time.monotonic() + 30
        while not found and time.monotonic() < deadline:
            runs = client.request(
                "GET", "/dags/refresh_features/dagRuns", params={"run_type": "backfill"}
            ).json()
            found = runs["dag_runs"]
            time.sleep(0.5)
        run_id = found[0]["dag_run_id"]
        assert client.wait("refresh_features", run_id, 600) == "success"
    assert system.states("refresh_features", run_id) == {
        "build_features": "success",
        "quality_gate": "success",
        "publish": "skipped",
    }
    snapshot = system.catalog.current(past)
    assert snapshot is not None
    assert system.catalog.manifest(snapshot).newest_loan_date == past
    assert served[0] in system.log("refresh_features", run_id, "publish")
    assert system.served() == served


def test_a_build_killed_midway_leaves_no_process_and_ends_the_same_when_run_again(system: System) -> None:
    as_of = system.newest - timedelta(days=60)
    form = {"as_of": str(as_of), "landed_until": str(system.newest)}
    with system.login() as client:
        run_id = client.trigger("refresh_features", form)
        deadline = time.monotonic() + 60
        while len(spark_processes(system)) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(spark_processes(system)) >= 2
        time.sleep(3)  # into its work
        task = f"/dags/refresh_features/dagRuns/{run_id}/taskInstances/build_features"
        killed = client.request("PATCH", task, json={"new_state": "failed"})
        assert killed.is_success, killed.text
        deadline = time.monotonic() + 60
        while spark_processes(system) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert spark_processes(system) == []
        assert client.wait("refresh_features", run_id, 60) == "failed"
        assert system.catalog.current(as_of) is None
        cleared = client.request(
            "POST",
            "/dags/refresh_features/clearTaskInstances",
            json={"dry_run": False, "dag_run_id": run_id, "only_failed": False},
        )
        assert cleared.is_success, cleared.text
        time.sleep(1)
        assert client.wait("refresh_features", run_id, 600) == "success"
    snapshot = system.catalog.current(as_of)
    assert snapshot is not None
    before = system.catalog.lake.keys()
    _, state = system.run_dag("refresh_features", form)
    assert state == "success"
    assert system.catalog.current(as_of) == snapshot
    assert system.catalog.lake.keys() == before


@pytest.mark.parametrize("task_id", ["build_features", "quality_gate", "publish"])
def test_a_task_whose_process_is_killed_outright_ends_the_same_when_run_again(
    system: System, task_id: str
) -> None:
    before = (system.served(), system.catalog.lake.keys())
    with system.login() as client:
        run_id = client.trigger("refresh_features", {"as_of": str(system.newest)})
        task = {"state": None, "pid": None}
        deadline = time.monotonic() + 300
        while not (task["state"] == "running" and task["pid"]) and time.monotonic() < deadline:
            task = client.tasks("refresh_features", run_id).get(task_id, task)
        if task_id == "build_features":
            while len(spark_processes(system)) < 2 and time.monotonic() < deadline:
                time.sleep(0.2)
        psutil.Process(task["pid"]).kill()
        while client.tasks("refresh_features", run_id)[task_id]["state"] == "running":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        psutil.wait_procs(spark_processes(system), timeout=10)
        assert spark_processes(system) == []
        cleared = client.request(
            "POST",
            "/dags/refresh_features/clearTaskInstances",
            json={"dry_run": False, "dag_run_id": run_id, "only_failed": False, "task_ids": [task_id]},
        )
        assert cleared.is_success, cleared.text
        time.sleep(1)
        assert client.wait("refresh_features", run_id, 600) == "success"
        assert client.tasks("refresh_features", run_id)[task_id]["try_number"] == 2
    assert (system.served(), system.catalog.lake.keys()) == before


def test_a_snapshot_that_fails_the_gate_is_not_served(system: System) -> None:
    served = system.served()
    day = system.newest + timedelta(days=1)
    lines = system.loans.read_text().splitlines()
    flag = lines[0].split(",").index("flag_own_car")
    key = lines[0].split(",").index("loan_id")
    spoilt = [lines[0]]
    for number, line in enumerate(lines[-8000:]):
        fields = line.split(",")
        fields[key], fields[flag] = str(900_000_000 + number), "maybe"
        spoilt.append(",".join(fields))
    Storage(system.settings.lake_root).create(
        f"raw/loans/{day}/spoilt.csv", "\n".join([*spoilt, ""]).encode()
    )
    run_id, state = system.run_dag("refresh_features", {"as_of": str(day)})
    assert state == "failed"
    assert system.states("refresh_features", run_id) == {
        "build_features": "success",
        "quality_gate": "failed",
        "publish": "upstream_failed",
    }
    with system.login() as client:
        assert client.tasks("refresh_features", run_id)["quality_gate"]["try_number"] == 1
    assert "quarantined" in system.log("refresh_features", run_id, "quality_gate")
    assert system.served() == served


def test_a_date_before_anything_landed_fails_in_plain_words(system: System) -> None:
    day = system.newest - timedelta(days=5)
    with system.login() as client:
        run_id = client.trigger("refresh_features", {"as_of": str(day)})
        deadline = time.monotonic() + 90
        state = ""
        while state not in ("up_for_retry", "failed") and time.monotonic() < deadline:
            state = client.tasks("refresh_features", run_id).get("build_features", {}).get("state") or ""
            time.sleep(0.5)
        assert state in ("up_for_retry", "failed")
        log = "\n".join(client.log("refresh_features", run_id, "build_features"))
        assert "landed" in log
        assert str(day) in log
        client.request("PATCH", f"/dags/refresh_features/dagRuns/{run_id}", json={"state": "failed"})
