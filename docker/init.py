"""What is done once before Airflow starts: its logins written, its database and the features' brought up to date."""

import json
import os
import subprocess
import sys
from pathlib import Path

LOGINS = {
    "admin": "AIRFLOW_ADMIN_PASSWORD",
    "op": "AIRFLOW_OP_PASSWORD",
    "viewer": "AIRFLOW_VIEWER_PASSWORD",
}
"""User by user, the variable that holds the password."""

MIGRATIONS = (["airflow", "db", "migrate"], ["creditrisk", "migrate"])


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


def main() -> int:
    """Do it; running it again changes nothing."""
    write_logins(Path(os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]))
    for words in MIGRATIONS:
        code = subprocess.call([sys.executable, "-m", *words])
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
