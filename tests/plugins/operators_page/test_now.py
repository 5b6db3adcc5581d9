from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from creditrisk.alert_store import Alert, NewAlert, changing_alerts
from creditrisk.delivery_store import next_delivery
from creditrisk.nights import Night, Outcome
from creditrisk.online_store import OnlineStore
from creditrisk.probe_store import Probe
from creditrisk.release import ReleaseAction, ReleaseRecord
from creditrisk.settings import Settings
from creditrisk.snapshots import Verdict
from tests.airflow_environment import prepare

prepare()

from plugins.operators_page.now import Serving, served_instead, serving_of, snapshot_of, state_of  # noqa: E402
from plugins.operators_page.store_rows import Served  # noqa: E402

NOON = datetime(2021, 1, 10, 12, tzinfo=UTC)
OLD, NEW, NEXT = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb", "2020-12-31-cccccccccc"
ALERT = Alert(1, "drift", "", "warning", NOON, None, "Decisions have drifted", NOON.date(), "s", "a", "l")
PROBE = Probe("postgres", Verdict.PASS, "It answers.", NOON, NOON)


def record(number: int, champion: str, challenger: str | None = None, share: float = 0.0) -> ReleaseRecord:
    action = ReleaseAction.GROW if challenger else ReleaseAction.PROMOTE
    at = NOON + timedelta(hours=number)
    return ReleaseRecord(
        number=number, action=action, champion=champion, challenger=challenger, share=share, by="ana", reason="so", at=at
    )  # fmt: skip


def served(as_of: date) -> Served:
    return Served(f"{as_of}-ab12cd34ef56", NOON)


SERVING = serving_of([record(1, OLD)])
FRESH = snapshot_of(served(date(2021, 1, 9)), NOON.date(), Settings(_env_file=None))


def test_the_champion_serves_since_its_promotion_and_not_since_the_newest_record() -> None:
    history = [
        record(1, NEW),
        record(2, OLD),
        record(3, NEW),
        record(4, NEW, NEXT),
        record(5, NEW, NEXT, 0.25),
    ]
    found = serving_of(history)
    assert isinstance(found, Serving)
    assert (found.champion, found.since, found.challenger, found.share) == (NEW, history[2].at, NEXT, 0.25)
    assert serving_of([]) is None


@pytest.mark.parametrize(
    ("days", "limit", "verdict"),
    [(3, 0, "pass"), (4, 0, "warn"), (400, 0, "warn"), (7, 7, "warn"), (8, 7, "fail")],
)
def test_a_snapshot_s_age_is_held_against_the_service_s_limits(days: int, limit: int, verdict: str) -> None:
    settings = Settings(_env_file=None, snapshot_age_warn_days=3, snapshot_age_limit_days=limit)
    found = snapshot_of(served(NOON.date() - timedelta(days=days)), NOON.date(), settings)
    assert found is not None
    assert (found.age_days, found.verdict) == (days, verdict)


def test_nothing_wrong_is_green_only_where_somebody_has_looked() -> None:
    assert state_of(SERVING, FRESH, [], [PROBE], NOON).kind == "good"
    assert state_of(SERVING, FRESH, [], [], NOON).kind == "quiet"
    stale = state_of(SERVING, FRESH, [], [PROBE], NOON + timedelta(hours=2))
    assert (stale.kind, stale.sentences) == (
        "warn",
        ["Nobody has looked at the parts of the system for 2 h."],
    )


def test_the_worst_colours_the_page_and_all_is_said() -> None:
    failed = PROBE._replace(name="lake", verdict=Verdict.FAIL, words="It does not answer.")
    state = state_of(SERVING, FRESH, [ALERT], [PROBE, failed], NOON)
    assert state.kind == "bad"
    assert state.sentences == ["lake: It does not answer.", "Alert: Decisions have drifted"]
    assert state_of(SERVING, FRESH, [ALERT], [PROBE], NOON).kind == "warn"
    assert state_of(SERVING, FRESH, [ALERT._replace(severity="critical")], [PROBE], NOON).kind == "bad"


def test_ended_alerts_and_notices_leave_it_green() -> None:
    quiet = [ALERT._replace(ended_at=NOON), ALERT._replace(severity="notice")]
    assert state_of(SERVING, FRESH, quiet, [PROBE], NOON).kind == "good"


def test_without_a_model_or_a_snapshot_it_is_red() -> None:
    state = state_of(None, None, [], [PROBE], NOON)
    assert (state.kind, len(state.sentences)) == ("bad", 2)


def test_what_is_served_is_said_where_it_is_not_what_the_last_night_published() -> None:
    assert FRESH is not None

    def night(snapshot: str | None, outcome: Outcome = Outcome.PUBLISHED) -> Night:
        facts = (snapshot, 9, 9, 0, 0, 60.0, "pass", outcome, None)
        return Night(NOON.date(), "scheduled", NOON, NOON, *facts)

    assert served_instead(night("2021-01-09-ffffffffffff"), FRESH) == FRESH
    assert served_instead(night(FRESH.snapshot), FRESH) is None
    assert served_instead(night("2021-01-09-ffffffffffff", Outcome.SKIPPED), FRESH) is None
    assert served_instead(night("2021-01-09-ffffffffffff", Outcome.FAILED), FRESH) is None
    assert served_instead(night(FRESH.snapshot), None) is None
    assert served_instead(None, FRESH) is None


def test_it_is_said_why_an_alert_is_over_and_nothing_of_what_only_happened(
    login: Any, settings: Settings
) -> None:
    OnlineStore(settings).migrate()
    now = datetime.now(UTC)
    about = ("warning", "Decisions drift", now.date(), "model m", "retrain", "")
    with changing_alerts(settings, now - timedelta(hours=1)) as writer:
        writer.start(NewAlert("drift", "age", *about), [])
        writer.start(NewAlert("release_aborted", "", *about), [], happened_at=now - timedelta(hours=1))
    with changing_alerts(settings, now) as writer:
        (drift,) = writer.open_alerts()
        writer.end(drift, "model m", [], "age < 0.25 & well")
    told = login("viewer").get("/operators/now").text.partition("2 ended in the last seven days")[2]
    rows = [row.partition("</tr>")[0] for row in told.partition("</table>")[0].split("<tr>")[1:]]
    head, happened, ended = (row.strip() for row in rows)  # the newest first
    assert head.endswith('<th scope="col">Why it is over</th>')
    assert happened.endswith("<td>–</td>")
    assert ended.endswith("<td>age &lt; 0.25 &amp; well</td>")


def test_messages_that_did_not_get_out_are_told_of_alerts_that_are_over_too_however_long_ago(
    login: Any, settings: Settings
) -> None:
    OnlineStore(settings).migrate()
    now = datetime.now(UTC)
    about = ("notice", "Another model serves", now.date(), "model m", "nothing", "")
    for days, rule, channels in ((40, "sent", []), (30, "model_released", ["webhook"]), (1, "ended", [])):
        at = now - timedelta(days=days)
        with changing_alerts(settings, at) as writer:
            writer.start(NewAlert(rule, "", *about), channels, happened_at=at)
    with next_delivery(settings, now, ["webhook"]) as sending:
        assert sending is not None
        sending.error = "the webhook answered <500>"
    _, _, told = login("viewer").get("/operators/now").text.partition("<details open><summary>")
    assert told.startswith("2 ended in the last seven days, or with messages that are not sent yet<")
    _, ended, unsent = told.partition("</tbody>")[0].split("<tr>")[1:]
    assert "<td>ended</td>" in ended
    assert "not sent yet" not in ended
    assert "<td>model_released</td>" in unsent
    assert "1 not sent yet, tried again by itself: the webhook answered &lt;500&gt;</td>" in unsent
