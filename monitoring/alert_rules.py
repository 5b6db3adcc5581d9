"""What is alerted on, as data: where a rule looks, when it is broken, how bad that is, and what to do.

Three kinds. *Days*: a measure of the table ``metrics`` (or of a night) is bad on k of the last n days and on the newest.
*Lasting*: a part of the system, looked at every few minutes, has been bad for a while. *Happening*: something
that took place once and has no end. Each rule has a section of its title in ``docs/runbook.md``.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from creditrisk.release import ReleaseAction
from creditrisk.snapshots import Verdict

NIGHTLY_START, NIGHTLY_RUN, MONITORING = "nightly start", "nightly run", "monitoring"
POSTGRES, LAKE, REGISTRY, SERVICE, SPOOL, MLFLOW = (
    "postgres", "lake", "registry", "service", "decision log", "mlflow",
)  # fmt: skip
AIRFLOW_PARTS = ("scheduler", "dag_processor", "triggerer")
"""As Airflow's own health names them; each is a probe ``airflow <part>``."""

NIGHT_OUTCOME, NIGHT_VERDICT = "night_outcome", "night_verdict"
"""Names of the measures that are made of the rows of the table of nights."""

FAIL, BAD = frozenset({Verdict.FAIL}), frozenset({Verdict.WARN, Verdict.FAIL})
WARN = frozenset({Verdict.WARN})
RETRIED = timedelta(minutes=9)
"""Two looks, five minutes apart, which what passes by itself does not last."""


class Severity(StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"  # now: decisions are wrong, missing or not logged
    WARNING = "warning"  # today: it gets worse by itself
    NOTICE = "notice"  # for information


@dataclass(frozen=True, slots=True)
class Days:
    """A measure is bad on ``bad`` of the last ``of`` days and on the newest."""

    metrics: tuple[str, ...]
    verdicts: frozenset[Verdict] = FAIL
    bad: int = 1
    of: int = 1
    parts: str = "*"
    """A shell pattern of the measures' parts."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """A probe has had one of the verdicts for a while."""

    probe: str
    verdicts: frozenset[Verdict] = FAIL
    at_least: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Happening:
    """A release record of one of these actions was written."""

    actions: frozenset[ReleaseAction]


@dataclass(frozen=True, slots=True)
class Reported:
    """Whoever sees it says so, and says when it is over: a task of Airflow's, by its callbacks."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is alerted on."""

    name: str
    title: str
    """The heading of its section in the runbook."""
    severity: Severity
    broken_when: Days | Lasting | Happening | Reported
    advice: str
    """What to do first, in a sentence or two."""

    @property
    def anchor(self) -> str:
        """Of its section in the runbook, as GitHub makes it of a heading."""
        return self.title.lower().replace(" ", "-")


TASK_FAILED = Rule(
    "task_failed",
    "A task has failed",
    Severity.WARNING,
    Reported(),
    "Read the last lines of the task's log; mend the cause and clear the task.",
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
        Days((NIGHT_OUTCOME,)),
        "Mend what the words name, then clear the failed task: what is served stays meanwhile.",
    ),
    Rule(
        "quality_gate_failed",
        "The quality gate stopped a snapshot",
        Severity.CRITICAL,
        Days((NIGHT_VERDICT,)),
        "Read the failed checks; mend the input, or change the limit, then clear quality_gate.",
    ),
    Rule(
        "quality_gate_warned",
        "The quality gate keeps warning",
        Severity.WARNING,
        Days((NIGHT_VERDICT,), BAD, bad=2, of=3),
        "Read the checks that warn, before one of them stops a night.",
    ),
    TASK_FAILED,
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
        Days(
            (
                "population_stability_index",
                "missing_share",
                "out_of_bounds_share",
                "unseen_customers_share",
                "score_population_stability_index",
                "approval_rate",
            ),
            bad=3,
            of=5,
        ),
        "Find out whether the applicants or the data have changed; train on the new ones, or mend the feed.",
    ),
    Rule(
        "incoming_drift",
        "Incoming loans have drifted",
        Severity.WARNING,
        Days(("incoming_population_stability_index",), bad=3, of=5),
        "Ask whoever sends the files whether something changed, before the model is trained on it.",
    ),
    Rule(
        "skew",
        "Decisions were made on other features",
        Severity.CRITICAL,
        Days(("skew_rows",)),
        "Look at the rows in the measure's detail: the service and the feature job disagree.",
    ),
    Rule(
        "realised_quality",
        "The model is below the gate's floor",
        Severity.CRITICAL,
        Days(("realised_roc_auc", "realised_brier"), bad=2, of=3),
        "Train on newer loans and release that; roll back if the version before was better.",
    ),
    Rule(
        "data_old",
        "The data or the model is old",
        Severity.WARNING,
        Days(("snapshot_age_days", "model_age_days"), BAD, bad=2, of=2),
        "See why nothing newer was published, or train_model and release_model.",
    ),
    Rule(
        "volume",
        "Requests are far from the usual",
        Severity.WARNING,
        Days(("volume_ratio",), bad=2, of=3),
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
        "store_away",
        "Postgres is away",
        Severity.CRITICAL,
        Lasting(POSTGRES),
        "Bring Postgres back: no decision can be given, and decisions made wait on the service's disk.",
    ),
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
