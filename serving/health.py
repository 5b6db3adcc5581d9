"""Whether the service can decide, and what keeps it from it."""

from typing import NamedTuple

from creditrisk.errors import RegistryError, ReleaseError, StoreError
from creditrisk.online_reader import OnlineReader
from serving.model_watch import ModelWatch
from serving.shipping import Shipping


class Part(NamedTuple):
    """One thing that a decision needs: what of it is in use, and what is wrong with it."""

    serving: str | None
    problem: str | None

    @property
    def is_there(self) -> bool:
        """Whether decisions can rest on it; a part may serve and have a problem with its successor."""
        return self.serving is not None


def model_health(models: ModelWatch) -> Part:
    """The version that serves, and why a newer one does not."""
    try:
        return Part(models.serving().manifest.version, models.problem)
    except (ReleaseError, RegistryError) as error:
        return Part(None, str(error))


async def store_health(reader: OnlineReader) -> Part:
    """The published snapshot, asked for now."""
    try:
        return Part(await reader.snapshot(), None)
    except StoreError as error:
        return Part(None, str(error))


def log_health(log: Shipping) -> Part:
    """Whether decisions can be logged, and why records stay on this machine."""
    health = log.health()
    return Part(None, health.problem) if health.problem else Part("spool", health.shipping_problem)
