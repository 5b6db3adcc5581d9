"""The decision log in a real PostgreSQL: every record once, in its day, and added by who may do nothing else."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import psycopg2
import pytest

from creditrisk.decision_store import COLUMNS, DecisionStore, decision_of
from creditrisk.decisions import DecisionRecord, json_of, to_line
from creditrisk.errors import DecisionUnknown, RecordsRefused, StoreUnavailable
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from tests.conftest import free_port
from tests.creditrisk.published_market import ask
from tests.creditrisk.test_decisions import RECORD, RECORDS


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    """Of a market whose schema is made."""
    OnlineStore(market_settings).migrate()
    return market_settings


def url_of(settings: Settings, role: str = "service") -> str:
    url: str = getattr(settings, f"{role}_database_url").get_secret_value()
    return url


def bodies(*records: DecisionRecord) -> list[bytes]:
    return [json_of(to_line(record)) for record in records]


def with_store(
    settings: Settings, work: Callable[[DecisionStore], Coroutine[Any, Any, Any]], role: str = "service"
) -> Any:
    """Do something with the store as a role."""

    async def run() -> Any:
        store = DecisionStore(url_of(settings, role), settings.database_schema)
        try:
            return await work(store)
        finally:
            store.close()

    return asyncio.run(run())


def add(settings: Settings, *records: DecisionRecord) -> None:
    with_store(settings, lambda store: store.add(bodies(*records)))


def new(**fields: Any) -> DecisionRecord:
    return RECORD._replace(decision_id=str(uuid4()), **fields)


class TestAdd:
    def test_what_is_added_is_found_value_for_value(self, settings: Settings) -> None:
        records = [record._replace(decision_id=str(uuid4())) for record in RECORDS]
        records[2] = records[2]._replace(paired=records[1].paired)  # no NUL, which Postgres has not
        records.append(new(features=(32, 5, 3, 200.0, 1), probability=1.0, reasons=[{"a": 'b\\n"c\tñ'}]))

        async def work(store: DecisionStore) -> list[DecisionRecord | None]:
            await store.add(bodies(*records))
            return [await store.find(record.decision_id, 5) for record in records]

        assert with_store(settings, work) == records
        for record in records:
            for role in ("service", "reader"):
                found = asyncio.run(
                    decision_of(url_of(settings, role), settings.database_schema, record.decision_id.upper())
                )
                assert found == record

    def test_again_adds_nothing(self, settings: Settings) -> None:
        one, two, three = new(), new(), new()
        add(settings, one, two, one)
        add(settings, two, three)
        rows = ask(settings, "SELECT decision_id::text, count(*) FROM {schema}.decisions GROUP BY 1")
        assert dict(rows) == {record.decision_id: 1 for record in (one, two, three)}

    def test_each_lies_in_the_day_of_its_utc_time(self, settings: Settings) -> None:
        moments = [
            datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC),
            datetime(2027, 1, 1, tzinfo=UTC),
            datetime(2027, 3, 1, 12, tzinfo=UTC),
        ]
        ask(settings, "SET timezone = 'America/Mexico_City'")
        add(settings, *(new(decided_at=moment) for moment in moments))
        rows = ask(settings, "SELECT decided_at, tableoid::regclass::text FROM {schema}.decisions")
        assert {moment.astimezone(UTC): name.rpartition(".")[2] for moment, name in rows} == dict(
            zip(
                moments,
                ["decisions_20261231", "decisions_20270101", "decisions_20270301"],
                strict=True,
            )
        )

    def test_many_workers_make_the_same_new_day_at_once(self, settings: Settings) -> None:
        async def race() -> None:
            stores = [DecisionStore(url_of(settings), settings.database_schema) for _ in range(6)]
            await asyncio.gather(*(store.add(bodies(new())) for store in stores))
            for store in stores:
                store.close()

        asyncio.run(race())
        assert ask(settings, "SELECT count(*) FROM {schema}.decisions") == [(6,)]

    def test_readers_are_not_held_up_by_a_new_day(self, settings: Settings) -> None:
        add(settings, new())
        with psycopg2.connect(url_of(settings, "reader")) as reading, reading.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {settings.database_schema}.decisions")  # holds its lock
            add(settings, new(decided_at=datetime(2031, 1, 1, tzinfo=UTC)))
        reading.close()
        assert ask(settings, "SELECT count(*) FROM {schema}.decisions") == [(2,)]

    def test_a_day_that_was_removed_is_made_again(self, settings: Settings) -> None:
        one, two = new(), new()

        async def work(store: DecisionStore) -> None:
            await store.add(bodies(one))
            await asyncio.to_thread(ask, settings, "DROP TABLE {schema}.decisions_20261124", "publisher")
            await store.add(bodies(two))

        with_store(settings, work)
        assert ask(settings, "SELECT decision_id::text FROM {schema}.decisions") == [(two.decision_id,)]

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"age": 40_000}, "out of range for type smallint"),
            ({"decision": 2}, "violates check constraint"),
            ({"champion": None}, "violates not-null constraint"),
            ({"key_name": "a\0b"}, "unsupported Unicode escape sequence"),
        ],
    )
    def test_a_record_that_postgres_does_not_take_is_refused_with_its_batch(
        self, settings: Settings, wrong: dict[str, Any], says: str
    ) -> None:
        (good, bad) = bodies(new(), new())
        spoilt = orjson.dumps(orjson.loads(bad) | wrong)

        async def work(store: DecisionStore) -> None:
            with pytest.raises(RecordsRefused, match=says):
                await store.add([good, spoilt])
            await store.add([good])

        with_store(settings, work)
        assert ask(settings, "SELECT count(*) FROM {schema}.decisions") == [(1,)]

    def test_a_schema_that_is_not_there_is_no_fault_of_the_records(self, market_settings: Settings) -> None:
        with pytest.raises(StoreUnavailable, match="does not exist"):
            add(market_settings, new())

    def test_no_server_no_url_and_no_password_told(self, settings: Settings) -> None:
        async def work(url: str | None) -> None:
            await DecisionStore(url, settings.database_schema).add(bodies(new()))

        with pytest.raises(StoreUnavailable, match="CREDITRISK_SERVICE_DATABASE_URL"):
            asyncio.run(work(None))
        with pytest.raises(StoreUnavailable) as raised:
            asyncio.run(work(f"postgresql://somebody:hush@127.0.0.1:{free_port()}/creditrisk"))
        assert "hush" not in str(raised.value)


class TestFind:
    def test_an_unknown_id_is_none_and_no_id_is_said_to_be_none(self, settings: Settings) -> None:
        assert with_store(settings, lambda store: store.find(str(uuid4()), 5)) is None
        for unknown in (str(uuid4()), "five"):
            with pytest.raises(DecisionUnknown, match=unknown):
                asyncio.run(decision_of(url_of(settings), settings.database_schema, unknown))


class TestRoles:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE {schema}.decisions SET decision = 0",
            "DELETE FROM {schema}.decisions",
            "TRUNCATE {schema}.decisions",
            "DROP TABLE {schema}.decisions",
            "DELETE FROM {schema}.decisions_20261124",
            "ALTER TABLE {schema}.decisions DETACH PARTITION {schema}.decisions_20261124",
            "UPDATE {schema}.current_snapshot SET snapshot = 'x'",
            "INSERT INTO {schema}.features_layout DEFAULT VALUES",
            "CREATE TABLE {schema}.mine (a int)",
        ],
    )
    @pytest.mark.parametrize("role", ["service", "reader"])
    def test_the_service_adds_and_changes_nothing(
        self, settings: Settings, statement: str, role: str
    ) -> None:
        add(settings, new())
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(settings, statement, role)
        assert ask(settings, "SELECT count(*) FROM {schema}.decisions") == [(1,)]

    def test_the_service_cannot_change_features(self, settings: Settings) -> None:
        table = "features_20201231_aaaaaaaaaaaa"
        ask(settings, f"CREATE TABLE {{schema}}.{table} (LIKE {{schema}}.features_layout)", "publisher")
        ask(
            settings,
            f"GRANT SELECT ON {{schema}}.{table} TO {psycopg2.extensions.parse_dsn(url_of(settings))['user']}",
            "publisher",
        )
        assert ask(settings, f"SELECT count(*) FROM {{schema}}.{table}") == [(0,)]
        for statement in ("UPDATE {} SET age = 30", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                ask(settings, statement.format(f"{{schema}}.{table}"))
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(settings, f"INSERT INTO {{schema}}.{table} (id) VALUES (1)")

    def test_the_reader_adds_neither_records_nor_days(self, settings: Settings) -> None:
        for statement in (
            "INSERT INTO {schema}.decisions (decision_id) VALUES (gen_random_uuid())",
            "SELECT {schema}.add_decision_day('2030-01-01')",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                ask(settings, statement, "reader")

    def test_a_temporary_table_does_not_mislead_the_function_that_makes_days(
        self, settings: Settings
    ) -> None:
        trap = (
            "CREATE TEMPORARY TABLE decisions (a int); CREATE TEMPORARY TABLE pg_class (relname text); "
            "SELECT {schema}.add_decision_day('2030-01-01')"
        )
        ask(settings, trap)
        question = (
            "SELECT inhparent::regclass::text, inhrelid::regclass::text FROM pg_inherits "
            f"WHERE inhparent = '{settings.database_schema}.decisions'::regclass"
        )
        schema = settings.database_schema
        assert ask(settings, question) == [(f"{schema}.decisions", f"{schema}.decisions_20300101")]


def test_the_columns_are_those_of_a_records_json(settings: Settings) -> None:
    rows = ask(
        settings,
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
        f"WHERE attrelid = '{settings.database_schema}.decisions'::regclass AND attnum > 0 ORDER BY attnum",
    )
    assert {name: "timestamptz" if kind.startswith("timestamp") else kind for name, kind in rows} == COLUMNS
    assert set(orjson.loads(bodies(RECORD)[0])) == set(COLUMNS)


def test_a_days_decisions_are_found_by_index(settings: Settings) -> None:
    add(settings, new())
    names = ask(
        settings,
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'decisions_20261124' "
        f"AND schemaname = '{settings.database_schema}'",
    )
    indexed = {definition[0].partition("btree ")[2] for definition in names}
    assert indexed == {"(decision_id, decided_at)", "(release, decided_at)", "(customer, decided_at)"}


def test_a_lost_connection_is_replaced(settings: Settings) -> None:
    one, two = new(), new()

    async def work(store: DecisionStore) -> None:
        await store.add(bodies(one))
        server = await asyncpg.connect(url_of(settings))
        await server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'creditrisk-decision-log' AND usename = session_user"
        )
        await server.close()
        await asyncio.sleep(0.1)
        await store.add(bodies(two))

    with_store(settings, work)
    assert ask(settings, "SELECT count(*) FROM {schema}.decisions") == [(2,)]
