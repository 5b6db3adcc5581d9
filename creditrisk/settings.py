"""Settings: one frozen value, built at an entry point and passed on.

Each field is the environment variable ``CREDITRISK_<FIELD>`` (nested limits with a double
underscore: ``CREDITRISK_QUALITY__QUARANTINED_SHARE_FAIL``). What the environment does not say is
read from ``var/creditrisk.env``, which the local stack writes; then the defaults below hold.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from creditrisk.errors import SettingsError
from creditrisk.monitoring_limits import MonitoringLimits
from creditrisk.results_limits import ResultsLimits

PROJECT_ROOT = Path(__file__).resolve().parent.parent
ENV_PREFIX = "CREDITRISK_"

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Port = Annotated[int, Field(ge=1, le=65535)]


class QualityLimits(BaseModel):
    """Limits of the snapshot quality gate; a value beyond ``…_warn`` warns, beyond ``…_fail`` stops the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quarantined_share_warn: Share = 0.01
    quarantined_share_fail: Share = 0.05
    row_count_change_warn: Share = 0.20
    """Share by which loans or customers may shrink or grow against the snapshot published before."""
    row_count_change_fail: Share = 0.50
    null_share_change_warn: Share = 0.05
    null_share_change_fail: Share = 0.20
    out_of_bounds_share_warn: Share = 0.0
    out_of_bounds_share_fail: Share = 0.001
    population_stability_index_warn: float = Field(0.10, ge=0.0)
    population_stability_index_fail: float = Field(0.25, ge=0.0)
    newest_loan_age_days_warn: int = Field(3, ge=0)
    newest_loan_age_days_fail: int = Field(30, ge=0)


class ModelGateLimits(BaseModel):
    """Limits a candidate model is judged by; a check fails only when its interval lies wholly beyond."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roc_auc_floor: Share = 0.53
    roc_auc_leak: Share = 0.90
    champion_margin: Share = 0.02
    """How much worse than the champion's ROC AUC, on the same rows, a candidate may be."""
    calibration_error_ceiling: Share = 0.05
    group_roc_auc_floor: Share = 0.50
    group_smallest_positives: int = Field(200, ge=1)


def _nothing_is_for_ever(value: object) -> object:
    return 0 if value == "" else value


Days = Annotated[int, Field(ge=0), BeforeValidator(_nothing_is_for_ever)]
"""How long something is kept; 0 or empty: for ever."""


class RetentionLimits(BaseModel):
    """Days after which something may be removed, unless a release, a kept decision or the online store names it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decisions_days: Days = 3650
    """From the end of the day of the decision, which is in UTC."""
    snapshots_days: Days = 400
    """From when the snapshot was built."""
    quarantine_days: Days = 90
    """From when the quarantined rows, or a date's reports, were last written."""
    versions_days: Days = 400
    """From when the model version was trained; of versions that were never released, refused ones too."""
    traffic_days: Days = 400
    """Of the service's counts by minute, which nothing names."""
    looks_days: Days = 400
    """Of what the judge of a release saw at each look; the release record has what came of it."""


class CanarySettings(BaseModel):
    """How a version is released step by step, and what its judge holds it to.

    The judge compares challenger and champion on the same requests; intervals lie wholly beyond a limit before it
    aborts, and wholly inside before it goes on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = Field(
        (0.05, 0.25, 0.50), min_length=1, max_length=10
    )
    """The challenger's shares between the shadow and the whole, growing."""
    judge_interval_seconds: float = Field(300, gt=0)
    step_least_seconds: float = Field(3600, ge=0)
    """How long each step takes at least, however clear the numbers."""
    fill_up_after_seconds: float = Field(6 * 3600, ge=0)
    """How long a step waits for enough requests before those of the day before are scored with both versions."""
    step_longest_seconds: float = Field(48 * 3600, gt=0)
    """A step that is not decided by then aborts."""
    requires_approval: bool = True
    """Whether an operator has to approve before the challenger decides on everybody."""
    approval_seconds: float = Field(24 * 3600, gt=0)
    """How long that may take; then the release aborts."""

    least_customers: int = Field(1000, ge=1)
    """Customers whom both versions have scored, each counted once, before a step goes on."""
    fill_up_most_customers: int = Field(20_000, ge=1)
    error: float = Field(0.05, gt=0.0, lt=0.5)
    """The probability that a step ends wrongly by chance, over all looks and checks together."""
    approval_shift_limit: float = Field(0.03, gt=0.0, lt=1.0)
    """By how much the challenger's approval rate may differ from the champion's."""
    group_approval_shift_limit: float = Field(0.06, gt=0.0, lt=1.0)
    """The same within each group (gender, age band, own car)."""
    group_least_customers: int = Field(200, ge=1)
    flip_share_limit: float = Field(0.10, gt=0.0, lt=1.0)
    """The share of customers on whom the two versions decide differently."""
    problem_share_limit: float = Field(0.01, gt=0.0, lt=1.0)
    """The share of decisions on which the challenger fails."""
    slow_microseconds: int = Field(1000, ge=1)
    """Scoring that takes longer is slow."""
    slow_share_limit: float = Field(0.01, gt=0.0, lt=1.0)
    """By how much the challenger's share of slow decisions may be above the champion's."""
    score_shift_limit: float = Field(2.0, gt=0.0)
    """Population stability index of the challenger's scores against the champion's."""

    @field_validator("steps")
    @classmethod
    def _grow(cls, steps: tuple[float, ...]) -> tuple[float, ...]:
        if list(steps) != sorted(set(steps)):
            raise ValueError("each share must be greater than the one before")
        if any(round(share * 100, 6) % 1 for share in steps):
            raise ValueError("shares must be whole per cents")
        return steps


class AlertSettings(BaseModel):
    """When the watch looks, what it calls late, and whom it tells; the log is told always."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    watch_schedule: str = "*/5 * * * *"
    """Cron expression; an empty one switches the watch off."""
    nightly_late_minutes: int = Field(180, ge=1)
    """After its slot, by when the nightly run's snapshot is to be published."""
    monitoring_late_days: int = Field(2, ge=1)
    """Days after which a day that has not been measured is missed."""
    happened_hours: int = Field(24, ge=1)
    """How old a release record may be to be told of still."""
    sns_topic_arn: str = Field("", pattern=r"^(arn:[\w-]+:sns:[\w-]+:\d{12}:[\w-]+)?$")
    """Topic that alerts are published to; empty: none."""
    email_to: tuple[str, ...] = ()
    """Addresses that alerts are sent to."""
    email_connection: str = "smtp_default"
    """Airflow's connection to the mail server, which also says whom mail is from."""
    runbook_url: str = "docs/runbook.md"
    """Where people find the runbook, to which a section's anchor is added."""


class Settings(BaseSettings):
    """Everything that differs from one deployment to the next."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    var_dir: Path = PROJECT_ROOT / "var"
    """The folder of everything written at run time on this machine."""
    market: str = Field("mx", pattern=r"^[a-z][a-z0-9_]{0,15}$")
    """Part of every lake prefix and schema name."""
    time_zone: str = "UTC"
    """IANA name; the nightly run's date is the day before its logical date here."""

    lake_url: str = ""
    """``file://`` or ``s3://`` URL; empty means ``lake`` under ``var_dir``."""
    registry_url: str = ""
    """``file://`` or ``s3://`` URL; empty means ``registry`` under ``var_dir``."""
    publisher_database_url: SecretStr | None = None
    service_database_url: SecretStr | None = None
    reader_database_url: SecretStr | None = None
    mlflow_tracking_uri: str = Field(
        "", validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "CREDITRISK_MLFLOW_TRACKING_URI")
    )
    """Empty means an SQLite file under ``var_dir``."""

    nightly_schedule: str = "0 2 * * *"
    training_schedule: str = "0 4 1 * *"
    retention_schedule: str = "0 6 * * 0"
    monitoring_schedule: str = "0 5 * * *"
    """Cron expressions, in ``time_zone``; an empty one switches the schedule off."""
    spark_master: str = "local[*]"
    spark_driver_memory: str = "1g"
    spark_jvm_options: str = ""
    """Extra options of the driver's JVM, such as a class-data archive."""

    bind_host: str = "127.0.0.1"
    api_port: Port = 8000
    service_url: str = ""
    """Where the watch finds the prediction service; empty: at the address above."""
    airflow_port: Port = 8080
    mlflow_port: Port = 5000
    postgres_port: Port = 5442

    decline_share: Share = 0.10
    """The share of applicants to decline; the threshold is set by it, on validation rows."""
    test_days_share: float = Field(0.25, gt=0.0, lt=1.0)
    """The share of the days with loans, the newest, that a model is judged on; it is fitted on those before."""
    quality: QualityLimits = QualityLimits()
    model_gate: ModelGateLimits = ModelGateLimits()
    canary: CanarySettings = CanarySettings()
    results: ResultsLimits = ResultsLimits()
    notice_webhook_url: SecretStr | None = None
    """Where alerts are posted as JSON, such as a chat's incoming webhook."""
    alerts: AlertSettings = AlertSettings()
    retention: RetentionLimits = RetentionLimits()
    monitoring: MonitoringLimits = MonitoringLimits()
    challenger_microseconds_limit: float = Field(1000.0, gt=0)
    """A model version that takes longer to score a reference row is refused as challenger."""

    store_timeout_seconds: float = Field(0.5, gt=0)
    store_pool_size: int = Field(8, ge=1)
    request_body_limit_bytes: int = Field(16_384, ge=256)
    batch_body_limit_bytes: int = Field(65_536, ge=256)
    spool_dir: Path | None = None
    """Where decisions are written before they are answered, on a disk of this machine; None: under ``var_dir``."""

    legacy_keyless: bool = False
    """Whether ``POST /`` needs no API key; for a listener on a loopback address only."""
    rate_limit_per_second: float = Field(1000.0, ge=0.0)
    """Requests of one API key, at all workers together; 0 sets no limit."""
    rate_limit_burst: int = Field(2000, ge=1)
    """Requests of one API key that may come at once."""
    snapshot_age_warn_days: int = Field(3, ge=0)
    """Days from the published snapshot's date beyond which health tells a problem."""
    snapshot_age_limit_days: int = Field(0, ge=0)
    """Days beyond which the service is not ready; 0: it is ready with a snapshot of any age."""
    api_workers: int = Field(0, ge=0, le=256)
    """Processes that answer requests; 0: as many as are right for the machine."""
    log_requests: Literal["all", "notable"] = "all"
    """Which requests are logged: notable ones failed, were refused to their caller, or were slow."""
    slow_request_milliseconds: float = Field(250.0, gt=0)

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("not an IANA time zone name, such as America/Mexico_City") from None
        return value

    @field_validator("lake_url", "registry_url")
    @classmethod
    def _is_a_known_url(cls, value: str) -> str:
        if value and not value.startswith(("file:///", "s3://")):
            raise ValueError("neither a file:/// nor an s3:// URL")
        return value.rstrip("/")

    @field_validator("service_url")
    @classmethod
    def _is_an_http_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("neither an http:// nor an https:// URL")
        return value.rstrip("/")

    @field_validator("spool_dir", mode="before")
    @classmethod
    def _is_a_folder_if_not_empty(cls, value: object) -> object:
        return None if value == "" else value

    @property
    def zone(self) -> ZoneInfo:
        """The market's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def lake_root(self) -> str:
        """URL of this market's part of the lake, without a trailing slash."""
        return f"{self.lake_url or file_url(self.var_dir / 'lake')}/{self.market}"

    @property
    def registry_root(self) -> str:
        """URL of this market's part of the model registry, without a trailing slash."""
        return f"{self.registry_url or file_url(self.var_dir / 'registry')}/{self.market}"

    @property
    def spool_folder(self) -> Path:
        """This market's part of the decision log that is not in Postgres yet."""
        return (self.spool_dir or self.var_dir / "spool") / self.market

    @property
    def service_address(self) -> str:
        """The prediction service's base URL, without a trailing slash."""
        return self.service_url or f"http://{self.bind_host}:{self.api_port}"

    @property
    def mlflow_uri(self) -> str:
        """Where MLflow runs are kept."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.var_dir / 'mlflow' / 'mlflow.db'}"

    @property
    def database_schema(self) -> str:
        """The market's Postgres schema."""
        return f"creditrisk_{self.market}"


def file_url(path: Path) -> str:
    """``file://`` URL of a local path, escaped as RFC 8089 says."""
    return "file://" + quote(str(path.absolute()))


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, then ``creditrisk.env`` in the folder for run-time files, then defaults.

    Raises:
        SettingsError: a value breaks its rule; the message names each variable and its rule.
    """
    var_dir = Path(overrides.get("var_dir") or os.environ.get(f"{ENV_PREFIX}VAR_DIR") or PROJECT_ROOT / "var")
    try:
        return Settings(_env_file=var_dir / "creditrisk.env", **{**overrides, "var_dir": var_dir})
    except ValidationError as error:
        problems = "; ".join(
            f"{ENV_PREFIX}{'__'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(problems) from None
