"""``python -m serving.ship``: ship what dead services left in this machine's spool, and end.

For a machine on which no service will start again: a living one does it by itself.
"""

import asyncio
import sys

from creditrisk.decision_store import DecisionStore
from creditrisk.errors import CreditRiskError
from creditrisk.settings import Settings, load_settings
from serving.segments import segment_files
from serving.shipping import Shipping
from serving.spool import Spool


async def ship(settings: Settings) -> str:
    """Ship every segment that nobody owns; what came of it, for a person.

    Raises:
        StoreUnavailable: Postgres does not take it now; what it took is not shipped twice by the next attempt.
        OSError: the spool cannot be read.
    """
    url = settings.service_database_url
    store = DecisionStore(url.get_secret_value() if url else None, settings.database_schema)
    spool = Spool(settings.spool_folder)  # never started: nothing is written to it
    shipping = Shipping(spool, store)
    before = owned = len(segment_files(spool.folder))
    try:
        while True:
            left = owned
            await shipping.ship()
            owned = len(segment_files(spool.folder))
            if owned == left:
                break
    finally:
        spool.close()
        store.close()
    lines = [f"{before - owned} segments of {spool.folder} are in Postgres."]
    if owned:
        lines.append(f"{owned} belong to services that run, which ship them themselves.")
    problem = shipping.health().shipping_problem
    return "\n".join([*lines, *([problem] if problem else [])])


def main() -> int:
    """Ship; the process's exit code."""
    try:
        print(asyncio.run(ship(load_settings())))
    except (CreditRiskError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
