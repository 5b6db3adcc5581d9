"""What the outcomes of decisions are held against: settings ``CREDITRISK_RESULTS__…``."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ResultsLimits(BaseModel):
    """What the outcomes of decisions are held against; the model gate's own limits hold too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    months: int = Field(12, ge=1, le=120)
    """Decision months that are measured, the newest."""
    horizon_days: int = Field(30, ge=0)
    """A loan that follows an approved application within so many days is the one that was applied for."""
    matured_share: Share = 0.8
    """A month is judged when the outcomes of this share of its decisions are known."""
    overdue_days: int = Field(120, ge=0)
    """A month that is not matured so many days after its end is a warning: outcomes are late."""
    least_late: int = Field(50, ge=1)
    """With fewer late loans, or fewer in time, nothing is judged."""
    expected_roc_auc_error: Share = 0.05
    """By how much the estimate of the ROC AUC may differ from what came of it."""
