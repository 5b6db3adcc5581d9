"""Trained, refused, promoted and rolled back through Airflow's forms."""

from typing import Any

import pytest

from tests.e2e.system import System


@pytest.mark.parametrize(
    ("dag_id", "form", "field"),
    [
        ("refresh_features", {"as_of": "2020-13-45"}, "as_of"),
        ("refresh_features", {"as_of": "yesterday"}, "as_of"),
        ("refresh_features", {"publish_older": "maybe"}, "publish_older"),
        ("train_model", {"spec": "magic"}, "spec"),
        ("train_model", {"seed": -1}, "seed"),
        ("train_model", {"snapshot": "newest"}, "snapshot"),
        ("promote_model", {"version": "2020-12-31-0123456789", "reason": "no"}, "reason"),
        ("promote_model", {"version": "2020-12-31-0123456789", "reason": "      "}, "reason"),
        ("promote_model", {"version": "the good one", "reason": "because I can"}, "version"),
        ("promote_model", {"reason": "because I can"}, "version"),
        ("roll_back_model", {}, "reason"),
        ("roll_back_model", {"to": "../../etc", "reason": "because I can"}, "to"),
    ],
)
def test_a_form_refuses_what_makes_no_sense(
    system: System, dag_id: str, form: dict[str, Any], field: str
) -> None:
    with system.login() as client:
        answer = client.request("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": form})
    assert answer.status_code == 400
    assert f"param {field}" in answer.text


def test_a_viewer_may_look_and_not_trigger(system: System) -> None:
    with system.login("viewer") as client:
        assert client.request("GET", "/dags/promote_model").status_code == 200
        answer = client.request(
            "POST",
            "/dags/roll_back_model/dagRuns",
            json={"logical_date": None, "conf": {"reason": "because"}},
        )
    assert answer.status_code == 403


def test_an_unknown_version_is_refused_in_words(system: System) -> None:
    before = system.ledger.history()
    run_id, state = system.run_dag(
        "promote_model", {"version": "2020-12-31-0123456789", "reason": "a typing error"}
    )
    assert state == "failed"
    assert system.states("promote_model", run_id) == {"check": "failed", "promote": "upstream_failed"}
    assert "2020-12-31-0123456789" in system.log("promote_model", run_id, "check")
    assert system.ledger.history() == before


def test_another_model_is_trained_promoted_and_rolled_back_while_the_service_answers(system: System) -> None:
    first = system.ledger.history()[-1].champion
    run_id, state = system.run_dag("train_model", {"spec": "boosting", "seed": 3})
    assert state == "success", system.log("train_model", run_id, "register")
    with system.login() as client:
        second = client.result("train_model", run_id, "register")
    assert second != first
    assert system.ask("GET", "/model").json()["version"] == first  # training changes nothing that serves

    _, state = system.run_dag("promote_model", {"version": second, "reason": "Boosting for a change"})
    assert state == "success"
    system.wait_for_model(second)
    _, state = system.run_dag("promote_model", {"version": second, "reason": "Once more"})
    assert state == "success"
    _, state = system.run_dag("roll_back_model", {"reason": "The first was better"})
    assert state == "success"
    system.wait_for_model(first)

    promoted, rolled_back = system.ledger.history()[-2:]
    assert (promoted.action, promoted.champion, promoted.by, promoted.reason) == (
        "promote", second, "op", "Boosting for a change",
    )  # fmt: skip
    assert (rolled_back.action, rolled_back.champion, rolled_back.by, rolled_back.reason) == (
        "roll back", first, "op", "The first was better",
    )  # fmt: skip
    assert rolled_back.number == promoted.number + 1


def test_a_refused_model_is_registered_as_refused_and_cannot_be_promoted(system: System) -> None:
    env_file = system.var_dir / "creditrisk.env"
    kept = env_file.read_text()
    env_file.write_text(
        kept + "CREDITRISK_MODEL_GATE__ROC_AUC_LEAK=0.5\nCREDITRISK_MODEL_GATE__ROC_AUC_FLOOR=0.49\n"
    )
    try:
        run_id, state = system.run_dag("train_model", {"seed": 5})
    finally:
        env_file.write_text(kept)
    assert state == "failed"
    assert system.states("train_model", run_id) == {
        "train": "success",
        "gate": "success",
        "register": "failed",
    }
    last = system.log("train_model", run_id, "register")
    assert "is registered as refused: " in last
    with system.login() as client:
        version = client.result("train_model", run_id, "train")
        verdict = client.result("train_model", run_id, "gate")
    manifest = system.registry.manifest(version)
    assert (verdict["verdict"], verdict["reasons"]) == (str(manifest.gate.verdict), manifest.gate.reasons)
    assert verdict["verdict"] == "refused"
    assert any("leak" in reason for reason in verdict["reasons"])

    before = system.ledger.history()
    run_id, state = system.run_dag("promote_model", {"version": version, "reason": "I want it anyway"})
    assert state == "failed"
    assert "refused" in system.log("promote_model", run_id, "check")
    assert system.ledger.history() == before
