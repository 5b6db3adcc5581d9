"""The fresh ``.env``: every name of the example, each with a secret of its own and of the form its user wants."""

import base64
import re
import subprocess
import sys

from creditrisk.settings import PROJECT_ROOT


def new_env() -> dict[str, str]:
    script = str(PROJECT_ROOT / "docker" / "new_env.py")
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in printed.splitlines() if line and not line.startswith("#"))


def test_every_name_gets_a_value_and_no_two_runs_share_a_secret() -> None:
    first, second = new_env(), new_env()
    example = (PROJECT_ROOT / ".env.example").read_text()
    assert list(first) == re.findall(r"^(\w+)=$", example, re.MULTILINE)
    for name, value in first.items():
        assert value, name
        assert name == "CREDITRISK_CODE_VERSION" or value != second[name]
    assert len(set(first.values())) == len(first)


def test_values_fit_where_they_are_used() -> None:
    env = new_env()
    assert len(base64.urlsafe_b64decode(env["AIRFLOW_FERNET_KEY"])) == 32
    assert len(env["AIRFLOW_JWT_SECRET"]) >= 64
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", env["CREDITRISK_CODE_VERSION"])
    for name, value in env.items():
        if name.endswith("_PASSWORD"):
            assert re.fullmatch(r"[\w-]{32}", value), name
