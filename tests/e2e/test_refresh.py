"""Rerun, backfilled, killed, refused: what is served stays right."""

from datetime import timedelta

from creditrisk.storage import Storage
from tests.e2e.system import (
    System,
    clear,
    freeze_build,
    held_table,
    kill_task,
    spark_processes,
    wait_until,
    without_watch,
)

DAG = "refresh_features"


def test_running_the_date_again_changes_nothing(system: System) -> None:
    before = (system.served(), system.catalog.lake.keys())
    run_id, state = system.run_dag(DAG, {"as_of": str(system.newest)})
    assert state == "success"
    assert system.states(DAG, run_id) == dict.fromkeys(
        ("build_features", "quality_gate", "publish"), "success"
    )
    assert (system.served(), system.catalog.lake.keys()) == before


def test_a_build_killed_midway_leaves_no_process_and_ends_the_same_when_run_again(system: System) -> None:
    as_of = system.newest - timedelta(days=60)
    form = {"as_of": str(as_of), "landed_until": str(system.newest)}
    with system.login() as client:
        run_id = client.trigger(DAG, form)
        freeze_build(system, as_of)
        task = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/build_features"
        killed = client.request("PATCH", task, json={"new_state": "failed"})
        assert killed.is_success, killed.text
        wait_until(lambda: spark_processes(system) == [], "the JVM and its driver are gone")
        assert client.wait(DAG, run_id, 300) == "failed"
        assert system.catalog.current(as_of) is None
        clear(client, DAG, run_id)
        assert client.wait(DAG, run_id, 600) == "success"
    snapshot = system.catalog.current(as_of)
    assert snapshot is not None
    before = system.catalog.lake.keys()
    _, state = system.run_dag(DAG, form)
    assert state == "success"
    assert system.catalog.current(as_of) == snapshot
    assert system.catalog.lake.keys() == before


def test_a_run_whose_every_task_has_its_process_killed_outright_ends_the_same_when_they_run_again(
    system: System,
) -> None:
    before = (system.served(), system.catalog.lake.keys())
    with system.login() as client, without_watch(client):
        run_id = client.trigger(DAG, {"as_of": str(system.newest)})
        freeze_build(system, system.newest)
        kill_task(client, DAG, run_id, "build_features")
        wait_until(lambda: spark_processes(system) == [], "the JVM and its driver are gone")
        with held_table(system, "publications") as somebody_waits:
            clear(client, DAG, run_id, "build_features")
            wait_until(somebody_waits, "the quality gate looks for the snapshot published before")
            kill_task(client, DAG, run_id, "quality_gate")
        with held_table(system, "current_snapshot") as somebody_waits:
            clear(client, DAG, run_id, "quality_gate")
            wait_until(somebody_waits, "publishing looks for what is served")
            kill_task(client, DAG, run_id, "publish")
        clear(client, DAG, run_id, "publish")
        assert client.wait(DAG, run_id, 600) == "success"
        tries = {name: task["try_number"] for name, task in client.tasks(DAG, run_id).items()}
    assert tries == {"build_features": 2, "quality_gate": 2, "publish": 2}
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
    run_id, state = system.run_dag(DAG, {"as_of": str(day)})
    assert state == "failed"
    assert system.states(DAG, run_id) == {
        "build_features": "success",
        "quality_gate": "failed",
        "publish": "upstream_failed",
    }
    with system.login() as client:
        assert client.tasks(DAG, run_id)["quality_gate"]["try_number"] == 1
    assert "quarantined" in system.log(DAG, run_id, "quality_gate")
    assert system.served() == served


def test_a_date_before_anything_landed_fails_in_plain_words(system: System) -> None:
    day = system.newest - timedelta(days=5)
    with system.login() as client:
        run_id = client.trigger(DAG, {"as_of": str(day)})
        wait_until(
            lambda: client.tasks(DAG, run_id)["build_features"]["state"] in ("up_for_retry", "failed"),
            "the build has failed",
        )
        log = "\n".join(client.log(DAG, run_id, "build_features"))
        assert "landed" in log
        assert str(day) in log
        client.request("PATCH", f"/dags/{DAG}/dagRuns/{run_id}", json={"state": "failed"})


# Last: after its first backfill Airflow also runs the nightly's latest slot, which other runs would wait for.
def test_a_backfilled_past_date_is_built_and_judged_and_not_published(system: System) -> None:
    past = system.newest - timedelta(days=30)
    slot = f"{past + timedelta(days=1)}T02:00:00Z"
    served = system.served()
    with system.login() as client:
        asked = client.request(
            "POST",
            "/backfills",
            json={
                "dag_id": DAG,
                "from_date": slot,
                "to_date": slot,
                "dag_run_conf": {"landed_until": str(system.newest)},
            },
        )
        assert asked.is_success, asked.text

        def backfilled() -> list[dict[str, str]]:
            runs = client.request("GET", f"/dags/{DAG}/dagRuns", params={"run_type": "backfill"}).json()
            found: list[dict[str, str]] = runs["dag_runs"]
            return found

        wait_until(lambda: backfilled() != [], "the backfill has made its run")
        run_id = backfilled()[0]["dag_run_id"]
        assert client.wait(DAG, run_id, 600) == "success"
    assert system.states(DAG, run_id) == {
        "build_features": "success",
        "quality_gate": "success",
        "publish": "skipped",
    }
    snapshot = system.catalog.current(past)
    assert snapshot is not None
    assert system.catalog.manifest(snapshot).newest_loan_date == past
    assert served[0] in system.log(DAG, run_id, "publish")
    assert system.served() == served
