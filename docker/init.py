"""What is done once before Airflow starts: its logins, its database and the features', and the key of Prometheus."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

LOGINS = {
    "admin": "AIRFLOW_ADMIN_PASSWORD",
    "op": "AIRFLOW_OP_PASSWORD",
    "viewer": "AIRFLOW_VIEWER_PASSWORD",
}
"""User by user, the variable that holds the password."""

MIGRATIONS = (["airflow", "db", "migrate"], ["creditrisk", "migrate"])

METRICS_KEY_NAME = "prometheus"
"""Of the API key that Prometheus shows the service."""


def write_logins(file: Path) -> None:
    """Write the passwords file of Airflow's simple auth manager, readable by its owner alone.

    Raises:
        SystemExit: a password is missing.
    """
    missing = [variable for variable in LOGINS.values() if not os.environ.get(variable)]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not set")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(json.dumps({user: os.environ[variable] for user, variable in LOGINS.items()}) + "\n")


def write_metrics_key(file: Path) -> None:
    """Make the API key by which Prometheus reads the service's figures and nothing else, unless it is there and good.

    Everybody who sees the folder may read it: that is Prometheus, under a user of its own, and nobody else.
    """
    from creditrisk.api_keys import Scope
    from creditrisk.errors import KeyInvalid
    from creditrisk.key_store import add_key, is_good, revoke_key
    from creditrisk.settings import load_settings

    settings = load_settings()
    if file.exists() and is_good(settings, file.read_text().strip()):
        return
    with suppress(KeyInvalid):
        revoke_key(settings, METRICS_KEY_NAME, by="docker/init.py")  # its text is lost
    key = add_key(settings, METRICS_KEY_NAME, [Scope.METRICS], by="docker/init.py")
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".new")
    unfinished.write_text(key)
    unfinished.chmod(0o444)
    unfinished.rename(file)


def main() -> int:
    """Do it; running it again changes nothing."""
    write_logins(Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]))
    for words in MIGRATIONS:
        code = subprocess.call([sys.executable, "-m", *words])
        if code != 0:
            return code
    write_metrics_key(Path(os.environ["METRICS_KEY_FILE"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
