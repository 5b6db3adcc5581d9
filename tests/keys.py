"""API keys for tests that ask the service."""

import uuid

from creditrisk.api_keys import Scope
from creditrisk.key_store import add_key
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings

HEADER = "X-API-Key"


def made_key(settings: Settings, *scopes: Scope, name: str | None = None) -> str:
    """A key of a market; for everything where no scope is given."""
    OnlineStore(settings).migrate()
    return add_key(settings, name or f"test-{uuid.uuid4().hex[:8]}", scopes or [Scope.ADMIN], by="a test")
