"""``make run``: loans in, features, a model, its promotion, decisions over HTTP; all through Airflow's own scheduler."""

import os
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from creditrisk.errors import VersionMissing
from creditrisk.registry import ModelRegistry
from creditrisk.release_ledger import ReleaseLedger
from creditrisk.settings import Settings, load_settings
from creditrisk.snapshots import SnapshotCatalog
from creditrisk.storage import Storage
from local import airflow, stack
from local.airflow_client import AirflowClient
from local.api_key import HEADER, own_key
from local.landing import LoansFile, land, look_at
from local.progress import Progress, StackError

SAMPLE = "sample"
"""What ``--loans`` says for generated loans, and the market that they live in, apart from anybody's own."""
SAMPLE_CUSTOMERS, SAMPLE_DAYS, SAMPLE_SEED = 3000, 730, 7
DAGS = (
    "refresh_features",
    "train_model",
    "promote_model",
    "release_model",
    "roll_back_model",
    "abort_release",
    "remove_expired",
    "monitor_model",
)
OPERATOR = "op"
_SHOWN_DECISIONS = 5
_READY_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Served:
    """What serves at the end of a walk."""

    snapshot: str
    version: str


def walk_through(settings: Settings, asked_for: str) -> None:
    """Start everything and take loans all the way to decisions.

    Args:
        settings: this machine's.
        asked_for: a loans file, ``sample``, or empty for what was asked for last.

    Raises:
        StackError: something stands in the way, or a run ended badly; the message says what.
    """
    progress = Progress()
    choice = remembered_choice(settings, asked_for, progress)
    settings = with_market(settings, choice)
    file = sample_file(settings, progress) if choice == SAMPLE else Path(choice)
    with progress.step(f"Reading {file.name}"):
        loans = look_at(file, today(settings))
    remember(settings, choice)
    settings = stack.start(settings, progress)
    land_loans(settings, loans, progress)
    with AirflowClient(airflow.base_url(settings), OPERATOR, airflow.passwords(settings)[OPERATOR]) as client:
        for dag_id in DAGS:
            client.wait_for_dag(dag_id)
            client.unpause(
                dag_id
            )  # of a paused DAG, runs by hand wait too; the nightly's first slot is yet to come
        snapshot = refresh(settings, client, loans.newest, progress)
        version = train_and_promote(settings, client, snapshot, progress)
    with progress.step("The service takes up the model"):
        wait_until_serving(settings, version)
    print_summary(settings, loans, Served(snapshot, version), progress)


def remembered_choice(settings: Settings, asked_for: str, progress: Progress) -> str:
    """The absolute path of a loans file or ``sample``: what is asked for, else what was chosen last."""
    memory = settings.var_dir / "loans-choice"
    last = memory.read_text().strip() if memory.exists() else ""
    if asked_for and asked_for != SAMPLE:
        choice = str(Path(asked_for).expanduser().absolute())
        if not Path(choice).is_file():
            raise StackError(f"LOANS={asked_for}: no such file")
    else:
        choice = asked_for or last or SAMPLE
    if last and choice == last and not asked_for and last != SAMPLE:
        progress.say(f"Going on with {last}; make run LOANS={SAMPLE} uses generated loans instead")
    return choice


def remember(settings: Settings, choice: str) -> None:
    """Keep a choice for the next time."""
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    (settings.var_dir / "loans-choice").write_text(choice + "\n")


def with_market(settings: Settings, choice: str) -> Settings:
    """Settings in which generated loans have a market of their own, unless the environment names one."""
    if "CREDITRISK_MARKET" in os.environ:
        return settings
    default = str(Settings.model_fields["market"].default)
    return load_settings(var_dir=settings.var_dir, market=SAMPLE if choice == SAMPLE else default)


def today(settings: Settings) -> date:
    """The day it is in the market."""
    return datetime.now(settings.zone).date()


def sample_file(settings: Settings, progress: Progress) -> Path:
    """The generated loans, made once and kept."""
    folder = settings.var_dir / "sample"
    made = sorted(folder.glob("loans-*.csv"))
    if made:
        return made[-1]
    newest = today(settings) - timedelta(days=1)
    file = folder / f"loans-{SAMPLE_CUSTOMERS}-customers-{newest}.csv"
    with progress.step(f"Generating loans of {SAMPLE_CUSTOMERS:,} customers"):
        from local.generate_loans import generate_loans

        generate_loans(file, customers=SAMPLE_CUSTOMERS, days=SAMPLE_DAYS, seed=SAMPLE_SEED, newest=newest)
    return file


def land_loans(settings: Settings, loans: LoansFile, progress: Progress) -> None:
    """Land the file, and say what the market holds beside it."""
    lake = Storage(settings.lake_root)
    key = land(loans, lake)
    progress.say(f"Landed as {lake.url_of(key)}")
    others = [other for other in lake.keys("raw/loans") if other != key]
    if others:
        progress.say(
            f"Market {settings.market} has {len(others)} more: {', '.join(others)}; runs read them together"
        )


def run_dag(client: AirflowClient, dag_id: str, form: dict[str, Any], progress: Progress) -> str:
    """Run a DAG by hand to its end; the run's id.

    Raises:
        StackError: it failed; the message has the last lines of the failed task's log.
    """
    with progress.step(f"{dag_id} {form}"):
        run_id = client.trigger(dag_id, form)

        def tell(task_id: str, state: str) -> None:
            progress.say(f"    {task_id}: {state.replace('_', ' ')}")
            if state == "up_for_retry":
                progress.say(ends_of_logs(client, dag_id, run_id, state))

        state = client.wait(dag_id, run_id, on_change=tell)
    if state != "success":
        raise StackError(f"{dag_id} {run_id} failed. {ends_of_logs(client, dag_id, run_id, 'failed')}")
    return run_id


def ends_of_logs(client: AirflowClient, dag_id: str, run_id: str, state: str) -> str:
    """The last lines of the logs of a run's tasks that are in a state."""
    tasks = [task for task in client.tasks(dag_id, run_id).values() if task["state"] == state]
    return "\n".join(
        f"{task['task_id']}: "
        + "\n".join(client.log(dag_id, run_id, task["task_id"], task["try_number"])[-10:])
        for task in tasks
    )


def refresh(settings: Settings, client: AirflowClient, as_of: date, progress: Progress) -> str:
    """Run ``refresh_features`` for a date; the id of its snapshot."""
    run_id = run_dag(client, "refresh_features", {"as_of": str(as_of)}, progress)
    snapshot = SnapshotCatalog(Storage(settings.lake_root)).current(as_of)
    if client.tasks("refresh_features", run_id)["publish"]["state"] == "skipped":
        progress.say("A newer snapshot is being served already, so this one was not published")
    return str(snapshot)


def train_and_promote(settings: Settings, client: AirflowClient, snapshot: str, progress: Progress) -> str:
    """Train on the snapshot and promote what comes out, unless what serves was made from it already."""
    registry = Storage(settings.registry_root)
    release = ReleaseLedger(registry).newest()
    if release is not None:
        try:
            champion = ModelRegistry(registry).manifest(release.champion)
        except VersionMissing:
            champion = None
        if champion is not None and champion.snapshot == snapshot:
            progress.say(
                f"Model {release.champion} was trained on this snapshot and serves: nothing to train"
            )
            return str(release.champion)
    run_id = run_dag(client, "train_model", {"snapshot": snapshot}, progress)
    version = str(client.result("train_model", run_id, "register"))
    run_dag(client, "promote_model", {"version": version, "reason": "Trained by make run"}, progress)
    return version


def wait_until_serving(settings: Settings, version: str) -> None:
    """Return once the service is ready with a version.

    Raises:
        StackError: it is not in time; the message has its answer.
    """
    base, key = f"http://{settings.bind_host}:{settings.api_port}", {HEADER: own_key(settings)}
    answer = ""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        asked = httpx.get(f"{base}/health/ready")
        if asked.is_success:  # before that, the question would be counted as one that failed
            asked = httpx.get(f"{base}/model", headers=key)
            if asked.is_success and version in asked.text:
                return
        answer = f"{asked.status_code} {asked.text}"
        time.sleep(0.5)
    raise StackError(f"the service does not serve {version} after {_READY_SECONDS} s: {answer}")


def decisions(settings: Settings, customers: tuple[int, ...]) -> list[dict[str, Any]]:
    """Decisions on some customers by HTTP, declined ones first; those that the snapshot does not know left out."""
    url, key = f"http://{settings.bind_host}:{settings.api_port}/predict", {HEADER: own_key(settings)}
    answers = [httpx.post(url, json={"id": customer}, headers=key) for customer in customers]
    known = [answer.json() for answer in answers if answer.is_success]
    if not known:
        raise StackError(f"no decision for any of {len(customers)} customers: {answers[-1].text}")
    declined = [answer for answer in known if answer["decision"] == 1][: _SHOWN_DECISIONS // 2]
    accepted = [answer for answer in known if answer["decision"] == 0]
    return (declined + accepted)[:_SHOWN_DECISIONS]


def print_summary(settings: Settings, loans: LoansFile, served: Served, progress: Progress) -> None:
    """Print decisions with what they rest on, the addresses and the logins."""
    host = settings.bind_host
    print(f"\nDecisions (1 = predicted to be late = declined), from {loans.path.name}:")
    print(f"{'customer':>10} {'decision':>8} {'probability':>11} {'threshold':>9}  features")
    for answer in decisions(settings, loans.customers):
        features = ", ".join(f"{name} {_shown(value)}" for name, value in answer["features"].items())
        print(
            f"{answer['id']:>10} {answer['decision']:>8} {answer['probability']:>11.4f}"
            f" {answer['threshold']:>9.4f}  {features}"
        )
    logins = ", ".join(f"{user} / {password}" for user, password in airflow.passwords(settings).items())
    customer, key = loans.customers[0], own_key(settings)
    print(f"""
Snapshot    {served.snapshot}
Model       {served.version}
Airflow     {airflow.base_url(settings)}    login {logins}
Operators   {airflow.base_url(settings)}/plugin/operators    what is served, last night, and what is wrong
Predictions http://{host}:{settings.api_port}/docs
MLflow      {stack.mlflow_address(settings)}
API key: {key}   (for everything; python -m creditrisk keys makes others)
Ask         curl -s http://{host}:{settings.api_port}/predict -H '{HEADER}: {key}' -d '{{"id": {customer}}}'
Files       {settings.var_dir} (logs in {settings.var_dir / "log"})
Stop        make stop

The nightly run is on ({settings.nightly_schedule}, {settings.time_zone}). All of it took {progress.seconds:.0f} s.""")


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
