"""Decisions made by the service, made again from what was kept: the same, or what differs, or what cannot be said."""

import asyncio
import json
import math
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decision_store import decision_of
from creditrisk.decisions import Arm, DecisionRecord, LoanAsked, from_line, to_line
from creditrisk.refresh import publish_snapshot
from creditrisk.registry import version_folder
from creditrisk.release_ledger import promote
from creditrisk.removals import Kind, record_removal
from creditrisk.settings import PROJECT_ROOT, Settings
from creditrisk.storage import Storage
from local import postgres as embedded
from serving.comparison import Comparison
from serving.replay import replay
from tests.creditrisk.snapshot_factory import SnapshotFactory
from tests.keys import HEADER
from tests.serving.conftest import Market, open_client
from tests.serving.service_process import SLIM_PYTHON, ServiceProcess, wait_until

CUSTOMERS = range(1, 41)
NEW_CUSTOMER = {
    "id": 999,
    "loan": "next",
    "birthday": "1990-05-17",
    "job_start_date": None,
    "flag_own_car": 1,
}
QUESTIONS: dict[str, dict[str, Any]] = {
    **{f"newest of {customer}": {"id": customer} for customer in (1, 2, 3)},
    "next": {"id": 4, "loan": "next", "as_of": "2021-02-01"},
    "next today": {"id": 5, "loan": "next"},
    "new customer": NEW_CUSTOMER,
    "explained": {"id": 6, "explain": True},
    "explained new customer": {**NEW_CUSTOMER, "explain": True},
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Played:
    """A market in which decisions were made, by versions one of which serves no longer."""

    settings: Settings
    versions: list[str]
    snapshot: str
    records: dict[str, DecisionRecord]

    def replay(self, record: DecisionRecord, **settings: Any) -> Comparison:
        return asyncio.run(replay(self.settings.model_copy(update=settings), record))

    @property
    def from_the_lake(self) -> dict[str, Any]:
        """Settings without a database, as when the snapshot's table is gone."""
        return {"service_database_url": None, "publisher_database_url": None}


@pytest.fixture(scope="module")
def played(postgres: embedded.Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    settings = Settings(
        _env_file=None,
        var_dir=tmp_path_factory.mktemp("replayed [*] ñ") / "var",
        market=f"t{uuid.uuid4().hex[:12]}",
        publisher_database_url=postgres.publisher,
        service_database_url=postgres.service,
    )
    market = Market(settings)
    snapshot = SnapshotFactory(settings).write(date(2020, 12, 31), CUSTOMERS, parts=3).snapshot
    publish_snapshot(settings, snapshot)
    versions = [market.register(1, threshold=0.15), market.register(2, threshold=0.18)]
    market.release(versions[0])
    with open_client(settings) as client:
        wait_until(lambda: client.get("/health/ready").status_code == 200)
        ids = {name: decided(client, question) for name, question in QUESTIONS.items()}
        batch = client.post("/predict/batch", json={"ids": list(CUSTOMERS)[:8]}).json()["decisions"]
        ids |= {f"batch {one['id']}": one["decision_id"] for one in batch}
        for share in (0.0, 0.5):
            market.challenge(versions[1], share)
            wait_until(lambda: challenged(client, share))  # noqa: B023  used at once
            ids |= {
                f"paired at {share:g}, {n}": decided(client, {"id": n, "explain": n == 7})
                for n in range(7, 15)
            }
        promote(settings, versions[1], by="a test", reason="to serve it")
    records = {name: found(settings, decision_id) for name, decision_id in ids.items()}
    yield Played(settings, versions, snapshot, records)
    market.store.run("DROP SCHEMA {} CASCADE")


def decided(client: httpx.Client, question: dict[str, Any]) -> str:
    answered = client.post("/predict", json=question)
    assert answered.status_code == 200, answered.text
    return str(answered.json()["decision_id"])


def challenged(client: httpx.Client, share: float) -> bool:
    receipt = client.get(f"/decisions/{decided(client, {'id': 1})}").json()
    release = {0.0: 2, 0.5: 3}[share]
    return bool(receipt["release"] == release and receipt["paired"]["challenger_probability"])


def found(settings: Settings, decision_id: str) -> DecisionRecord:
    assert settings.service_database_url
    url = settings.service_database_url.get_secret_value()
    return asyncio.run(decision_of(url, settings.database_schema, decision_id))


def differing(comparison: Comparison) -> dict[str, tuple[Any, Any]]:
    assert comparison.verdict == "differs"
    return {one.what: (one.recorded, one.replayed) for one in comparison.differences}


def test_every_decision_is_the_same_from_the_store_and_from_the_lake(played: Played) -> None:
    arms = {record.arm for record in played.records.values()}
    assert arms == {Arm.CHAMPION, Arm.CHALLENGER}
    assert {record.decision for record in played.records.values()} == {0, 1}
    for name, record in played.records.items():
        for settings in ({}, played.from_the_lake):
            comparison = played.replay(record, **settings)
            assert (name, comparison.verdict, comparison.lines()[1:]) == (name, "same", [])
            assert {*FEATURE_NAMES, "probability", "threshold", "decision", "arm"} < set(comparison.compared)


def test_reasons_and_both_versions_scores_are_replayed_too(played: Played) -> None:
    reasons = played.records["explained new customer"].reasons
    assert reasons
    compared = played.replay(played.records["explained new customer"]).compared
    assert f"reason {reasons[0]['code']}: contribution" in compared
    assert f"reason {reasons[0]['code']}: sentence" in compared
    paired = played.replay(played.records["paired at 0.5, 7"]).compared
    assert {
        "champion_probability",
        "champion_threshold",
        "challenger_probability",
        "challenger_threshold",
    } < set(paired)
    own = [what for what in paired if what.endswith("by the model's own predict_proba")]
    assert len(own) == 2  # each of the two versions' own code


def test_a_lake_in_s3(played: Played, s3_url: str) -> None:
    lake = Storage(f"{s3_url}/{played.settings.market}")
    here = Storage(played.settings.lake_root)
    for key in here.keys():  # noqa: SIM118  not a mapping
        lake.create(key, here.read(key))
    comparison = played.replay(played.records["next"], lake_url=s3_url, **played.from_the_lake)
    assert comparison.lines()[1:] == []
    assert comparison.is_same


@pytest.mark.parametrize(
    ("name", "changes", "differences"),
    [
        (
            "newest of 1",
            {"probability": 0.5},
            {"probability", "probability by the model's own predict_proba"},
        ),
        ("newest of 1", {"threshold": 0.25}, {"threshold"}),
        ("newest of 1", {"arm": Arm.FALLBACK}, {"arm"}),
        ("newest of 1", {"champion": "2020-12-31-ffffffffff"}, {"champion"}),
        ("newest of 1", {"customer": 998}, {"customer is in the snapshot"}),
        ("next", {"as_of": date(2019, 1, 1)}, {"as_of"}),
        ("next", {"as_of": None}, {"as_of"}),
        ("new customer", {"customer": 3}, {"customer is in the snapshot"}),
        ("explained new customer", {"reasons": []}, {"reasons"}),
    ],
)
def test_a_tampered_record_is_told_by_what_was_changed(
    played: Played, name: str, changes: dict[str, Any], differences: set[str]
) -> None:
    comparison = played.replay(played.records[name]._replace(**changes))
    assert set(differing(comparison)) == differences


def test_a_probability_off_by_one_bit_differs_and_both_values_are_shown(played: Played) -> None:
    record = played.records["newest of 1"]
    off = math.nextafter(record.probability, 1)
    comparison = played.replay(record._replace(probability=off))
    assert differing(comparison) == {"probability": (off, record.probability)}
    assert comparison.lines()[1] == f"  probability: recorded {off!r}, replayed {record.probability!r}"


def test_a_tampered_feature_decision_and_question_are_told(played: Played) -> None:
    record = played.records["newest of 1"]
    age = record.features[0]
    tampered = record._replace(features=(age + 1, *record.features[1:]), decision=1 - record.decision)
    assert differing(played.replay(tampered)) == {
        "age": (age + 1, age),
        "decision": (1 - record.decision, record.decision),
    }
    asked = played.records["next"]
    assert asked.as_of
    later = asked._replace(as_of=asked.as_of + timedelta(days=365))
    assert differing(played.replay(later))["age"] == (asked.features[0], asked.features[0] + 1)


def test_a_changed_reason_is_told(played: Played) -> None:
    record = played.records["explained new customer"]
    assert record.reasons
    first, *others = record.reasons
    changed = {**first, "contribution": first["contribution"] + 1e-9, "sentence": "Because."}
    what = differing(played.replay(record._replace(reasons=[changed, *others])))
    assert set(what) == {f"reason {first['code']}: contribution", f"reason {first['code']}: sentence"}


def test_a_changed_challengers_score_is_told(played: Played) -> None:
    record = played.records["paired at 0, 8"]
    assert record.paired
    changed = record.paired._replace(challenger_probability=0.5, champion_threshold=0.25)
    what = differing(played.replay(record._replace(paired=changed)))
    assert set(what) == {
        "challenger_probability",
        "challenger_probability by the model's own predict_proba",
        "champion_threshold",
    }


def test_a_fallback_is_the_same_while_it_was_the_challengers_customer(played: Played) -> None:
    theirs = next(record for record in played.records.values() if record.arm is Arm.CHALLENGER)
    assert theirs.paired
    failed = theirs.paired._replace(
        challenger_probability=None,
        challenger_microseconds=None,
        challenger_problem="ValueError: a planted one",
    )
    probability, threshold = failed.champion_probability, failed.champion_threshold
    fallback = theirs._replace(
        arm=Arm.FALLBACK,
        model_version=theirs.champion,
        probability=probability,
        threshold=threshold,
        decision=int(probability >= threshold),
        reasons=None,
        paired=failed,
    )
    assert played.replay(fallback).lines()[1:] == []
    champions = fallback._replace(arm=Arm.CHAMPION)
    assert differing(played.replay(champions)) == {"arm": ("champion", "fallback")}


def test_a_row_changed_in_the_store_is_told(played: Played) -> None:
    record = played.records["newest of 2"]
    table = f"{{}}.features_20201231_{played.snapshot[11:]}"
    market = Market(played.settings)
    market.store.run(f"UPDATE {table} SET age = age + 20 WHERE id = 2")
    try:
        what = differing(played.replay(record))
        assert what["age"] == (record.features[0], record.features[0] + 20)
        assert what["probability"][0] == record.probability
        assert what["probability"][1] > record.probability  # the older, the more often late
        assert played.replay(record, **played.from_the_lake).is_same
    finally:
        market.store.run(f"UPDATE {table} SET age = age - 20 WHERE id = 2")


def copied(played: Played, folder: Path) -> dict[str, Any]:
    """Settings of a copy of the lake and the registry, to be changed."""
    for place in ("lake", "registry"):
        shutil.copytree(played.settings.var_dir / place, folder / place)
    return {"var_dir": folder, **played.from_the_lake}


def test_a_file_changed_in_the_lake_is_damage_and_not_compared(played: Played, tmp_path: Path) -> None:
    settings = copied(played, tmp_path)
    for path in tmp_path.rglob("customers/*.parquet"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    comparison = played.replay(played.records["newest of 1"], **settings)
    assert comparison.verdict == "not compared"
    (only,) = comparison.not_compared
    assert only.what == "features"
    assert "is damaged: its SHA-256 is" in only.why
    assert "probability" in comparison.compared


def test_a_changed_threshold_in_the_registry_is_told(played: Played, tmp_path: Path) -> None:
    settings = copied(played, tmp_path)
    registry = tmp_path / "registry" / played.settings.market
    path = registry / version_folder(played.versions[0]) / "manifest.json"
    path.write_text(path.read_text().replace('"threshold": 0.15', '"threshold": 0.001'))
    record = played.records["newest of 1"]._replace(decision=0)
    what = differing(played.replay(record, **settings))
    assert what == {"threshold": (0.15, 0.001), "decision": (0, 1)}


def test_what_retention_removed_is_named_with_why_and_is_not_the_same(played: Played, tmp_path: Path) -> None:
    settings = copied(played, tmp_path)
    lake, registry = (
        Storage(f"file://{tmp_path}/{place}/{played.settings.market}") for place in ("lake", "registry")
    )
    challenger = played.versions[1]
    record_removal(lake, Kind.SNAPSHOT, played.snapshot, "kept for 400 days", NOW)
    lake.remove_folder("features")
    record_removal(registry, Kind.VERSION, challenger, "kept for 90 days", NOW)
    registry.remove_folder(version_folder(challenger))
    comparison = played.replay(played.records["paired at 0, 8"], **settings)
    assert comparison.verdict == "not compared"
    assert not comparison.is_same
    assert {one.what: one.why for one in comparison.not_compared} == {
        "features": f"snapshot {played.snapshot}: removed by retention on 2026-01-01 (kept for 400 days)",
        "challenger_probability, challenger_threshold": (
            f"version {challenger}: removed by retention on 2026-01-01 (kept for 90 days)"
        ),
    }
    assert {"probability", "champion_probability", "arm"} < set(comparison.compared)
    registry.remove_folder("releases")
    without_records = played.replay(played.records["paired at 0, 8"], **settings)
    assert (
        "release 2: no such record" in {one.what: one.why for one in without_records.not_compared}["release"]
    )


def test_a_version_of_other_libraries_cannot_be_compared(played: Played, tmp_path: Path) -> None:
    settings = copied(played, tmp_path)
    path = (
        tmp_path / "registry" / played.settings.market / version_folder(played.versions[0]) / "manifest.json"
    )
    manifest = json.loads(path.read_text())
    manifest["library_versions"]["scikit-learn"] = "0.24.2"
    path.write_text(json.dumps(manifest))
    comparison = played.replay(played.records["newest of 1"], **settings)
    (only,) = comparison.not_compared
    assert only.what == "probability, threshold, decision"
    assert "scikit-learn 0.24.2 there" in only.why
    assert comparison.verdict == "not compared"


def environment(settings: Settings) -> dict[str, str]:
    url = settings.service_database_url
    assert url
    return {
        "PATH": "/usr/bin:/bin",
        "CREDITRISK_VAR_DIR": str(settings.var_dir),
        "CREDITRISK_MARKET": settings.market,
        "CREDITRISK_SERVICE_DATABASE_URL": url.get_secret_value(),
    }


def run(python: Path | str, played: Played, *arguments: str, line: bytes = b"") -> tuple[int, str, str]:
    done = subprocess.run(
        [str(python), "-m", "serving.replay", *arguments],
        cwd=PROJECT_ROOT,
        env=environment(played.settings),
        input=line,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_command_says_same_or_what_differs_by_the_service_s_own_environment(played: Played) -> None:
    record = played.records["explained"]
    code, said, complaint = run(SLIM_PYTHON, played, record.decision_id)
    assert (code, complaint) == (0, "")
    assert said.startswith(f"same: decision {record.decision_id} by version {played.versions[0]} on snapshot")
    tampered = to_line(record._replace(threshold=0.75))
    code, said, complaint = run(SLIM_PYTHON, played, "--line", "--json", line=tampered)
    assert (code, complaint) == (1, "")
    assert json.loads(said)["differences"] == [{"what": "threshold", "recorded": 0.75, "replayed": 0.15}]


def test_the_command_reads_the_lake_where_neither_pandas_nor_pyarrow_is(played: Played) -> None:
    line = to_line(played.records["next today"])
    environment = {"PATH": "/usr/bin:/bin", "CREDITRISK_VAR_DIR": str(played.settings.var_dir)}
    done = subprocess.run(
        [SLIM_PYTHON, "-m", "serving.replay", "--line"],
        cwd=PROJECT_ROOT,
        env={**environment, "CREDITRISK_MARKET": played.settings.market},
        input=line,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"same: ")


def test_an_unknown_id_is_said_and_one_of_a_removed_day_says_so(played: Played) -> None:
    record_removal(Storage(played.settings.lake_root), Kind.DECISIONS, "2022-01-01", "kept for 365 days", NOW)
    gone = uuid.UUID(int=(int(datetime(2022, 1, 1, 5, tzinfo=UTC).timestamp() * 1000) << 80) | (7 << 76))
    code, said, complaint = run(sys.executable, played, str(gone))
    assert (code, said) == (1, "")
    assert complaint == (
        f"replay: decision {gone}: not in the log: the decisions of its day were removed by retention on"
        " 2026-01-01 (kept for 365 days)\n"
    )
    code, _, complaint = run(sys.executable, played, "five")
    assert (code, complaint) == (1, "replay: decision five: not the id of a decision\n")


def test_a_line_that_is_not_whole_is_refused(played: Played) -> None:
    line = to_line(played.records["next"])
    assert from_line(line).loan is LoanAsked.NEXT
    code, said, complaint = run(sys.executable, played, "--line", line=line[:-30])
    assert (code, said) == (1, "")
    assert "not written whole" in complaint


def replayed(service: ServiceProcess, decision_id: str) -> httpx.Response:
    """Asked as a client asks: again, where a busy machine has not replayed it in time."""
    for _ in range(5):
        answered = httpx.post(
            f"http://127.0.0.1:{service.port}/decisions/{decision_id}/replay",
            headers={HEADER: service.key},
            timeout=60,
        )
        if answered.status_code != 503:
            break
    return answered


def test_the_route_replays_beside_the_worker(played: Played, tmp_path: Path) -> None:
    record = played.records["paired at 0.5, 7"]
    with ServiceProcess.started(played.settings, tmp_path / "service.log") as service:
        wait_until(lambda: service.get("/health/ready").status_code == 200)
        answered = replayed(service, record.decision_id)
        assert answered.status_code == 200, answered.text
        body = answered.json()
        assert (body["decision_id"], body["verdict"], body["differences"]) == (record.decision_id, "same", [])
        assert {"probability", "challenger_probability", "reasons"} < set(body["compared"])
        fresh = service.predict(3).json()["decision_id"]  # perhaps still in the spool
        assert replayed(service, fresh).json()["verdict"] == "same"
        unknown = replayed(service, str(uuid.uuid4()))
        assert (unknown.status_code, unknown.json()["error"]) == (404, "decision_unknown")
        assert {"duckdb", "serving.replay", "serving.past_versions"}.isdisjoint(service.modules())
