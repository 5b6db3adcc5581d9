"""What is alerted on, as data: where each rule looks, when it is broken, how bad that is, and what to do.

Each has a section of its title in ``docs/runbook.md``.
"""

from datetime import timedelta

from creditrisk.release import ReleaseAction
from creditrisk.snapshots import Verdict
from monitoring.nightly_probe import NIGHT_OUTCOME, NIGHT_VERDICT, NIGHTLY_RUN, NIGHTLY_START, OTHER_NIGHTS
from monitoring.probes import (
    AIRFLOW_PARTS,
    LAKE,
    MLFLOW,
    MONITORING,
    POSTGRES,
    REGISTRY,
    SERVICE,
    SERVICE_MODEL,
    SPOOL,
)
from monitoring.rule_kinds import Days, Happening, Lasting, Reported, Rule, Severity

BAD = frozenset({Verdict.WARN, Verdict.FAIL})
WARN = frozenset({Verdict.WARN})
RETRIED = timedelta(minutes=9)
"""From a first bad look to the third, five minutes apart: what passes by itself does not last as long."""

_DRIFT = (
    "population_stability_index",
    "drift_test",
    "missing_share",
    "out_of_bounds_share",
    "unseen_customers_share",
    "score_population_stability_index",
    "approval_rate",
)


def _drifted(*metrics: str) -> tuple[Days, ...]:
    """Days that drift, or weeks: a single noisy day is in the weeks of seven days, which must alert nobody either."""
    return Days(metrics, BAD, bad=3, of=5, parts="day/*"), Days(metrics, BAD, bad=8, of=9, parts="week/*")


RELEASE_NOT_BEGUN = Rule(
    "release_not_begun",
    "A release could not begin",
    Severity.WARNING,
    Happening(),
    "Read why in the words: nothing has changed; mend it, or release a version that may serve.",
)

PROMOTION_FAILED = Rule(
    "promotion_failed",
    "A promotion has failed",
    Severity.NOTICE,
    Happening(),
    "Read why in the words: what serves stays; promote a version that may serve, or try again once it is mended.",
)

TASK_FAILED = Rule(
    "task_failed",
    "A task has failed",
    Severity.WARNING,
    Reported(),
    "Read the last lines of the task's log; mend the cause and clear the task.",
)

STORE_AWAY = Rule(
    "store_away",
    "Postgres is away",
    Severity.CRITICAL,
    Lasting(POSTGRES),
    "Bring Postgres back: no decision can be given, and decisions made wait on the service's disk.",
)

RULES = (
    Rule(
        "nightly_never_started",
        "The nightly run never started",
        Severity.CRITICAL,
        Lasting(NIGHTLY_START),
        "See whether refresh_features is paused and the scheduler healthy, then trigger the date by hand.",
    ),
    Rule(
        "nightly_late",
        "The nightly run is late",
        Severity.WARNING,
        Lasting(NIGHTLY_RUN, WARN),
        "Look at the running task's log: it goes on by itself, unless it hangs; then clear it.",
    ),
    Rule(
        "nightly_failed",
        "The nightly run has failed",
        Severity.CRITICAL,
        (Days((NIGHT_OUTCOME,)),),
        "Mend what the words name, then clear the failed task: what is served stays meanwhile.",
    ),
    Rule(
        "other_night_failed",
        "A night of another date has failed",
        Severity.WARNING,
        Lasting(OTHER_NIGHTS),
        "Mend what the words name and clear the failed task; the newest night is not touched by it.",
    ),
    Rule(
        "quality_gate_failed",
        "The quality gate stopped a snapshot",
        Severity.CRITICAL,
        (Days((NIGHT_VERDICT,)),),
        "Read the failed checks; mend the input, or change the limit, then clear quality_gate.",
    ),
    Rule(
        "quality_gate_warned",
        "The quality gate keeps warning",
        Severity.WARNING,
        (Days((NIGHT_VERDICT,), BAD, bad=2, of=3),),
        "Read the checks that warn, before one of them stops a night.",
    ),
    TASK_FAILED,
    RELEASE_NOT_BEGUN,
    PROMOTION_FAILED,
    Rule(
        "release_aborted",
        "A release was aborted",
        Severity.WARNING,
        Happening(frozenset({ReleaseAction.ABORT})),
        "Nothing is urgent: the champion decides on everybody. Read the reason before releasing another version.",
    ),
    Rule(
        "model_released",
        "Another model serves",
        Severity.NOTICE,
        Happening(frozenset({ReleaseAction.PROMOTE, ReleaseAction.ROLL_BACK})),
        "Nothing, if it was meant; else trigger roll_back_model.",
    ),
    Rule(
        "drift",
        "Decisions have drifted",
        Severity.WARNING,
        _drifted(*_DRIFT),
        "Find out whether the applicants or the data have changed; train on the new ones, or mend the feed.",
    ),
    Rule(
        "incoming_drift",
        "Incoming loans have drifted",
        Severity.WARNING,
        _drifted("incoming_population_stability_index"),
        "Ask whoever sends the files whether something changed, before the model is trained on it.",
    ),
    Rule(
        "skew",
        "Decisions were made on other features",
        Severity.CRITICAL,
        (Days(("skew_rows",)),),
        "Read in the words whether the fault lies before the snapshot or behind it, and the rows in the measure's detail.",
    ),
    Rule(
        "realised_quality",
        "The model no longer meets its gate",
        Severity.CRITICAL,
        (Days(("realised_roc_auc", "realised_calibration_error"), bad=2, of=3),),
        "Train on newer loans and release that; roll back if the version before was better.",
    ),
    Rule(
        "labels_overdue",
        "Outcomes are overdue",
        Severity.WARNING,
        (Days(("labelled_share",), BAD, bad=2, of=3),),
        "Ask whoever sends raw/labels for the missing files: until then nobody knows how the model does.",
    ),
    Rule(
        "data_old",
        "The data or the model is old",
        Severity.WARNING,
        (Days(("snapshot_age_days", "model_age_days"), BAD, bad=2, of=2),),
        "See why nothing newer was published, or train_model and release_model.",
    ),
    Rule(
        "volume",
        "Requests are far from the usual",
        Severity.WARNING,
        (Days(("volume_ratio",), BAD, bad=2, of=3),),
        "Ask the clients: too few may be refused or lost on the way, too many may be a loop.",
    ),
    Rule(
        "monitoring_late",
        "Nothing is being measured",
        Severity.WARNING,
        Lasting(MONITORING),
        "See whether monitor_model is paused or fails: drift and quality are not watched meanwhile.",
    ),
    Rule(
        "decision_log_stuck",
        "The decision log does not drain",
        Severity.CRITICAL,
        Lasting(SPOOL, at_least=RETRIED),
        "See what health says of the log: Postgres, a full disk, or records that were rejected.",
    ),
    Rule(
        "service_not_ready",
        "The service does not answer",
        Severity.CRITICAL,
        Lasting(SERVICE, at_least=RETRIED),
        "Ask /health/ready what is missing, and read the service's log.",
    ),
    Rule(
        "model_not_taken_up",
        "The service does not take up a release",
        Severity.CRITICAL,
        Lasting(SERVICE_MODEL, WARN, at_least=RETRIED),
        "Another version goes on deciding: read why in the words, then roll back or train again.",
    ),
    STORE_AWAY,
    Rule(
        "lake_away",
        "The lake or the registry is away",
        Severity.CRITICAL,
        Lasting(LAKE, at_least=RETRIED),
        "See whether the storage answers and its credentials are good: no night can be built.",
    ),
    Rule(
        "registry_away",
        "The lake or the registry is away",
        Severity.CRITICAL,
        Lasting(REGISTRY, at_least=RETRIED),
        "See whether the storage answers and its credentials are good: no release can be made.",
    ),
    *(
        Rule(
            f"airflow_{part}",
            "A part of Airflow is unwell",
            Severity.WARNING,
            Lasting(f"airflow {part}", at_least=RETRIED),
            f"Start Airflow's {part} again: runs wait for it.",
        )
        for part in AIRFLOW_PARTS
    ),
    Rule(
        "mlflow_away",
        "MLflow does not answer",
        Severity.NOTICE,
        Lasting(MLFLOW, at_least=timedelta(hours=1)),
        "Training goes on without its record there; start MLflow again.",
    ),
)
"""All rules, in the order of the runbook."""

BY_NAME = {rule.name: rule for rule in RULES}
