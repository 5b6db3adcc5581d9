"""Publishing against a real PostgreSQL: whole or not at all, in turn, and nothing lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from psycopg2 import sql
from pydantic import SecretStr

from creditrisk.contract import CUSTOMER_COLUMNS
from creditrisk.customer_rows import customer_rows
from creditrisk.errors import (
    OlderThanServed,
    SettingsError,
    SnapshotDamaged,
    SnapshotMissing,
    StoreError,
    StoreUnavailable,
)
from creditrisk.online_store import OnlineStore, Publication
from creditrisk.settings import PROJECT_ROOT, Settings
from creditrisk.snapshots import SnapshotId, SnapshotManifest
from tests.conftest import free_port
from tests.creditrisk.snapshot_factory import SnapshotFactory, customers_table

MIGRATIONS = sorted(path.name for path in (PROJECT_ROOT / "creditrisk" / "migrations").glob("*.sql"))
MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (date(2020, 12, day) for day in (28, 29, 30, 31))


@pytest.fixture
def snapshots(market_settings: Settings) -> SnapshotFactory:
    return SnapshotFactory(market_settings)


@pytest.fixture
def store(market_settings: Settings) -> OnlineStore:
    return OnlineStore(market_settings)


def publish(snapshots: SnapshotFactory, manifest: SnapshotManifest, **how: Any) -> Publication:
    rows = customer_rows(snapshots.catalog.lake, manifest)
    return OnlineStore(snapshots.settings).publish(manifest, rows, **how)


def the_id(manifest: SnapshotManifest) -> SnapshotId:
    return SnapshotId.parse(manifest.snapshot)


def table_of(manifest: SnapshotManifest) -> str:
    return f"features_{manifest.as_of:%Y%m%d}_{the_id(manifest).hash12}"


def ask(settings: Settings, question: str, role: str = "service") -> list[tuple[Any, ...]]:
    """Ask as a role; ``{schema}`` in the question is the market's."""
    url = getattr(settings, f"{role}_database_url").get_secret_value()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(question).format(schema=sql.Identifier(settings.database_schema)))
        return cursor.fetchall() if cursor.description else []


def tables(settings: Settings) -> set[str]:
    rows = ask(settings, "SELECT tablename, schemaname FROM pg_tables WHERE tablename ~ '^features_[0-9]'")
    return {name for name, schema in rows if schema == settings.database_schema}


def served_rows(settings: Settings) -> list[tuple[Any, ...]]:
    ((table,),) = ask(settings, "SELECT table_name FROM {schema}.current_snapshot")
    return ask(settings, f"SELECT * FROM {{schema}}.{table} ORDER BY id")


class TestPublish:
    def test_serves_every_value_of_the_snapshot(self, snapshots: SnapshotFactory) -> None:
        manifest = snapshots.write(MONDAY, range(-3, 40))
        publication = publish(snapshots, manifest)
        assert publication == Publication(the_id(manifest), None, customers=43, changed=True)
        expected = customers_table(range(-3, 40), MONDAY)
        assert served_rows(snapshots.settings) == [
            tuple(row[name] for name in CUSTOMER_COLUMNS) for row in expected.to_pylist()
        ]
        assert any(row[4] is None for row in served_rows(snapshots.settings))  # years on the job

    def test_again_changes_nothing(self, snapshots: SnapshotFactory, store: OnlineStore) -> None:
        manifest = snapshots.write(MONDAY)
        publish(snapshots, manifest)
        question = "SELECT xmin, switched_at FROM {schema}.current_snapshot"
        before = ask(snapshots.settings, question), store.switches(), tables(snapshots.settings)
        again = publish(snapshots, manifest)
        assert again == Publication(the_id(manifest), the_id(manifest), customers=20, changed=False)
        assert again.sentence == f"Snapshot {manifest.snapshot} is being served already: nothing changed."
        assert (ask(snapshots.settings, question), store.switches(), tables(snapshots.settings)) == before

    def test_customers_gone_from_the_snapshot_are_gone_online(self, snapshots: SnapshotFactory) -> None:
        publish(snapshots, snapshots.write(MONDAY, [1, 2, 3]))
        publication = publish(snapshots, snapshots.write(TUESDAY, [2, 3, 4]))
        assert [row[0] for row in served_rows(snapshots.settings)] == [2, 3, 4]
        assert "3 customers. It replaces 2020-12-28-" in publication.sentence

    def test_a_table_is_dropped_two_switches_later(self, snapshots: SnapshotFactory) -> None:
        manifests = [snapshots.write(day) for day in (MONDAY, TUESDAY, WEDNESDAY)]
        kept = []
        for manifest in manifests:
            publish(snapshots, manifest)
            kept.append(tables(snapshots.settings))
        monday, tuesday, wednesday = (table_of(manifest) for manifest in manifests)
        assert kept == [{monday}, {monday, tuesday}, {tuesday, wednesday}]

    def test_an_older_one_is_refused_unless_asked_for(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        older, newer = snapshots.write(MONDAY), snapshots.write(TUESDAY)
        publish(snapshots, newer)
        with pytest.raises(OlderThanServed, match=f"{older.snapshot} is older than {newer.snapshot}"):
            publish(snapshots, older)
        assert store.served() == the_id(newer)
        assert tables(snapshots.settings) == {table_of(newer)}
        publish(snapshots, older, publish_older=True)
        assert store.served() == the_id(older)

    def test_another_content_of_the_same_date_is_no_older(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        first, second = snapshots.write(MONDAY, seed=1), snapshots.write(MONDAY, seed=2)
        publish(snapshots, first)
        publish(snapshots, second)
        assert store.served() == the_id(second)

    def test_an_empty_snapshot_is_served_as_such(self, snapshots: SnapshotFactory) -> None:
        publish(snapshots, snapshots.write(MONDAY, []))
        assert served_rows(snapshots.settings) == []

    def test_a_table_that_was_changed_behind_its_back_is_loaded_again(
        self, snapshots: SnapshotFactory
    ) -> None:
        monday, tuesday = snapshots.write(MONDAY), snapshots.write(TUESDAY)
        publish(snapshots, monday)
        publish(snapshots, tuesday)
        ask(snapshots.settings, f"DELETE FROM {{schema}}.{table_of(monday)} WHERE id = 3", "publisher")
        publish(snapshots, monday, publish_older=True)
        assert len(served_rows(snapshots.settings)) == 20


def without_last(customers: pa.Table) -> pa.Table:
    return customers.slice(0, customers.num_rows - 1)


def twice_the_first(customers: pa.Table) -> pa.Table:
    return pa.concat_tables([customers, customers.slice(0, 1)])


def one_year_older(customers: pa.Table) -> pa.Table:
    return customers.set_column(3, "age", pc.add(customers["age"], 1))


def another_mean(customers: pa.Table) -> pa.Table:
    return customers.set_column(6, "avg_amount_loans_previous", pc.add(customers[6], 1e-9))


def without_birthdays(customers: pa.Table) -> pa.Table:
    return customers.drop_columns(["birthday"])


def too_old(customers: pa.Table) -> pa.Table:
    return customers.set_column(3, "age", pa.array([40_000] * customers.num_rows))


def unknown_age(customers: pa.Table) -> pa.Table:
    return customers.set_column(3, "age", pa.array([None] * customers.num_rows, pa.int32()))


class TestDamage:
    @pytest.fixture(autouse=True)
    def served(self, snapshots: SnapshotFactory) -> Iterator[None]:
        """What is served before is served after, and nothing of the damaged snapshot is left."""
        manifest = snapshots.write(MONDAY, [1, 2])
        publish(snapshots, manifest)
        yield
        assert [row[0] for row in served_rows(snapshots.settings)] == [1, 2]
        assert tables(snapshots.settings) == {table_of(manifest)}

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (without_last, "Postgres has 19 customers"),
            (twice_the_first, r"Key \(id\)=\(1\) is duplicated"),
            (one_year_older, "Postgres has 20 customers with digest 20:"),
            (another_mean, "avg_amount_loans_previous of [0-9]+ customers is not"),
            (without_birthdays, "has no column birthday"),
            (too_old, "out of range for type smallint"),
            (unknown_age, 'null value in column "age"'),
        ],
    )
    def test_rows_that_are_not_the_manifests_are_refused(
        self, snapshots: SnapshotFactory, change: Any, says: str
    ) -> None:
        manifest = snapshots.write(TUESDAY, change=change)
        with pytest.raises(SnapshotDamaged, match=f"snapshot {manifest.snapshot}: .*{says}"):
            publish(snapshots, manifest)

    def test_a_file_with_another_hash_is_refused_before_its_rows_are_read(
        self, snapshots: SnapshotFactory
    ) -> None:
        manifest = snapshots.write(TUESDAY)
        path = file_of(snapshots, manifest, "customers/part-00001.parquet")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(SnapshotDamaged, match=r"part-00001\.parquet is damaged: its SHA-256 is"):
            publish(snapshots, manifest)

    def test_a_missing_file_is_refused(self, snapshots: SnapshotFactory) -> None:
        manifest = snapshots.write(TUESDAY)
        file_of(snapshots, manifest, "customers/part-00000.parquet").unlink()
        with pytest.raises(SnapshotDamaged, match=r"part-00000\.parquet is missing"):
            publish(snapshots, manifest)

    def test_a_manifest_without_customers_is_refused(self, snapshots: SnapshotFactory) -> None:
        manifest = snapshots.write(TUESDAY).model_copy(update={"files": {"features.csv": "0" * 64}})
        with pytest.raises(SnapshotDamaged, match="names no customers file"):
            publish(snapshots, manifest)


def file_of(snapshots: SnapshotFactory, manifest: SnapshotManifest, key: str) -> Path:
    root = snapshots.catalog.lake.local_root
    assert root is not None
    return root / the_id(manifest).folder / key


def test_customers_come_from_s3_too(market_settings: Settings, s3_url: str) -> None:
    snapshots = SnapshotFactory(market_settings.model_copy(update={"lake_url": s3_url}))
    publish(snapshots, snapshots.write(MONDAY, [5, 6, 7]))
    assert [row[0] for row in served_rows(market_settings)] == [5, 6, 7]


class TestPointBack:
    def test_serves_the_snapshot_before_at_once(self, snapshots: SnapshotFactory, store: OnlineStore) -> None:
        monday, tuesday = snapshots.write(MONDAY, [1]), snapshots.write(TUESDAY, [2])
        publish(snapshots, monday)
        publish(snapshots, tuesday)
        assert store.point_back(monday) == Publication(the_id(monday), the_id(tuesday), 1, changed=True)
        assert [row[0] for row in served_rows(snapshots.settings)] == [1]
        assert store.kept() == {the_id(monday), the_id(tuesday)}
        assert store.point_back(monday).changed is False
        store.point_back(tuesday)
        assert [switch.action for switch in store.switches()] == ["publish"] * 2 + ["point back"] * 2
        assert {switch.by for switch in store.switches()} == {"creditrisk_publisher"}

    def test_counts_as_served_when_tables_are_dropped(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        monday, tuesday, wednesday = (snapshots.write(day) for day in (MONDAY, TUESDAY, WEDNESDAY))
        publish(snapshots, monday)
        publish(snapshots, tuesday)
        store.point_back(monday)
        publish(snapshots, wednesday)
        assert store.kept() == {the_id(monday), the_id(wednesday)}

    def test_to_a_dropped_table_says_how_to_get_it_back(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        monday, tuesday, wednesday = (snapshots.write(day) for day in (MONDAY, TUESDAY, WEDNESDAY))
        for manifest in (monday, tuesday, wednesday):
            publish(snapshots, manifest)
        with pytest.raises(SnapshotMissing) as raised:
            store.point_back(monday)
        assert str(raised.value) == (
            f"snapshot {monday.snapshot} is no longer in the store (there: {tuesday.snapshot}, "
            f"{wednesday.snapshot}): python -m creditrisk publish {monday.snapshot} --publish-older"
        )

    def test_to_a_changed_table_is_refused(self, snapshots: SnapshotFactory, store: OnlineStore) -> None:
        monday, tuesday = snapshots.write(MONDAY), snapshots.write(TUESDAY)
        publish(snapshots, monday)
        publish(snapshots, tuesday)
        ask(snapshots.settings, f"UPDATE {{schema}}.{table_of(monday)} SET age = 99", "publisher")
        with pytest.raises(SnapshotDamaged):
            store.point_back(monday)
        assert store.served() == the_id(tuesday)


def test_published_before_are_the_earlier_dates_that_were_served(
    snapshots: SnapshotFactory, store: OnlineStore
) -> None:
    assert store.published_before(THURSDAY) == []
    monday, first, second = (
        snapshots.write(MONDAY),
        snapshots.write(TUESDAY, seed=1),
        snapshots.write(TUESDAY, seed=2),
    )
    snapshots.write(WEDNESDAY)
    for manifest in (monday, first, second):
        publish(snapshots, manifest)
    assert store.published_before(THURSDAY) == [the_id(second), the_id(monday)]
    assert store.published_before(TUESDAY) == [the_id(monday)]
    assert store.published_before(MONDAY) == []
    store.point_back(first)
    assert store.published_before(WEDNESDAY) == [the_id(first), the_id(monday)]


PUBLISHER = """
import sys
from pathlib import Path
from creditrisk import online_store, published_table
from creditrisk.customer_rows import customer_rows
from creditrisk.settings import PROJECT_ROOT, Settings
from creditrisk.snapshots import SnapshotCatalog, SnapshotId
from creditrisk.storage import Storage

settings, snapshot, stop_at = Settings.model_validate_json(sys.stdin.readline()), sys.argv[1], sys.argv[2]

def stop(*_, **__):
    print("stopped", flush=True)
    sys.stdin.read()

def rows_until_the_second(rows):
    yield next(rows)
    stop()

table, store = published_table.PublishedTable, online_store.OnlineStore
if stop_at == "in the copy":
    load = table.load
    table.load = lambda self, cursor, rows: load(self, cursor, rows_until_the_second(rows))
elif stop_at == "before the check":
    table.check = stop
elif stop_at == "before the switch":
    store._switch = stop
elif stop_at == "before the drop":
    store._drop_unkept = stop

catalog = SnapshotCatalog(Storage(settings.lake_root))
manifest = catalog.manifest(SnapshotId.parse(snapshot))
rows = customer_rows(catalog.lake, manifest)
online_store.OnlineStore(settings).publish(manifest, rows)
print("published", flush=True)
"""
"""A publisher in a process of its own, held at a point by standing in its way there."""


def started_publisher(settings: Settings, manifest: SnapshotManifest, stop_at: str) -> subprocess.Popen[str]:
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, manifest.snapshot, stop_at],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    plain = settings.model_dump(mode="json")
    for role in ("publisher", "service", "reader"):
        plain[f"{role}_database_url"] = getattr(settings, f"{role}_database_url").get_secret_value()
    assert publisher.stdin is not None
    publisher.stdin.write(json.dumps(plain) + "\n")
    publisher.stdin.flush()
    return publisher


class TestInterrupted:
    @pytest.mark.parametrize(
        ("stop_at", "left_behind", "already_served"),
        [
            ("in the copy", 0, False),
            ("before the check", 0, False),
            ("before the switch", 1, False),
            ("before the drop", 1, True),
        ],
    )
    def test_readers_keep_a_whole_snapshot_and_the_next_run_cleans_up(
        self,
        snapshots: SnapshotFactory,
        store: OnlineStore,
        stop_at: str,
        left_behind: int,
        already_served: bool,
    ) -> None:
        sunday, monday = snapshots.write(date(2020, 12, 27), [8, 9]), snapshots.write(MONDAY, [1, 2])
        tuesday, wednesday = snapshots.write(TUESDAY, [2, 3]), snapshots.write(WEDNESDAY, [3, 4])
        publish(snapshots, sunday)
        publish(snapshots, monday)
        with started_publisher(snapshots.settings, tuesday, stop_at) as publisher:
            assert publisher.stdout is not None
            assert publisher.stdout.readline() == "stopped\n"
            expected = [2, 3] if already_served else [1, 2]
            assert [row[0] for row in served_rows(snapshots.settings)] == expected
            os.kill(publisher.pid, signal.SIGKILL)
        assert publisher.returncode == -signal.SIGKILL
        assert [row[0] for row in served_rows(snapshots.settings)] == expected
        # Waiting for the dead publisher's lock is part of what is tried here.
        publication = publish(snapshots, wednesday)
        assert publication.changed
        assert len(tables(snapshots.settings)) == 2
        before = tuesday if already_served else monday
        assert store.kept() == {the_id(before), the_id(wednesday)}
        assert left_behind == int(stop_at.startswith(("before the switch", "before the drop")))

    def test_the_same_snapshot_is_finished_by_the_next_run(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        monday, tuesday = snapshots.write(MONDAY, [1, 2]), snapshots.write(TUESDAY, [2, 3])
        publish(snapshots, monday)
        with started_publisher(snapshots.settings, tuesday, "before the switch") as publisher:
            assert publisher.stdout is not None
            publisher.stdout.readline()
            assert table_of(tuesday) in tables(snapshots.settings)
            os.kill(publisher.pid, signal.SIGKILL)
        assert store.served() == the_id(monday)
        assert publish(snapshots, tuesday).changed
        assert [row[0] for row in served_rows(snapshots.settings)] == [2, 3]
        assert store.kept() == {the_id(monday), the_id(tuesday)}

    def test_a_publish_that_loses_its_connection_leaves_nothing(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        monday, tuesday = snapshots.write(MONDAY, [1, 2]), snapshots.write(TUESDAY, [2, 3])
        publish(snapshots, monday)

        def cut_after_the_first(rows: Iterator[bytes]) -> Iterator[bytes]:
            yield next(rows)
            ask(
                snapshots.settings,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'creditrisk publisher'",
                "publisher",
            )
            yield from rows

        rows = cut_after_the_first(customer_rows(snapshots.catalog.lake, tuesday))
        with pytest.raises(StoreUnavailable, match=r"Postgres \(publisher\): "):
            store.publish(tuesday, rows)
        assert [row[0] for row in served_rows(snapshots.settings)] == [1, 2]
        assert store.kept() == {the_id(monday)}
        assert publish(snapshots, tuesday).changed


class TestAtTheSameTime:
    def test_readers_see_one_snapshot_or_the_other_whole(self, snapshots: SnapshotFactory) -> None:
        manifests = [snapshots.write(date(2021, 1, day), range(day * 300)) for day in range(1, 9)]
        publish(snapshots, manifests[0])
        sizes = {table_of(manifest): manifest.counts.customers for manifest in manifests}
        done, seen, wrong = threading.Event(), set(), []
        url = snapshots.settings.service_database_url
        assert url is not None

        def read() -> None:
            with closing(psycopg2.connect(url.get_secret_value())) as link:
                link.autocommit = True
                schema = sql.Identifier(snapshots.settings.database_schema)
                with link.cursor() as cursor:
                    while not done.is_set():
                        cursor.execute(sql.SQL("SELECT table_name FROM {}.current_snapshot").format(schema))
                        ((name,),) = cursor.fetchall()
                        cursor.execute(
                            sql.SQL("SELECT count(*), count(DISTINCT id) FROM {}.{}").format(
                                schema, sql.Identifier(name)
                            )
                        )
                        answer = cursor.fetchall()
                        seen.add(name)
                        if answer != [(sizes[name], sizes[name])]:
                            wrong.append((name, answer))

        with ThreadPoolExecutor(2) as readers:
            reading = [readers.submit(read) for _ in range(2)]
            for manifest in manifests[1:]:
                publish(snapshots, manifest)
                time.sleep(0.05)
            done.set()
            for reader in reading:
                reader.result()
        assert wrong == []
        assert table_of(manifests[-1]) in seen
        assert len(seen) >= 4

    def test_publishers_take_turns_and_the_newest_wins(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        manifests = [snapshots.write(day, range(2000)) for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)]

        def outcome(manifest: SnapshotManifest) -> str:
            try:
                return f"changed {publish(snapshots, manifest).changed}"
            except OlderThanServed:
                return "older"

        with ThreadPoolExecutor(8) as publishers:
            outcomes = list(publishers.map(outcome, manifests * 2))
        newest = [outcomes[index] for index in (3, 7)]
        assert sorted(newest) == ["changed False", "changed True"]
        assert store.served() == the_id(manifests[-1])
        days = [switch.snapshot.as_of for switch in store.switches()]
        assert days == sorted(set(days))
        assert len(tables(snapshots.settings)) == min(2, len(days))

    def test_a_publisher_waits_for_the_other_one(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        monday, tuesday = snapshots.write(MONDAY), snapshots.write(TUESDAY)
        with started_publisher(snapshots.settings, monday, "before the switch") as first:
            assert first.stdout is not None
            assert first.stdin is not None
            assert first.stdout.readline() == "stopped\n"
            with ThreadPoolExecutor(1) as second:
                waiting = second.submit(publish, snapshots, tuesday)
                time.sleep(0.5)
                assert not waiting.done()
                first.stdin.close()
                assert waiting.result(timeout=30).changed
        assert store.served() == the_id(tuesday)

    def test_a_table_still_being_read_is_left_to_the_next_publish(
        self, snapshots: SnapshotFactory, store: OnlineStore
    ) -> None:
        manifests = [snapshots.write(day) for day in (MONDAY, TUESDAY, WEDNESDAY, THURSDAY)]
        publish(snapshots, manifests[0])
        url = snapshots.settings.service_database_url
        assert url is not None
        with closing(psycopg2.connect(url.get_secret_value())) as reader, reader.cursor() as cursor:
            cursor.execute(
                sql.SQL("SELECT count(*) FROM {}.{}").format(
                    sql.Identifier(snapshots.settings.database_schema), sql.Identifier(table_of(manifests[0]))
                )
            )
            publish(snapshots, manifests[1])
            publish(snapshots, manifests[2])
            assert store.served() == the_id(manifests[2])
            assert len(store.kept()) == 3
        publish(snapshots, manifests[3])
        assert store.kept() == {the_id(manifests[2]), the_id(manifests[3])}


class TestRoles:
    @pytest.mark.parametrize("role", ["service", "reader"])
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE {schema}.{table} SET age = 1",
            "DELETE FROM {schema}.{table}",
            "INSERT INTO {schema}.{table} SELECT * FROM {schema}.{table}",
            "TRUNCATE {schema}.{table}",
            "DROP TABLE {schema}.{table}",
            "UPDATE {schema}.current_snapshot SET snapshot = 'x'",
            "DELETE FROM {schema}.publications",
            "CREATE TABLE {schema}.mine (x int)",
        ],
    )
    def test_readers_change_nothing(self, snapshots: SnapshotFactory, role: str, statement: str) -> None:
        manifest = snapshots.write(MONDAY)
        publish(snapshots, manifest)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(snapshots.settings, statement.replace("{table}", table_of(manifest)), role)
        assert len(served_rows(snapshots.settings)) == 20

    def test_the_reader_sees_the_ledger_and_the_service_does_not(self, snapshots: SnapshotFactory) -> None:
        publish(snapshots, snapshots.write(MONDAY))
        question = "SELECT action, customers FROM {schema}.publications"
        assert ask(snapshots.settings, question, "reader") == [("publish", 20)]
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(snapshots.settings, question)

    def test_a_role_that_is_not_there_is_named(self, market_settings: Settings) -> None:
        stranger = SecretStr("postgresql://stranger:secret@127.0.0.1/creditrisk")
        settings = market_settings.model_copy(update={"reader_database_url": stranger})
        with pytest.raises(StoreError, match="role stranger, named by"):
            OnlineStore(settings).migrate()
        assert OnlineStore(market_settings).migrate() == MIGRATIONS

    def test_one_role_for_everything_works_too(self, market_settings: Settings) -> None:
        publisher = market_settings.publisher_database_url
        settings = market_settings.model_copy(
            update={"service_database_url": publisher, "reader_database_url": None}
        )
        snapshots = SnapshotFactory(settings)
        publish(snapshots, snapshots.write(MONDAY))
        assert len(served_rows(settings)) == 20

    def test_a_url_without_a_user_is_a_settings_error(self, market_settings: Settings) -> None:
        settings = market_settings.model_copy(
            update={"service_database_url": SecretStr("postgresql://localhost/creditrisk")}
        )
        with pytest.raises(SettingsError, match="CREDITRISK_SERVICE_DATABASE_URL: not a postgresql:// URL"):
            OnlineStore(settings)


class TestMigrations:
    def test_are_applied_once(self, store: OnlineStore) -> None:
        assert store.migrate() == MIGRATIONS
        assert store.migrate() == []

    def test_are_applied_once_by_many_at_once(self, store: OnlineStore) -> None:
        with ThreadPoolExecutor(6) as racers:
            applied = list(racers.map(lambda _: store.migrate(), range(6)))
        assert sorted(map(len, applied)) == [0, 0, 0, 0, 0, len(MIGRATIONS)]

    def test_of_newer_code_stop_older_code(self, store: OnlineStore, market_settings: Settings) -> None:
        store.migrate()
        ask(market_settings, "INSERT INTO {schema}.migrations VALUES ('0999_later.sql')", "publisher")
        with pytest.raises(StoreError, match=r"0999_later\.sql was applied by newer code"):
            store.migrate()


class TestUnavailable:
    def test_nothing_listening_is_one_line_without_the_password(self, market_settings: Settings) -> None:
        url = SecretStr(f"postgresql://creditrisk_publisher:hush@127.0.0.1:{free_port()}/creditrisk")
        store = OnlineStore(market_settings.model_copy(update={"publisher_database_url": url}))
        with pytest.raises(StoreUnavailable, match="Connection refused") as raised:
            store.served()
        assert "hush" not in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_no_url_is_a_settings_error(self, market_settings: Settings) -> None:
        with pytest.raises(SettingsError, match="CREDITRISK_PUBLISHER_DATABASE_URL: not set"):
            OnlineStore(market_settings.model_copy(update={"publisher_database_url": None}))

    def test_before_anything_is_published_there_is_nothing(self, store: OnlineStore) -> None:
        assert store.served() is None
        assert store.kept() == set()
        assert store.switches() == []


def test_a_served_table_that_is_gone_is_loaded_again(snapshots: SnapshotFactory, store: OnlineStore) -> None:
    monday = snapshots.write(MONDAY)
    publish(snapshots, monday)
    ask(snapshots.settings, f"DROP TABLE {{schema}}.{table_of(monday)}", role="publisher")
    assert store.served() is None
    assert publish(snapshots, monday).changed
    assert store.served() == the_id(monday)
    assert tables(snapshots.settings) == {table_of(monday)}
