"""Released step by step under a steady load: a good version, bad ones, a rollback, a lost database, a killed service."""

import csv
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import anyio
import numpy as np
import psutil
import psycopg2
import pytest

from creditrisk.decision_store import decision_of
from creditrisk.release import ReleaseAction
from creditrisk.scoring import flatten
from creditrisk.settings import PROJECT_ROOT
from local import stack
from local.airflow_client import AirflowClient
from local.environment import service
from serving.past_versions import PastVersions
from serving.replay import replay
from tests.e2e.load import CONNECTIONS, Load, steady_load
from tests.e2e.system import System, wait_until
from tests.planted_versions import Fault, plant_boosting

DAG = "release_model"
STEPS = (0.05, 0.25, 0.5)
TASKS = ("start_shadow", "shadow", "share_05", "share_25", "share_50", "approve", "promote", "settle")

BRING_UP = "from creditrisk.settings import load_settings; from local import progress, stack; stack.start(load_settings(), progress.Progress())"


@pytest.fixture(scope="module")
def published(system: System) -> tuple[list[int], np.ndarray]:
    """The customers of the snapshot, and their features as training has them."""
    snapshot = system.catalog.current(system.newest)
    assert snapshot is not None
    with system.catalog.lake.open(f"{snapshot.folder}/features.csv") as file:
        rows = {int(row["id"]): row for row in csv.DictReader(file.read().decode().splitlines())}
    names = ("age", "years_on_the_job", "nb_previous_loans", "avg_amount_loans_previous", "flag_own_car")
    features = [[float(row[name] or "nan") for name in names] for row in rows.values()]
    return list(rows), np.array(features)


@pytest.fixture(scope="module")
def load(system: System, published: tuple[list[int], np.ndarray]) -> Iterator[Load]:
    with steady_load(system, published[0]) as load:
        wait_until(lambda: load.answered() > 100, "the load has begun")
        yield load


def plant(system: System, rows: np.ndarray, fault: Fault) -> str:
    """A version fitted to the champion's own decisions, and then given its fault."""
    newest = system.ledger.newest()
    assert newest is not None
    champion = system.registry.load(newest.champion)
    declined = flatten(champion.model).probabilities(rows) >= champion.manifest.threshold
    return plant_boosting(system.registry.storage, rows, declined.astype(np.int_), fault).version


def abort_reason(system: System, version: str) -> str:
    """Run the release of a bad version to its end; why it was aborted."""
    before = system.ledger.history()
    run_id, state = system.run_dag(DAG, {"version": version, "reason": "Looks good on paper"})
    assert state == "failed"
    assert system.states(DAG, run_id) == {
        "start_shadow": "success",
        "shadow": "failed",
        **dict.fromkeys(TASKS[2:-1], "upstream_failed"),
        "settle": "success",
    }
    challenged, aborted = system.ledger.history()[len(before) :]
    assert (challenged.action, challenged.challenger, challenged.share) == (
        ReleaseAction.CHALLENGE, version, 0.0,
    )  # fmt: skip
    assert (aborted.action, aborted.champion, aborted.challenger, aborted.by) == (
        ReleaseAction.ABORT, before[-1].champion, None, "op",
    )  # fmt: skip
    log = system.log(DAG, run_id, "shadow")
    assert aborted.reason in log
    with system.login() as client:
        verdict = client.result(DAG, run_id, "shadow")
    assert verdict["finding"] == "abort"
    assert all(check["sentence"] in log for check in verdict["checks"])
    return aborted.reason


def answer_approval(system: System, client: AirflowClient, run_id: str, option: str) -> None:
    """Answer as an operator does, once the scheduler has heard that the question's process has ended.

    Before that it would take the task, which is back in the queue, for one that failed, and ask again.
    """
    scheduler = service(system.settings, "airflow-scheduler").log
    heard = re.compile(rf"Received executor event .*task_id='approve', run_id='{re.escape(run_id)}'")
    states = ("awaiting_input", "upstream_failed")
    wait_until(lambda: client.tasks(DAG, run_id)["approve"]["state"] in states, "an operator is asked")
    wait_until(lambda: heard.search(scheduler.read_text(errors="replace")) is not None, "it has been heard")
    answered = client.request(
        "PATCH",
        f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails",
        json={"chosen_options": [option], "params_input": {}},
    )
    assert answered.is_success, answered.text


def rows_of(system: System, question: str, *values: Any) -> list[tuple[Any, ...]]:
    """An answer of the decision log, read by the role that only reads."""
    url = system.settings.reader_database_url
    assert url is not None
    with closing(psycopg2.connect(url.get_secret_value())) as connection, connection.cursor() as cursor:
        cursor.execute(f"SET search_path TO {system.settings.database_schema}")
        cursor.execute(question, values)
        return cursor.fetchall()


def test_a_good_version_goes_from_shadow_to_everybody_by_itself_once_approved(
    system: System, load: Load
) -> None:
    champion = system.ledger.history()[-1]
    with system.login() as client, system.login("admin") as admin:
        run_id = client.trigger("train_model", {"seed": 8})
        assert client.wait("train_model", run_id) == "success"
        version = client.result("train_model", run_id, "register")
        run_id = client.trigger(DAG, {"version": version, "reason": "Better on the newest loans"})
        answer_approval(system, admin, run_id, "Approve")
        assert client.wait(DAG, run_id) == "success", system.states(DAG, run_id)
        verdicts = {name: client.result(DAG, run_id, name) for name in TASKS[1:5]}
    assert system.states(DAG, run_id) == dict.fromkeys(TASKS, "success")

    records = system.ledger.history()[champion.number :]
    assert [(record.action, record.share) for record in records] == [
        (ReleaseAction.CHALLENGE, 0.0),
        *((ReleaseAction.GROW, share) for share in STEPS),
        (ReleaseAction.PROMOTE, 0.0),
    ]
    assert {(record.champion, record.challenger, record.by) for record in records[:-1]} == {
        (champion.champion, version, "op")
    }
    assert (records[-1].champion, records[-1].challenger, records[-1].by) == (version, None, "admin")
    for record, verdict in zip(records, verdicts.values(), strict=False):
        assert (verdict["finding"], verdict["step"]["release"]) == ("go on", record.number)
        assert verdict["customers"] >= 400
        assert verdict["filled_up"] == 0
    system.wait_for_model(version)

    half = records[3].number
    arms = dict(rows_of(system, "SELECT arm, count(*) FROM decisions WHERE release = %s GROUP BY 1", half))
    assert arms["challenger"] / sum(arms.values()) == pytest.approx(0.5, abs=0.08)
    assert "fallback" not in arms
    assert load.failures == {}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault.INVERTED, "the two decide differently on"),
        (Fault.DECLINING, "approval rate, challenger's less champion's: -"),
        (Fault.RAISING, "one of its trees names a node or a feature that is not there"),
        (Fault.FAILING, "its probability is nan"),
        (Fault.SLOW, "µs, over the limit of 1000 µs"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
def test_a_bad_version_is_aborted_as_a_shadow_for_what_is_wrong_with_it(
    system: System, load: Load, published: tuple[list[int], np.ndarray], fault: Fault, words: str
) -> None:
    reason = abort_reason(system, plant(system, published[1], fault))
    assert reason.startswith("step of share 0: ")
    assert words in reason
    assert ("the challenger failed on" in reason) == (fault in (Fault.RAISING, Fault.FAILING, Fault.SLOW))
    assert load.failures == {}


def test_a_rejected_version_is_promoted_by_nobody(system: System, load: Load) -> None:
    before = system.ledger.history()
    version = before[0].champion  # it served before, so it would be fit to
    with system.login() as client, system.login("admin") as admin:
        run_id = client.trigger(DAG, {"version": version, "reason": "The old one", "steps": ["5%"]})
        answer_approval(system, admin, run_id, "Reject")
        assert client.wait(DAG, run_id) == "success"
        assert client.result(DAG, run_id, "share_25") == {"finding": "passed over"}
    assert system.states(DAG, run_id) == {
        **dict.fromkeys(TASKS, "success"),
        "promote": "skipped",
    }
    assert [(record.action, record.share) for record in system.ledger.history()[len(before) :]] == [
        (ReleaseAction.CHALLENGE, 0.0),
        (ReleaseAction.GROW, 0.05),
        (ReleaseAction.ABORT, 0.0),
    ]
    aborted = system.ledger.history()[-1]
    assert (aborted.champion, aborted.reason) == (before[-1].champion, "rejected by admin")
    assert "rejected by admin" in system.log(DAG, run_id, "settle")
    assert load.failures == {}


def test_a_run_that_is_marked_as_failed_leaves_no_challenge_behind(system: System) -> None:
    champion, version = system.ledger.history()[-1].champion, system.ledger.history()[0].champion
    with system.login() as client:
        run_id = client.trigger(DAG, {"version": version, "reason": "To be stopped in its middle"})
        wait_until(lambda: system.ledger.history()[-1].challenger == version, "the challenge has begun")
        wait_until(lambda: client.tasks(DAG, run_id)["shadow"]["state"] is not None, "the shadow is judged")
        marked = client.request("PATCH", f"/dags/{DAG}/dagRuns/{run_id}", json={"state": "failed"})
        assert marked.is_success, marked.text
        wait_until(lambda: client.tasks(DAG, run_id)["settle"]["state"] == "success", "the run has settled")
        client.wait(DAG, run_id)  # as failed, or, marked between two tasks, with all the rest skipped
        assert client.tasks(DAG, run_id)["promote"]["state"] in ("skipped", "upstream_failed")
    last = system.ledger.history()[-1]
    assert (last.action, last.champion, last.challenger) == (ReleaseAction.ABORT, champion, None)
    assert last.reason == "its run ended before it was promoted"


def test_a_rollback_under_load_loses_nothing(system: System, load: Load) -> None:
    first, present = system.ledger.history()[0].champion, system.ledger.history()[-1].champion
    assert first != present
    _, state = system.run_dag("roll_back_model", {"reason": "To see what happens to the requests"})
    assert state == "success"
    system.wait_for_model(first)
    answered = load.answered()
    wait_until(lambda: load.answered() > answered + 100, "it answers on")
    assert load.failures == {}


def test_a_killed_database_is_told_of_and_comes_back(system: System, load: Load) -> None:
    pid_file = system.var_dir / "postgres" / "data" / "postmaster.pid"
    server = psutil.Process(int(pid_file.read_text().split()[0]))
    families = [server, *server.children(recursive=True)]
    server.kill()
    psutil.wait_procs(families, timeout=30)
    wait_until(lambda: load.failures["503"] > 10, "questions are answered 503")
    bring_up(system)
    answered = load.answered()
    wait_until(lambda: load.answered() > answered + 100, "it decides again")
    assert set(load.failures) == {"503"}


def test_a_killed_service_is_started_again(system: System, load: Load) -> None:
    api = service(system.settings, stack.API).process()
    assert api is not None
    # The parent first: it puts a new worker in the place of one that dies, which nobody would kill.
    killed = [api, *api.children(recursive=True)]
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, timeout=30)
    wait_until(lambda: load.failures["ConnectionRefusedError"] > 0, "nobody listens any more")
    bring_up(system)
    answered = load.answered()
    wait_until(lambda: load.answered() > answered + 100, "it decides again")


def test_every_answered_decision_is_in_the_log_once_and_a_hundred_are_made_again_the_same(
    system: System, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = PastVersions(system.registry.storage)
    monkeypatch.setattr("serving.replay.PastVersions", lambda _: versions)  # so that each is loaded once
    load.stop()
    ids = load.decision_ids
    assert len(ids) == len(set(ids)) > 1000
    logged = (
        "SELECT decision_id::text, count(*) FROM decisions WHERE decision_id = ANY(%s::uuid[]) GROUP BY 1"
    )
    wait_until(lambda: len(rows_of(system, logged, ids)) == len(ids), "all of them are in Postgres", 60)
    assert {count for _, count in rows_of(system, logged, ids)} == {1}
    ((all_of_them,),) = rows_of(system, "SELECT count(*) FROM decisions WHERE decided_at >= %s", load.began)
    assert 0 <= all_of_them - len(ids) <= CONNECTIONS  # one a connection that was open at the kill

    async def replays() -> list[str]:
        url = system.settings.service_database_url
        assert url is not None
        found = []
        for decision_id in random.Random(3).sample(ids, 100):
            record = await decision_of(url.get_secret_value(), system.settings.database_schema, decision_id)
            found.append((await replay(system.settings, record)).verdict)
        return found

    assert Counter(anyio.run(replays)) == {"same": 100}


def bring_up(system: System) -> None:
    """Start what is not up, as make run does."""
    ran = subprocess.run(
        [sys.executable, "-c", BRING_UP],
        cwd=PROJECT_ROOT,
        env=system.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
