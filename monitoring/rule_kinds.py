"""The kinds of rules that alert: what each looks at, and when it is broken.

*Days*: a measure of the table ``metrics`` (or of a night) is bad on k of the last n days and on the newest. *Lasting*: a part of
the system, looked at every few minutes, has been bad for a while. *Happening*: something took place once and has no
end. *Reported*: whoever sees it says so.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from creditrisk.release import ReleaseAction
from creditrisk.snapshots import Verdict

FAIL = frozenset({Verdict.FAIL})


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
    """A release record of one of these actions was written, or somebody reports something that has no end."""

    actions: frozenset[ReleaseAction] = frozenset()


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
    broken_when: tuple[Days, ...] | Lasting | Happening | Reported
    """Of several ``Days`` one is enough."""
    advice: str
    """What to do first, in a sentence or two."""

    @property
    def anchor(self) -> str:
        """Of its section in the runbook."""
        return anchor_of(self.title)


def anchor_of(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")
