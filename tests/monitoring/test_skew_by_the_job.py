"""From landed loans to a published table and back: whatever is changed on the way, skew finds, and says where."""

from contextlib import closing
from datetime import UTC, date, datetime

import psycopg2
import pytest
from psycopg2 import sql
from pyspark.sql import SparkSession

from creditrisk.contract import FEATURE_NAMES
from creditrisk.decisions import DecisionRecord, GivenAttributes, LoanAsked
from creditrisk.features import CustomerHistory, features_of_application
from creditrisk.metric_store import Measure
from creditrisk.online_store import OnlineStore
from creditrisk.refresh import judge_snapshot, publish_snapshot
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotId, Verdict
from local.generate_loans import generate_loans
from monitoring.skew import skew_measures, take_sample
from spark_jobs.recomputing import recompute
from tests.logged_decisions import decision, log
from tests.spark_jobs.conftest import spark
from tests.spark_jobs.landing import AS_OF, Lake, loan

__all__ = ["spark"]

DAY = date(2021, 1, 1)
NOON = datetime(2021, 1, 1, 12, tzinfo=UTC)
STRANGER = GivenAttributes(date(1990, 5, 1), date(2019, 1, 7), 1)


class Market:
    """A market whose loans have landed, were built into a snapshot, and are served from Postgres."""

    def __init__(self, settings: Settings, spark: SparkSession) -> None:
        self.settings = settings
        self.lake = Lake(settings, spark)
        file = settings.var_dir / "generated.csv"
        settings.var_dir.mkdir(parents=True)
        generate_loans(file, 120, 500, 5, AS_OF, with_bad_rows=True)
        self.lake.land(file.read_text())
        self.lake.land([loan(1, id=-1), loan(2, id=-1, loan_date="2020-07-01")], name="own.csv")
        self.snapshot = self.lake.build().id
        OnlineStore(settings).migrate()
        judge_snapshot(settings, str(self.snapshot))
        publish_snapshot(settings, str(self.snapshot))

    def execute(self, statement: str, *values: object) -> None:
        assert self.settings.publisher_database_url is not None
        url = self.settings.publisher_database_url.get_secret_value()
        table = sql.Identifier(self.settings.database_schema, self.snapshot.table_name)
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(table=table), values)
            self.rows = cursor.fetchall() if cursor.description else []

    def decide(self) -> int:
        """Decide on everybody, as the service does: on the newest loan and the next, from the published rows."""
        self.execute("SELECT row_to_json(t) FROM {table} AS t")
        records = list[DecisionRecord]()
        told = {"snapshot": str(self.snapshot), "decided_at": NOON}
        for (row,) in self.rows:
            for name in ("loan_date", "birthday", "job_start_date"):
                row[name] = date.fromisoformat(row[name]) if row[name] else None
            newest = tuple(row[name] for name in FEATURE_NAMES)
            applied = features_of_application(CustomerHistory.of_row(row), DAY)
            records += [
                decision(row["id"], features=newest, **told),
                decision(row["id"], loan=LoanAsked.NEXT, as_of=DAY, features=applied, **told),
            ]
        first = (30, 1, 0, None, 1)
        records.append(decision(-99, loan=LoanAsked.NEXT, as_of=DAY, given=STRANGER, features=first, **told))
        log(self.settings, records)
        return len(records)

    def skew(self) -> Measure:
        key = take_sample(self.settings, DAY)
        assert key is not None
        recompute(self.settings, key, self.lake.spark)
        (measure,) = skew_measures(self.settings, DAY)
        return measure


@pytest.fixture
def market(market_settings: Settings, spark: SparkSession) -> Market:
    return Market(market_settings.model_copy(update={"spark_master": "local[2]"}), spark)


def test_nothing_changed_is_nothing_found(market: Market) -> None:
    decided = market.decide()
    found = market.skew()
    assert (found.verdict, found.value, found.words) == (
        Verdict.PASS,
        0,
        f"0 of {decided} decisions rest on other features than the feature job's own.",
    )
    assert decided > 200


def test_a_published_row_changed_by_hand_is_found_behind_the_snapshot(market: Market) -> None:
    market.execute("UPDATE {table} SET flag_own_car = 1 - flag_own_car WHERE id = -1")
    market.decide()
    found = market.skew()
    assert (found.verdict, found.value) == (Verdict.FAIL, 2)
    assert {(row["customer"], row["feature"], row["computed"]) for row in found.detail["rows"]} == {
        (-1, "flag_own_car", 1)
    }
    assert "the published table or the service is at fault" in found.words
    assert "another row than stands in the snapshot" not in found.words


def test_a_loans_file_replaced_since_is_found_before_the_snapshot(market: Market) -> None:
    market.decide()
    market.lake.land(
        [loan(1, id=-1), loan(2, id=-1, loan_date="2020-07-01", loan_amount="9")], name="own.csv"
    )
    found = market.skew()
    assert (found.verdict, found.value) == (Verdict.FAIL, 2)
    assert {row["feature"] for row in found.detail["rows"]} == {"avg_amount_loans_previous"}
    assert [
        (row["column"], row["in_snapshot"] - row["computed"]) for row in found.detail["snapshot_rows"]
    ] == [("amount_sum_micros", 91_500_000)]
    assert "a landed file, the snapshot or the job has changed" in found.words
    assert "own.csv is not the file that was read" in found.words


def test_a_snapshot_of_other_rows_than_its_files_give_is_found_with_them(market: Market) -> None:
    """As by a job with a fault: the snapshot is whole by its manifest, and is what was published and decided on."""
    other = [loan(1, id=-1), loan(2, id=-1, loan_date="2020-07-01", flag_own_car="N")]
    right = market.lake.catalog.manifest(market.snapshot)
    market.lake.land(other, name="own.csv")
    wrong = market.lake.build()
    market.lake.land([loan(1, id=-1), loan(2, id=-1, loan_date="2020-07-01")], name="own.csv")
    named = wrong.manifest.model_copy(update={"inputs": right.inputs, "snapshot": f"{AS_OF}-{'a' * 12}"})
    market.snapshot = SnapshotId.parse(named.snapshot)
    for name in named.files:
        market.lake.storage.create(f"{market.snapshot.folder}/{name}", wrong.folder(name))
    market.lake.catalog.commit(named)
    judge_snapshot(market.settings, str(market.snapshot))
    publish_snapshot(market.settings, str(market.snapshot))
    market.decide()
    found = market.skew()
    assert (found.verdict, found.value) == (Verdict.FAIL, 2)
    assert [(row["customer"], row["column"]) for row in found.detail["snapshot_rows"]] == [
        (-1, "flag_own_car")
    ]
    assert "another row than stands in the snapshot" in found.words
    assert "changed_files" not in found.detail
