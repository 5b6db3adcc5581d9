"""The page in Airflow's own app: who sees what, every view with data and with none, and nothing unescaped."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extras import Json

from creditrisk import release_ledger
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings
from creditrisk.storage import Storage
from tests.creditrisk.published_market import publish
from tests.creditrisk.snapshot_factory import SnapshotFactory
from tests.decision_records import add_to_log, decision_record
from tests.planted_versions import REFUSED, plant

VIEWS = ("now", "nights", "models", "release", "drift", "decision", "what-now")
ACTIONS = ("promote", "roll-back", "abort", "rerun", "release")
CHAMPION, CHALLENGER, BAD = "2020-12-29-aaaaaaaaaa", "2020-12-30-bbbbbbbbbb", "2020-12-31-cccccccccc"
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>{{7*7}}"
TODAY = datetime.now(UTC).date()
DECISION = decision_record(
    decided_at=datetime.now(UTC),
    customer=77,
    model_version=CHAMPION,
    key_name=HOSTILE,
    reasons=[
        {
            "code": "R01_AGE",
            "feature": "age",
            "sentence": HOSTILE,
            "value": 32,
            "usual": {"value": 44, "low": 30, "high": 60},
            "contribution": 0.01,
            "probability_with_usual_value": 0.24,
        }
    ],
)


def insert(settings: Settings, table: str, **values: Any) -> None:
    """Put a row into a table of the market, as the publisher."""
    assert settings.publisher_database_url is not None
    statement = sql.SQL("INSERT INTO {}.{} ({}) VALUES ({})").format(
        sql.Identifier(settings.database_schema),
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join([sql.Placeholder()] * len(values)),
    )
    url = settings.publisher_database_url.get_secret_value()
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement, [Json(one) if isinstance(one, dict) else one for one in values.values()])


@pytest.fixture
def lived_in(settings: Settings) -> Settings:
    """A market where all that the page shows has happened, told in hostile words."""
    snapshots = SnapshotFactory(settings)
    manifest = snapshots.write(TODAY - timedelta(days=1), quarantined_by_rule={"unparsable": 3})
    publish(snapshots, manifest)
    registry = Storage(settings.registry_root)
    plant(registry, CHAMPION)
    plant(registry, CHALLENGER)
    plant(registry, BAD, gate=REFUSED.model_copy(update={"reasons": [HOSTILE]}))
    release_ledger.promote(settings, CHAMPION, by=HOSTILE, reason=HOSTILE)
    record = release_ledger.challenge(settings, CHALLENGER, 0.0, by="ana", reason="a better one")
    insert(
        settings, "nights", as_of=TODAY - timedelta(days=1), run_id=HOSTILE, snapshot=manifest.snapshot, rows_in=20, kept=17,
        quarantined=3, later=0, seconds=40.0, verdict="pass", outcome="published", why=HOSTILE,
    )  # fmt: skip
    insert(
        settings, "alerts", rule="drift", subject=HOSTILE, severity="critical", words=HOSTILE, since=TODAY, serving=HOSTILE,
        advice=HOSTILE, link=HOSTILE,
    )  # fmt: skip
    insert(
        settings, "deliveries", alert=1, event="started", channel="log", state="unsent", last_error=HOSTILE
    )
    insert(settings, "probes", name=HOSTILE, verdict="fail", words=HOSTILE)
    insert(
        settings, "traffic", minute=datetime.now(UTC) - timedelta(minutes=5), worker="w", route="/predict", status=200,
        requests=990, seconds_sum=1.0,
    )  # fmt: skip
    insert(
        settings, "traffic", minute=datetime.now(UTC) - timedelta(minutes=5), worker="w", route="/predict", status=503,
        requests=10, seconds_sum=0.5,
    )  # fmt: skip
    for metric, part in (
        ("population_stability_index", "week/all/age"),
        ("approval_rate", "week/all"),
        ("skew_rows", "day/all"),
    ):
        insert(
            settings, "metrics", day=TODAY, metric=metric, part=part, value=0.31, limit_value=0.25, verdict="fail", words=HOSTILE,
            detail={"edges": [20.0, 40.0], "found": [0.2, 0.5, 0.3], "expected": [0.3, 0.4, 0.3], "rows": 9, "expected_rows": 9},
        )  # fmt: skip
    insert(
        settings, "vintages", month=date(TODAY.year, TODAY.month, 1), version=HOSTILE, arm="champion", decisions=100, excluded=20,
        labelled=40, late=4, roc_auc=0.61, expected_roc_auc=0.6,
    )  # fmt: skip
    check = {
        "name": "flips",
        "value": 0.01,
        "low": 0.0,
        "high": 0.02,
        "limit": 0.1,
        "finding": "wait",
        "sentence": HOSTILE,
    }
    insert(
        settings, "looks", release=record.number, judged_at=datetime.now(UTC), finding="wait",
        verdict={
            "step": {"release": record.number, "judged_at": datetime.now(UTC).isoformat()}, "finding": "wait", "reasons": [HOSTILE],
            "decisions": 120, "customers": 100, "filled_up": 0, "checks": [check],
        },
    )  # fmt: skip
    add_to_log(settings, [DECISION])
    Storage(settings.lake_root).create(
        f"reports/{TODAY}/drift-0001.html", b"<script>parent.location</script>"
    )
    return settings


def keep_from_viewers(monkeypatch: pytest.MonkeyPatch, dag_id: str) -> None:
    """Airflow shows the runs of a DAG to nobody, as where its rights are by DAG."""
    from airflow.api_fastapi.app import get_auth_manager

    manager = get_auth_manager()
    allowed = manager.is_authorized_dag

    def is_authorized_dag(**asked: Any) -> bool:
        return asked["details"].id != dag_id and bool(allowed(**asked))

    monkeypatch.setattr(manager, "is_authorized_dag", is_authorized_dag)


class TestWhoSeesWhat:
    @pytest.mark.parametrize(
        "path", [*VIEWS, "", "dag?dag_id=x", "act/promote", "act/rerun/confirm", "act/done", "drift/report",
                 f"models/{CHAMPION}/pictures/roc.png", "static/0/page.css", "docs", "openapi.json"],
    )  # fmt: skip
    def test_nobody_sees_anything_without_a_login(self, login: Any, path: str) -> None:
        answer = login(None).get(f"/operators/{path}")
        assert answer.status_code in (401, 404)
        assert "credit" not in answer.text.lower()

    @pytest.mark.parametrize("path", VIEWS)
    def test_a_user_without_a_role_sees_nothing(self, login: Any, path: str) -> None:
        assert login("stranger").get(f"/operators/{path}").status_code == 403

    @pytest.mark.parametrize("action", ACTIONS)
    def test_a_viewer_cannot_act_nor_ask_to(self, login: Any, action: str) -> None:
        viewer = login("viewer")
        for answer in (
            viewer.get(f"/operators/act/{action}"),
            viewer.get(f"/operators/act/{action}/confirm"),
            viewer.post(f"/operators/act/{action}", data={"reason": "because I can"}),
        ):
            assert answer.status_code == 403

    @pytest.mark.usefixtures("lived_in")
    def test_a_viewer_sees_and_is_offered_no_action(self, login: Any) -> None:
        assert "act/roll-back" in login("op").get("/operators/now").text
        shown = login("viewer").get("/operators/now")
        assert shown.status_code == 200
        assert CHAMPION in shown.text
        assert "/operators/act/" not in shown.text

    @pytest.mark.parametrize(
        ("dag_id", "hidden", "shown"),
        [
            ("refresh_features", VIEWS, ()),
            ("train_model", ("models",), ("now", "release", "drift", "what-now")),
            ("release_model", ("release",), ("now", "models", "drift")),
            ("monitor_model", ("drift", f"drift/report?day={TODAY}"), ("now", "models", "release")),
        ],
    )
    def test_a_view_is_for_those_who_may_see_the_runs_of_its_dag(
        self,
        login: Any,
        monkeypatch: pytest.MonkeyPatch,
        dag_id: str,
        hidden: tuple[str, ...],
        shown: tuple[str, ...],
    ) -> None:
        keep_from_viewers(monkeypatch, dag_id)
        viewer = login("viewer")
        assert {viewer.get(f"/operators/{path}").status_code for path in hidden} == {403}
        assert {viewer.get(f"/operators/{path}").status_code for path in shown} <= {200}

    def test_a_run_is_shown_to_those_who_may_see_the_runs_of_its_dag(
        self, login: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from plugins.operators_page import what_now
        from plugins.operators_page.airflow_runs import OUR_DAGS

        made = login("admin").post("/api/v2/dags/monitor_model/dagRuns", json={"logical_date": None})
        run = {"dag_id": "monitor_model", "run_id": made.json()["dag_run_id"]}
        assert login("viewer").get("/operators/what-now", params=run).status_code == 200
        asked: list[Any] = []
        monkeypatch.setattr(what_now, "red_tasks", lambda *given: asked.append(given[-1]) or [])
        keep_from_viewers(monkeypatch, "monitor_model")
        viewer = login("viewer")
        assert viewer.get("/operators/what-now", params=run).status_code == 404
        assert viewer.get("/operators/what-now").status_code == 200
        assert asked == [[dag_id for dag_id in OUR_DAGS if dag_id != "monitor_model"]]


class TestEveryView:
    @pytest.mark.parametrize("path", VIEWS)
    def test_says_plainly_that_there_is_nothing_yet(self, login: Any, path: str) -> None:
        answer = login("viewer").get(f"/operators/{path}")
        assert answer.status_code == 200
        assert 'aria-current="page"' in answer.text
        if path != "decision":
            assert 'class="nothing"' in answer.text

    def test_of_a_night_that_runs_only_its_beginning_is_known(self, login: Any, lived_in: Settings) -> None:
        began = datetime(2021, 1, 10, 2, tzinfo=UTC)
        insert(lived_in, "nights", as_of=TODAY, run_id="r", started_at=began, outcome="running")
        told = login("viewer").get("/operators/now").text.partition("The last night")[2]
        assert "since 2021-01-10 02:00." in told
        assert "rows in" not in told

    @pytest.mark.usefixtures("lived_in")
    @pytest.mark.parametrize(
        ("path", "shown"),
        [
            ("now", ["Red: look at once", CHALLENGER, "1.00 %", "tried again by itself"]),
            ("nights", ["15.00 %", "published"]),
            ("models", [CHAMPION, BAD, "refused"]),
            (f"models?version={CHALLENGER}", ["What changed against the champion", "Promote at once"]),
            ("release", ["No run of release_model judges", "120", "flips", "Drawn from the second look on."]),
            ("drift", ["population stability index", "0.31", "50.0 %", "10.00 %", "+0.0100", "data-figure", "drift/report"]),
            ("drift?feature=age", ["9 decisions&#39; customers against 9 reference rows"]),
            (f"decision?id={DECISION.decision_id}", ["Approved: the probability of being late, 0.250000", "R01_AGE"]),
            ("decision?id=77", [DECISION.decision_id]),
        ],
        ids=lambda value: value.partition("=")[0] if isinstance(value, str) else "",
    )  # fmt: skip
    def test_shows_what_there_is_and_escapes_all_of_it(self, login: Any, path: str, shown: list[str]) -> None:
        answer = login("op").get(f"/operators/{path}")
        assert answer.status_code == 200
        assert [words for words in shown if words not in answer.text] == []
        assert "<script>alert" not in answer.text
        assert "<img src=x" not in answer.text
        assert "onerror=alert(1)>" not in answer.text.replace("&gt;", "")
        assert "default-src 'none'" in answer.headers["content-security-policy"]

    @pytest.mark.usefixtures("lived_in")
    def test_one_night_shows_its_rules_whatever_the_run_is_called(self, login: Any) -> None:
        as_of = TODAY - timedelta(days=1)
        answer = login("op").get("/operators/nights", params={"as_of": str(as_of), "run_id": HOSTILE})
        assert answer.status_code == 200
        assert "3 × unparsable" in answer.text
        assert "Its rows are not in the lake any more." in answer.text
        assert "<script>alert" not in answer.text

    def test_the_newest_night_has_a_row_although_it_never_started(
        self, login: Any, market_settings: Settings
    ) -> None:
        OnlineStore(market_settings).migrate()
        as_of = TODAY - timedelta(days=3)
        began = datetime(as_of.year, as_of.month, as_of.day, 2, tzinfo=UTC) + timedelta(days=1)
        insert(
            market_settings, "nights", as_of=as_of, run_id="nightly", started_at=began, outcome="published"
        )
        text = login("op").get("/operators/nights").text
        assert "Nothing ran for this date." in text
        assert text.index(f">{as_of + timedelta(days=1)}</th>") < text.index(f">{as_of}</a>")

    def test_a_night_of_long_ago_does_not_bury_the_others(self, login: Any, lived_in: Settings) -> None:
        insert(lived_in, "nights", as_of=TODAY - timedelta(days=2001), run_id="by hand", outcome="published")
        text = login("op").get("/operators/nights").text
        assert f"{TODAY - timedelta(days=2000)} to {TODAY - timedelta(days=2)}" in text
        assert "Nothing ran for these 1999 days." in text
        assert text.count("no run") == 1

    @pytest.mark.usefixtures("lived_in")
    def test_a_day_that_was_not_measured_is_not_said_to_be_well(self, login: Any) -> None:
        text = login("op").get("/operators/drift", params={"day": str(TODAY + timedelta(days=1))}).text
        assert "Nothing was measured of" in text
        assert "Every measure that could be judged" not in text
        assert f'0.31 <span class="quiet">on {TODAY}</span>' in text
        assert ">on " not in login("op").get("/operators/drift").text

    @pytest.mark.usefixtures("lived_in")
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("models?version=2020-12-01-0000000000", 404),
            ("models?version=../../etc/passwd", 404),
            ("nights?as_of=2020-01-01&run_id=x", 404),
            ("decision?id=019c0b5e-7e64-7cc1-9c4b-1d2a3b4c5d6e", 404),
            ("decision?id=<script>alert(1)</script>", 400),
            ("what-now?dag_id=somebody_else_s&run_id=x", 404),
            ("drift/report?day=2020-01-01", 404),
            ("drift?feature=status", 404),
            ("drift?day=", 400),
            ("drift?day=0001-01-01", 400),
            ("drift?arm=%00", 400),
            ("drift/report", 400),
            ("release?challenge=77", 404),
            ("release?challenge=the+first", 400),
            ("nights?as_of=yesterday&run_id=x", 400),
            ("models/2020-12-29-aaaaaaaaaa/pictures/model.joblib", 404),
        ],
    )
    def test_what_is_not_there_is_told_in_words(self, login: Any, path: str, status: int) -> None:
        answer = login("op").get(f"/operators/{path}")
        assert answer.status_code == status
        assert "<h1>" in answer.text
        assert "<script>alert" not in answer.text

    def test_a_store_that_is_away_is_told_in_words(self, login: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CREDITRISK_READER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
        answer = login("viewer").get("/operators/now")
        assert answer.status_code == 503
        assert "This cannot be read now" in answer.text

    @pytest.mark.usefixtures("lived_in")
    def test_the_report_cannot_act_for_whoever_reads_it(self, login: Any) -> None:
        answer = login("op").get("/operators/drift/report", params={"day": str(TODAY)})
        assert answer.text == "<script>parent.location</script>"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts; default-src 'none'")
        assert "allow-same-origin" not in policy

    def test_a_market_without_tables_reads_as_an_empty_one(self, login: Any, settings: Settings) -> None:
        OnlineStore(settings).migrate()
        with_tables = login("viewer").get("/operators/now").text
        assert (
            "The service knows no customer" in with_tables or "the service knows no customer" in with_tables
        )


def test_files_are_kept_by_browsers_as_their_address_changes_with_them(login: Any) -> None:
    page = login("viewer").get("/operators/drift").text
    addresses = [part.split('"')[0] for part in page.split('="/operators/static/')[1:]]
    assert sorted(address.split("/")[1] for address in addresses) == ["page.css", "page.js", "plotly.min.js"]
    for address in addresses:
        answer = login("viewer").get(f"/operators/static/{address}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert login("viewer").get("/operators/static/000000000000/page.css").status_code == 404


@pytest.mark.parametrize(
    ("dag_id", "view"),
    [("refresh_features", "nights"), ("monitor_model", "drift"), ("something_else", "now")],
)
def test_a_dag_s_tab_leads_to_the_view_of_it(login: Any, dag_id: str, view: str) -> None:
    answer = login("viewer").get("/operators/dag", params={"dag_id": dag_id})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/operators/{view}")
