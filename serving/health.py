"""Whether the service can decide, and what keeps it from it."""

from datetime import date
from typing import NamedTuple

from creditrisk.errors import RegistryError, ReleaseError, StoreError
from creditrisk.online_reader import OnlineReader
from serving.access import Access
from serving.model_watch import ModelWatch
from serving.shipping import Shipping


class Part(NamedTuple):
    """One thing that a decision needs: what of it is in use, and what is wrong with it."""

    serving: str | None
    problem: str | None
    is_too_old: bool = False

    @property
    def is_there(self) -> bool:
        """Whether decisions can rest on it; a part may serve and have a problem with its successor."""
        return self.serving is not None and not self.is_too_old


class SnapshotAge(NamedTuple):
    """How old, in days from its date to today, the published snapshot may be."""

    warn_days: int
    """Beyond it, health tells a problem."""
    limit_days: int
    """Beyond it, the service is not ready; 0: it is ready with a snapshot of any age."""

    def judge(self, snapshot: str, today: date) -> Part:
        """The health of the store that serves a snapshot."""
        days = age_days(snapshot, today)
        if self.limit_days and days > self.limit_days:
            return Part(snapshot, f"snapshot: {days} days old, over the limit of {self.limit_days}", True)
        if days > self.warn_days:
            return Part(snapshot, f"snapshot: {days} days old, over {self.warn_days}")
        return Part(snapshot, None)


def age_days(snapshot: str, today: date) -> int:
    """Days from a snapshot's date, which its id begins with, to today."""
    return (today - date.fromisoformat(snapshot[:10])).days


def model_health(models: ModelWatch) -> Part:
    """The version that serves, and why a newer one does not."""
    try:
        return Part(models.serving().manifest.version, models.problem)
    except (ReleaseError, RegistryError) as error:
        return Part(None, str(error))


async def store_health(reader: OnlineReader, age: SnapshotAge, today: date) -> Part:
    """The published snapshot, asked for now, and whether it is too old today."""
    try:
        return age.judge(await reader.snapshot(), today)
    except StoreError as error:
        return Part(None, str(error))


def log_health(log: Shipping) -> Part:
    """Whether decisions can be logged, and why records stay on this machine."""
    health = log.health()
    return Part(None, health.problem) if health.problem else Part("spool", health.shipping_problem)


def keys_health(access: Access) -> Part:
    """Whether good API keys can be told from bad ones, and why none is read anew."""
    return Part("API keys" if access.can_tell else None, access.problem)
