"""The API key that the local stack makes for its own calls and for whoever tries the service."""

import os
from contextlib import suppress
from pathlib import Path

from creditrisk.api_keys import Scope
from creditrisk.errors import KeyInvalid
from creditrisk.key_store import add_key, is_good, revoke_key
from creditrisk.online_store import OnlineStore
from creditrisk.settings import Settings

NAME = "make-run"
HEADER = "X-API-Key"


def key_file(settings: Settings) -> Path:
    """Where the key of a market is kept, readable by its owner alone."""
    return settings.var_dir / "api-keys" / settings.market


def own_key(settings: Settings) -> str:
    """The market's key, for everything: the one kept, or a new one where that is lost or revoked.

    Raises:
        StoreError: Postgres cannot be reached, or is ahead of this code.
    """
    file = key_file(settings)
    if file.exists() and is_good(settings, kept := file.read_text().strip()):
        return kept
    OnlineStore(settings).migrate()
    with suppress(KeyInvalid):
        revoke_key(settings, NAME, by=NAME)  # its text is lost
    key = add_key(settings, NAME, [Scope.ADMIN], by=NAME)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(key + "\n")
    unfinished.rename(file)
    return key
