"""What the page reads of a real store."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import uuid_utils

from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.store_reader import StoreReader
from tests.airflow_environment import prepare
from tests.creditrisk.published_market import ask
from tests.decision_records import add_to_log, decision_record

prepare()

from plugins.operators_page.readings import opened  # noqa: E402

NOW = datetime.now(UTC)


def test_without_any_table_everything_reads_as_empty(market_settings: Settings) -> None:
    with opened(StoreReader.of(market_settings)) as readings:
        assert readings.served() is None
        assert readings.nights(5) == readings.alerts(NOW) == readings.probes() == readings.vintages() == []
        assert (
            readings.traffic(NOW, NOW) is readings.decided(NOW, NOW) is readings.newest_measured_day() is None
        )
        assert (
            readings.metrics(NOW.date(), NOW.date())
            == readings.looks([1], 5)
            == readings.decisions_of(7, 5)
            == []
        )
        assert readings.decision(uuid4()) is None


@pytest.mark.parametrize(
    "decision_id", [str(uuid_utils.uuid7()), str(uuid4())], ids=["of its day", "of no day"]
)
@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=40)])
def test_a_decision_is_found_by_its_id_whatever_time_that_tells(
    market_settings: Settings, decision_id: str, late: timedelta
) -> None:
    OnlineStore(market_settings).migrate()
    record = decision_record(decision_id=decision_id, decided_at=NOW - late)
    add_to_log(market_settings, [record, decision_record(decided_at=NOW)])
    with opened(StoreReader.of(market_settings)) as readings:
        assert readings.decision(UUID(decision_id)) == record


def test_a_customer_s_decisions_come_newest_first_and_decisions_are_counted_in_their_window(
    market_settings: Settings,
) -> None:
    OnlineStore(market_settings).migrate()
    records = [
        decision_record(decided_at=NOW - timedelta(hours=hours), decision=hours % 2) for hours in range(4)
    ]
    add_to_log(market_settings, records)
    with opened(StoreReader.of(market_settings)) as readings:
        assert readings.decisions_of(7, 3) == records[:3]
        found = readings.decided(NOW - timedelta(hours=2, minutes=1), NOW)
    assert found is not None
    assert (found.decisions, found.approved) == (3, 2)


def test_what_only_looks_whether_the_service_lives_is_no_traffic(market_settings: Settings) -> None:
    OnlineStore(market_settings).migrate()
    ask(
        market_settings,
        "INSERT INTO {schema}.traffic SELECT now(), 'w', route, status, requests, 1.0 FROM (VALUES "
        "('POST /predict', 200, 8), ('POST /predict', 503, 2), ('GET /health/ready', 503, 90)) "
        "AS t(route, status, requests)",
        "publisher",
    )
    with opened(StoreReader.of(market_settings)) as readings:
        traffic = readings.traffic(NOW - timedelta(minutes=1), NOW + timedelta(minutes=5))
    assert traffic is not None
    assert (traffic.requests, traffic.failed, traffic.error_share) == (10, 2, 0.2)
