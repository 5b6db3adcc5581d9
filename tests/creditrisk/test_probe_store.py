"""The newest look at each part, and since when it has been so, in a real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest

from creditrisk.alert_store import changing_alerts
from creditrisk.online_store import OnlineStore
from creditrisk.probe_store import Look, Probe, keep_looks
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from tests.creditrisk.kept_rows import probes

NOON = datetime(2021, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def settings(market_settings: Settings) -> Settings:
    OnlineStore(market_settings).migrate()
    return market_settings


def keep(settings: Settings, minutes: int, *looks: Look) -> list[Probe]:
    now = NOON + timedelta(minutes=minutes)
    with changing_alerts(settings, now) as writer:
        return keep_looks(writer.cursor, writer.schema, looks, now)


def test_since_is_when_the_verdict_became_what_it_is(settings: Settings) -> None:
    seen = []
    for minutes, verdict in enumerate([Verdict.PASS, Verdict.FAIL, Verdict.FAIL, Verdict.PASS, Verdict.PASS]):
        (probe,) = keep(settings, minutes, Look("lake", verdict, f"look {minutes}"))
        assert (probe.verdict, probe.words) == (verdict, f"look {minutes}")
        assert probe.seen_at == NOON + timedelta(minutes=minutes)
        seen.append((probe.since - NOON).total_seconds() / 60)
    assert seen == [0, 1, 1, 3, 3]


def test_parts_that_were_not_looked_at_stay_and_everybody_may_read(settings: Settings) -> None:
    keep(settings, 0, Look("lake", Verdict.PASS, "it answers"), Look("mlflow", Verdict.NOT_JUDGED, "a file"))
    found = keep(settings, 5, Look("lake", Verdict.WARN, "it is slow"))
    assert [(probe.name, probe.verdict) for probe in found] == [
        ("lake", Verdict.WARN),
        ("mlflow", Verdict.NOT_JUDGED),
    ]
    assert probes(settings) == found
