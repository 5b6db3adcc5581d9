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

import psycopg2
import pytest
from psycopg2 import sql

from creditrisk.contract import CUSTOMER_COLUMNS
from creditrisk.customer_rows import customer_rows
from creditrisk.errors import (
    OlderThanServed,
    SnapshotDamaged,
    SnapshotMissing,
    StoreUnavailable,
)
from creditrisk.online_store import OnlineStore, Publication
from creditrisk.settings import Settings
from creditrisk.snapshots import SnapshotManifest
from tests.creditrisk.published_market import (
    MONDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    ask,
    publish,
    served_rows,
    table_of,
    tables,
    the_id,
)
from tests.creditrisk.snapshot_factory import SnapshotFactory, customers_table


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
        assert again.sentence == f"Snapshot {manifest.snapshot} was being served already: nothing changed."
        assert (ask(snapshots.settings, question), store.switches(), tables(snapshots.settings)) == before

    def test_customers_gone_from_the_snapshot_are_gone_online(self, snapshots: SnapshotFactory) -> None:
        publish(snapshots, snapshots.write(MONDAY, [1, 2, 3]))
        publication = publish(snapshots, snapshots.write(TUESDAY, [2, 3, 4]))
        assert [row[0] for row in served_rows(snapshots.settings)] == [2, 3, 4]
        assert "3 customers. It replaced 2020-12-28-" in publication.sentence

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


def test_before_anything_is_published_there_is_nothing(store: OnlineStore) -> None:
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
