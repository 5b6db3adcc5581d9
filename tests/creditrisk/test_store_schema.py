"""The market's schema: who may read what, migrations, and a server that is not there."""

from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from pydantic import SecretStr

from creditrisk.errors import (
    SettingsError,
    StoreError,
    StoreUnavailable,
)
from creditrisk.online_store import OnlineStore
from creditrisk.settings import PROJECT_ROOT, Settings
from tests.conftest import free_port
from tests.creditrisk.published_market import MONDAY, ask, publish, served_rows, table_of
from tests.creditrisk.snapshot_factory import SnapshotFactory

MIGRATIONS = sorted(path.name for path in (PROJECT_ROOT / "creditrisk" / "migrations").glob("*.sql"))


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
