"""What monitoring holds a day's numbers against: the settings ``CREDITRISK_MONITORING__…``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Ratio = Annotated[float, Field(gt=0.0)]


class MonitoringLimits(BaseModel):
    """Limits of the daily measures; a value beyond ``…_warn`` warns, beyond ``…_fail`` fails.

    A drift is beyond a limit only where it cannot be chance: where its lower confidence bound is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: Literal["customers", "loans"] = "customers"
    """What decisions are compared with: each customer's newest loan among those the model was judged on, right where
    clients ask about customers evenly; or each of those loans, right where they ask as loans are applied for."""
    least_rows: int = Field(150, ge=2)
    """Customers, or loans, that a distribution needs before it is judged; the reference too."""
    error: float = Field(0.001, gt=0.0, lt=0.5)
    """The probability that chance alone carries one measure beyond its limit."""

    population_stability_index_warn: float = Field(0.10, ge=0.0)
    population_stability_index_fail: float = Field(0.25, ge=0.0)
    effect_size_warn: Share = 0.10
    """Of the Kolmogorov-Smirnov statistic, or of Cramér's V for a flag."""
    effect_size_fail: Share = 0.25
    missing_share_change_warn: Share = 0.05
    missing_share_change_fail: Share = 0.20
    out_of_bounds_share_warn: Share = 0.0
    out_of_bounds_share_fail: Share = 0.001
    unseen_customers_share_warn: Share = 0.25
    """Customers who are not in the model's training set."""
    unseen_customers_share_fail: Share = 0.50
    approval_rate_change_warn: Share = 0.05
    approval_rate_change_fail: Share = 0.10

    skew_sample: int = Field(1000, ge=1)
    """Decisions a day whose features are computed again; any difference fails."""
    report_sample: int = Field(5000, ge=100)
    """Rows of each side in the drift report."""

    snapshot_age_days_fail: int = Field(7, ge=0)
    """Days from the served snapshot's date; it warns beyond ``CREDITRISK_SNAPSHOT_AGE_WARN_DAYS``."""
    model_age_days_warn: int = Field(90, ge=0)
    """Days from the newest loan day that the deciding model was trained on."""
    model_age_days_fail: int = Field(180, ge=0)

    volume_least: int = Field(100, ge=1)
    """A weekday with usually fewer decisions is not judged."""
    volume_low_warn: Ratio = 0.5
    """Decisions of the day by the usual number of that weekday."""
    volume_low_fail: Ratio = 0.2
    volume_high_warn: Ratio = 2.0
    volume_high_fail: Ratio = 5.0
