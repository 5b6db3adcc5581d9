"""From a landed file to a decision, through the real scheduler, checked against the raw loans by hand."""

import csv
from datetime import date
from typing import Any

import numpy as np
import pytest

from tests.e2e.system import System, command


def features_by_hand(system: System, customer: int) -> dict[str, Any]:
    """A customer's online row straight from the raw rows, with nothing of ours in between."""
    with system.loans.open() as file:
        rows = [row for row in csv.DictReader(file) if row["id"] == str(customer)]
    rows.sort(key=lambda row: (row["loan_date"], int(row["loan_id"])))
    newest = rows[-1]
    before = [float(row["loan_amount"]) for row in rows if row["loan_date"] < newest["loan_date"]]
    job_start = date.fromisoformat(newest["job_start_date"])
    as_of = system.newest
    return {
        "age": (as_of - date.fromisoformat(newest["birthday"])).days // 365,
        "years_on_the_job": None if job_start > as_of else (as_of - job_start).days // 365,
        "nb_previous_loans": len(rows) - 1,
        "avg_amount_loans_previous": pytest.approx(sum(before) / len(before), rel=1e-12) if before else None,
        "flag_own_car": {"Y": 1, "N": 0}[newest["flag_own_car"]],
    }


def good_customers(system: System, count: int) -> list[int]:
    """Customers, from the end of the file: its deliberately bad rows are at its beginning."""
    with system.loans.open() as file:
        ids = dict.fromkeys(int(row["id"]) for row in csv.DictReader(file) if row["id"].isdecimal())
    return list(ids)[-count:]


def test_decisions_are_what_the_raw_loans_and_the_registered_model_say(system: System) -> None:
    record = system.ledger.newest()
    assert record is not None
    model = system.registry.load(record.champion)
    seen = set()
    for customer in good_customers(system, 40):
        answer = system.ask("POST", "/predict", json={"id": customer}).json()
        expected = features_by_hand(system, customer)
        assert answer["features"] == expected, customer
        row = [np.nan if value is None else value for value in answer["features"].values()]
        probability = model.model.predict_proba(np.array([row], dtype=float))[0, 1]
        assert answer["probability"] == pytest.approx(probability, abs=1e-12)
        assert answer["decision"] == int(probability >= model.manifest.threshold)
        assert answer["model_version"] == record.champion
        assert answer["snapshot"] == str(system.catalog.current(system.newest))
        seen.add(answer["decision"])
    assert seen == {0, 1}


def test_the_first_clients_call_gets_a_bare_number(system: System) -> None:
    customer = good_customers(system, 1)[0]
    decision = system.ask("POST", "/predict", json={"id": customer}).json()["decision"]
    assert system.ask("POST", "/", json={"id": str(customer)}).json() == decision


def test_every_step_is_a_green_run_in_airflow(system: System) -> None:
    with system.login("viewer") as client:
        for dag_id in ("refresh_features", "train_model", "promote_model"):
            runs = client.request("GET", f"/dags/{dag_id}/dagRuns", params={"order_by": "run_after"}).json()
            first = runs["dag_runs"][0]
            assert (first["state"], first["run_type"], first["triggering_user_name"]) == (
                "success",
                "manual",
                "op",
            )
            assert {task["state"] for task in client.tasks(dag_id, first["dag_run_id"]).values()} == {
                "success"
            }


def test_the_release_record_names_the_operator_and_the_reason(system: System) -> None:
    first = system.ledger.history()[0]
    assert (first.number, first.action, first.by, first.reason) == (
        1,
        "promote",
        "op",
        "Trained by make run",
    )


def test_the_build_s_log_ends_with_what_became_of_the_rows(system: System) -> None:
    with system.login() as client:
        runs = client.request(
            "GET", "/dags/refresh_features/dagRuns", params={"order_by": "run_after"}
        ).json()
        run_id = runs["dag_runs"][0]["dag_run_id"]
        lines = client.log("refresh_features", run_id, "build_features")
    counts = system.catalog.manifest(system.catalog.current(system.newest)).counts  # type: ignore[arg-type]
    end = "\n".join(lines[-20:])
    for count in (counts.rows_in, counts.kept, counts.quarantined):
        assert f"{count:,}" in end or str(count) in end
    assert len(lines) < 100


def test_the_summary_has_decisions_addresses_and_the_login(system: System) -> None:
    for word in (
        "Decisions",
        "/docs",
        "login admin /",
        f"API key: {system.key}",
        "workers: ",
        "make stop",
        f"http://127.0.0.1:{system.settings.airflow_port}",
        f"http://127.0.0.1:{system.settings.airflow_port}/plugin/operators",
    ):
        assert word in system.output
    assert str(system.settings.publisher_database_url.get_secret_value()) not in system.output  # type: ignore[union-attr]


def test_secrets_are_readable_by_their_owner_only(system: System) -> None:
    for name in ("creditrisk.env", "airflow/passwords.json", "airflow/jwt_secret"):
        assert (system.var_dir / name).stat().st_mode & 0o077 == 0, name


def test_nobody_else_gets_at_the_loans(system: System) -> None:
    assert system.var_dir.stat().st_mode & 0o077 == 0


def test_status_says_that_everything_is_up(system: System) -> None:
    answered = command(system.environment, "status")
    assert answered.returncode == 0
    assert "down" not in answered.stdout
