"""Retention done on a real log, lake and registry: what goes, what never does, and being interrupted anywhere."""

import itertools
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import obstore
import pytest

from creditrisk.decision_days import decision_days
from creditrisk.errors import SnapshotMissing, StorageError, StoreUnavailable, VersionMissing
from creditrisk.look_store import keep_look
from creditrisk.online_store import OnlineStore
from creditrisk.refresh import publish_snapshot
from creditrisk.registry import ModelRegistry
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.removals import Kind, removal_of
from creditrisk.removing import removal_plan, remove_expired
from creditrisk.retention import Plan
from creditrisk.settings import RetentionLimits, Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage
from creditrisk.store_schema import StoreSchema
from tests.creditrisk.published_market import ask
from tests.creditrisk.snapshot_factory import SnapshotFactory
from tests.decision_records import add_to_log, decision_record
from tests.planted_versions import REFUSED, plant

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=900)
CHAMPION, CHALLENGER, UNRELEASED, REFUSED_ONE = (
    f"2020-12-{day}-{letter * 10}" for day, letter in ((20, "a"), (21, "b"), (22, "c"), (23, "d"))
)
LIMITS = RetentionLimits(decisions_days=365, snapshots_days=100, quarantine_days=0, versions_days=100)


class History:
    """A market whose things are all old; what stays does so because it is named."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.model_copy(update={"retention": LIMITS})
        self.lake, self.registry = Storage(settings.lake_root), Storage(settings.registry_root)
        self.catalog = SnapshotCatalog(self.lake)
        self.factory = SnapshotFactory(settings)
        OnlineStore(settings).migrate()
        self.learnt_from = self.snapshot(1)
        for version in (CHAMPION, CHALLENGER, UNRELEASED):
            plant(self.registry, version, created_at=LONG_AGO, snapshot=self.learnt_from)
        plant(self.registry, REFUSED_ONE, created_at=LONG_AGO, gate=REFUSED)
        self.release(1, ReleaseAction.PROMOTE, CHAMPION)
        self.release(2, ReleaseAction.CHALLENGE, CHAMPION, CHALLENGER)

    def snapshot(self, day: int, seed: int = 1) -> str:
        return self.factory.write(
            date(2020, 12, day), range(1, 5), seed=seed, parts=1, created_at=LONG_AGO
        ).snapshot

    def release(
        self, number: int, action: ReleaseAction, champion: str, challenger: str | None = None
    ) -> None:
        record = ReleaseRecord(
            number=number, action=action, champion=champion, challenger=challenger, by="a", reason="b", at=NOW
        )
        ReleaseLedger(self.registry).append(record)

    def decide(self, snapshot: str, day: date) -> None:
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        add_to_log(self.settings, [decision_record(snapshot=snapshot, model_version=CHAMPION, decided_at=at)])

    def remove(self) -> Plan:
        return remove_expired(self.settings, NOW, release_seconds=0)

    def snapshots(self) -> set[str]:
        return {str(found) for found in self.catalog.folders() if self.catalog.exists(found)}

    def days(self) -> list[date]:
        schema = StoreSchema.of(self.settings)
        with schema.connected() as connection:
            return decision_days(connection, schema)


@pytest.fixture
def history(market_settings: Settings) -> History:
    return History(market_settings)


def going(made: Plan, kind: Kind) -> list[str]:
    return [entry.name for entry in made.going if entry.kind is kind]


def test_what_is_named_never_goes_and_the_rest_does(history: History) -> None:
    decided_lately, decided_long_ago, nothing_of, served, *newest = (
        history.snapshot(day) for day in range(2, 9)
    )
    publish_snapshot(history.settings, served)
    history.decide(decided_long_ago, date(2024, 12, 30))
    history.decide(decided_lately, date(2025, 1, 2))
    history.decide(decided_lately, date(2025, 6, 1))

    listed = removal_plan(history.settings, NOW)
    assert len(history.snapshots()) == 8
    made = history.remove()
    assert (made.going, made.staying) == (listed.going, listed.staying)

    assert history.snapshots() == {history.learnt_from, decided_lately, served, *newest}
    assert ModelRegistry(history.registry).versions() == [CHAMPION, CHALLENGER]
    assert history.days() == [date(2025, 1, 2), date(2025, 6, 1)]
    assert going(made, Kind.DECISIONS) == ["2024-12-30"]
    assert going(made, Kind.SNAPSHOT) == [decided_long_ago, nothing_of]
    assert going(made, Kind.VERSION) == [UNRELEASED, REFUSED_ONE]
    assert {entry.name: entry.why for entry in made.staying} == {
        history.learnt_from: f"version {CHAMPION}, of release 1, learnt from it",
        decided_lately: "2 kept decisions, the last of 2025-06-01",
        served: "being served",
        **dict.fromkeys(newest, "one of the newest 3"),
        CHAMPION: "champion of release 1",
        CHALLENGER: "challenger of release 2",
    }


def test_what_has_gone_is_told_of_and_leaves_nothing_behind(history: History) -> None:
    gone = history.snapshot(2)
    for day in (3, 4, 5):
        history.snapshot(day)
    history.remove()
    removal = removal_of(history.lake, Kind.SNAPSHOT, gone)
    assert removal
    assert removal.sentence == (
        "removed by retention on 2026-01-01 (built on 2023-07-16, kept for 100 days, named by nothing that stays)"
    )
    assert removal_of(history.registry, Kind.VERSION, UNRELEASED)
    with pytest.raises(SnapshotMissing):
        history.catalog.manifest(SnapshotId.parse(gone))
    with pytest.raises(VersionMissing):
        ModelRegistry(history.registry).manifest(UNRELEASED)
    assert "2020-12-02" not in history.lake.folders("features")
    assert "2020-12-22" not in history.registry.folders("models")
    assert history.remove().going == []


def test_a_date_can_be_built_again_after_it_went(history: History) -> None:
    gone = history.snapshot(2)
    for day in (3, 4, 5):
        history.snapshot(day)
    history.remove()
    assert history.snapshot(2) == gone
    assert str(history.catalog.current(date(2020, 12, 2))) == gone


class Interrupted(BaseException):
    """The process is killed."""


@pytest.mark.parametrize("ends_at", range(0, 40, 3))
def test_interrupted_anywhere_no_reader_meets_half_a_thing_and_the_next_run_ends_it(
    history: History, monkeypatch: pytest.MonkeyPatch, ends_at: int
) -> None:
    replaced, gone = history.snapshot(2, seed=1), history.snapshot(2, seed=2)
    other = history.snapshot(3)
    for day in (4, 5, 6):
        history.snapshot(day)
    delete, steps = obstore.delete, itertools.count()

    def delete_one_by_one(store: object, paths: str | list[str]) -> None:
        for path in [paths] if isinstance(paths, str) else paths:
            if next(steps) == ends_at:
                raise Interrupted
            delete(store, path)  # type: ignore[arg-type]

    monkeypatch.setattr(obstore, "delete", delete_one_by_one)
    with suppress(Interrupted):
        history.remove()
    in_force = history.catalog.current(date(2020, 12, 2))
    assert in_force is None or str(in_force) == gone
    for found in history.catalog.folders():
        if history.catalog.exists(found):
            manifest = history.catalog.manifest(found)
            assert all(history.lake.exists(f"{found.folder}/{name}") for name in manifest.files)
    registry = ModelRegistry(history.registry)
    for version in registry.versions():
        for name in registry.manifest(version).files:
            registry.verified_file(registry.manifest(version), name)

    monkeypatch.undo()
    # What is left of a folder was written just now, in these tests: the next run comes when that is old.
    remove_expired(history.settings, datetime.now(UTC) + timedelta(days=200), release_seconds=0)
    assert not {replaced, gone, other} & {str(found) for found in history.catalog.folders()}
    assert registry.folders() == [CHAMPION, CHALLENGER]
    assert history.catalog.current(date(2020, 12, 2)) is None


def test_a_version_released_while_it_was_about_to_go_stays(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def release_meanwhile(_: float) -> None:
        history.release(3, ReleaseAction.PROMOTE, UNRELEASED)

    monkeypatch.setattr("creditrisk.removing.time.sleep", release_meanwhile)
    made = history.remove()
    registry = ModelRegistry(history.registry)
    assert registry.versions() == [CHAMPION, CHALLENGER, UNRELEASED]
    assert registry.verified_file(registry.manifest(UNRELEASED), "model.joblib") == b"not a pickle"
    assert going(made, Kind.VERSION) == [REFUSED_ONE]
    assert made.staying[-1].why == "champion of release 3"


def test_quarantine_and_reports_go_by_when_they_were_written(history: History) -> None:
    limits = RetentionLimits(decisions_days=0, snapshots_days=0, quarantine_days=10, versions_days=0)
    settings = history.settings.model_copy(update={"retention": limits})
    history.lake.create(f"quarantine/2020-12-01/{'a' * 12}/part-0.parquet", b"rows")
    history.lake.create("reports/2020-12-01/drift.json", b"{}")
    assert remove_expired(settings, datetime.now(UTC) + timedelta(days=9), release_seconds=0).going == []
    made = remove_expired(settings, datetime.now(UTC) + timedelta(days=11), release_seconds=0)
    assert going(made, Kind.QUARANTINE) == [f"2020-12-01-{'a' * 12}"]
    assert going(made, Kind.REPORTS) == ["2020-12-01"]
    assert history.lake.folders("quarantine") == history.lake.folders("reports") == []


def test_a_manifest_that_cannot_be_read_is_left_for_somebody_to_look_at(history: History) -> None:
    history.lake.create(f"features/2020-11-01/{'a' * 12}/manifest.json", b"{}")
    made = removal_plan(history.settings, NOW)
    (entry,) = [entry for entry in made.staying if entry.name.startswith("2020-11-01")]
    assert entry.why == f"snapshot 2020-11-01-{'a' * 12}: manifest.json: snapshot: Field required"


def test_rows_that_nothing_names_go_by_their_age_alone(history: History) -> None:
    def looks() -> list[datetime]:
        rows = ask(history.settings, "SELECT judged_at FROM {schema}.looks ORDER BY 1", "reader")
        return [judged_at for (judged_at,) in rows]

    old, young = NOW - timedelta(days=401), NOW - timedelta(days=399)
    for judged_at in (old, young):
        step = {"release": 2, "judged_at": judged_at.isoformat()}
        keep_look(history.settings, {"step": step, "finding": "wait"})
    kept_for_ever = LIMITS.model_copy(update={"looks_days": 0})
    remove_expired(history.settings.model_copy(update={"retention": kept_for_ever}), NOW, release_seconds=0)
    assert looks() == [old, young]
    history.remove()
    assert looks() == [young]


def test_nothing_goes_while_the_log_cannot_be_read(history: History) -> None:
    broken = history.settings.model_copy(
        update={"publisher_database_url": type(history.settings.publisher_database_url)(  # type: ignore[misc]
            "postgresql://creditrisk_publisher:x@127.0.0.1:1/creditrisk"
        )}
    )  # fmt: skip
    with pytest.raises(StoreUnavailable):
        remove_expired(broken, NOW, release_seconds=0)
    assert ModelRegistry(history.registry).exists(UNRELEASED)


def test_nothing_goes_while_the_releases_cannot_be_read(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: ReleaseLedger) -> list[ReleaseRecord]:
        raise StorageError("releases: not to be read")

    monkeypatch.setattr(ReleaseLedger, "history", fails)
    with pytest.raises(StorageError):
        history.remove()
    assert ModelRegistry(history.registry).exists(UNRELEASED)


def test_a_lake_and_a_registry_in_s3(market_settings: Settings, s3_url: str) -> None:
    where: Callable[[str], str] = lambda name: f"{s3_url}/{name}"  # noqa: E731
    history = History(
        market_settings.model_copy(update={"lake_url": where("lake"), "registry_url": where("registry")})
    )
    gone = history.snapshot(2)
    for day in (3, 4, 5):
        history.snapshot(day)
    assert gone in going(history.remove(), Kind.SNAPSHOT)
    assert gone not in history.snapshots()
    assert history.lake.keys("features/2020-12-02") == []
    assert ModelRegistry(history.registry).versions() == [CHAMPION, CHALLENGER]
    assert history.remove().going == []
