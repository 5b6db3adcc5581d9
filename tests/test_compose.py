"""The compose file: nothing secret, nothing exposed, nothing floating, and every word of it means something."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from creditrisk.settings import ENV_PREFIX, PROJECT_ROOT, Settings

COMPOSE_FILE = PROJECT_ROOT / "docker-compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_OFF = {"postgres-roles", "airflow-init"}
OTHERS_IMAGES = {"postgres", "postgres-roles", "prometheus", "grafana"}
BIN = Path(sys.executable).parent
REQUIRED = re.compile(r"\$\{(\w+):\?")
SECRET_NAMES = re.compile(r"PASSWORD$|SECRET|_KEY$|TOKEN")
NOT_SECRET = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"}

services = pytest.mark.parametrize("name", sorted(SERVICES))


def command_of(name: str) -> list[str]:
    return [*SERVICES[name].get("entrypoint", []), *SERVICES[name].get("command", [])]


def test_the_whole_system_is_there() -> None:
    assert (
        set(SERVICES)
        == {
            "postgres",
            "spark-master",
            "spark-worker",
            "mlflow",
            "airflow-api-server",
            "airflow-scheduler",
            "airflow-dag-processor",
            "airflow-triggerer",
            "api",
            "prometheus",
            "grafana",
        }
        | ONE_OFF
    )


@services
def test_a_service_has_a_health_check_unless_it_runs_once(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_OFF:
        assert service["restart"] == "no"
        waiting = [other for other in SERVICES.values() if name in other.get("depends_on", {})]
        assert waiting
        assert {w["depends_on"][name]["condition"] for w in waiting} == {"service_completed_successfully"}
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


@services
def test_who_waits_for_a_service_waits_until_it_is_well(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] == (
            "service_completed_successfully" if other in ONE_OFF else "service_healthy"
        )


@services
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{CREDITRISK_\w+_PORT:-\d+\}:\d+", port)
    assert "network_mode" not in SERVICES[name]
    assert "privileged" not in SERVICES[name]


def test_published_ports_are_the_settings_own_and_all_different() -> None:
    published = {
        match[1]: int(match[2])
        for service in SERVICES.values()
        for port in service.get("ports", [])
        if (match := re.search(r"\{(\w+):-(\d+)\}", port))
    }
    for field in ("api_port", "airflow_port", "mlflow_port"):
        assert published[f"{ENV_PREFIX}{field.upper()}"] == Settings.model_fields[field].default
    assert len(set(published.values())) == len(published)


@services
def test_every_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    if image.startswith("creditrisk-"):
        assert re.fullmatch(
            r"creditrisk-(airflow|serving):\$\{CREDITRISK_CODE_VERSION:\?set it in \.env\}", image
        )
        assert any(other["image"] == image and "build" in other for other in SERVICES.values())
    else:
        assert re.fullmatch(
            r"postgres:18\.\d+-bookworm|prom/prometheus:v3\.\d+\.\d+|grafana/grafana:\d+\.\d+\.\d+", image
        )


@services
def test_no_secret_stands_in_the_file(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if SECRET_NAMES.search(variable) and variable not in NOT_SECRET:
            assert REQUIRED.fullmatch(value.split("?")[0] + "?"), f"{variable} has a value in the file"
        for password in re.findall(r"://[^:@/]+:([^@]+)@", value):
            assert REQUIRED.match(password), f"{variable} has a password in the file"


def test_the_example_names_exactly_what_is_required_and_gives_no_value() -> None:
    required = set(REQUIRED.findall(COMPOSE_FILE.read_text()))
    lines = [line for line in (PROJECT_ROOT / ".env.example").read_text().splitlines() if line]
    named = [line for line in lines if not line.startswith("#")]
    assert all(line.endswith("=") for line in named)
    assert sorted(line[:-1] for line in named) == sorted(required)
    assert "/.env" in (PROJECT_ROOT / ".gitignore").read_text().splitlines()


@services
def test_our_own_variables_are_settings(name: str) -> None:
    known = {f"{ENV_PREFIX}{field.upper()}" for field in Settings.model_fields}
    passwords = {"CREDITRISK_PUBLISHER_PASSWORD", "CREDITRISK_SERVICE_PASSWORD", "CREDITRISK_READER_PASSWORD"}
    ours = {variable for variable in SERVICES[name].get("environment", {}) if variable.startswith(ENV_PREFIX)}
    assert ours <= known | (passwords if name == "postgres-roles" else set())


def test_airflows_variables_are_options_of_this_airflow() -> None:
    import airflow

    template = Path(airflow.__path__[0]) / "config_templates" / "config.yml"
    sections = yaml.safe_load(template.read_text())
    for variable in SERVICES["airflow-scheduler"]["environment"]:
        if variable.startswith("AIRFLOW__"):
            _, section, option = variable.lower().split("__", 2)
            assert option in sections[section]["options"], variable


def test_airflow_and_mlflow_understand_their_commands() -> None:
    airflow = [command_of(name)[1:] for name in SERVICES if command_of(name)[:1] == ["airflow"]]
    assert len(airflow) == 4
    code = f"""
from airflow.cli.cli_parser import get_parser
for words in {airflow!r}:
    print(get_parser().parse_args(words).subcommand)
from mlflow.cli import cli
cli.commands["server"].make_context("server", {command_of("mlflow")[2:]!r})
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert sorted(ran.stdout.split()[-4:]) == ["api-server", "dag-processor", "scheduler", "triggerer"]


@services
def test_every_program_and_file_of_ours_exists(name: str) -> None:
    service = SERVICES[name]
    for words in (command_of(name), service.get("healthcheck", {}).get("test", [])[1:]):
        # Those of other images are their own.
        if words and name not in OTHERS_IMAGES:
            assert (BIN / words[0]).exists(), words
        for word in words:
            assert not word.startswith("docker/") or (PROJECT_ROOT / word).is_file(), word
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (PROJECT_ROOT / source).is_file() if source.startswith("./") else source in COMPOSE["volumes"]


def test_every_folder_that_is_mounted_is_made_in_the_image_for_its_user() -> None:
    """A named volume takes its owner from the image's folder; without one it would be root's."""
    dockerfile = (PROJECT_ROOT / "docker" / "airflow.Dockerfile").read_text()
    made = re.search(r"install -d -o creditrisk -g creditrisk (.*?)\n\n", dockerfile, re.DOTALL)
    assert made
    for service in SERVICES.values():
        if service["image"].startswith("creditrisk-airflow"):
            for volume in service.get("volumes", []):
                assert volume.split(":")[1] in made[1].replace("\\", " ").split()


@pytest.mark.parametrize("name", sorted(name for name in SERVICES if "build" in SERVICES[name]))
def test_a_services_build_names_a_dockerfile_that_passes_the_linter(name: str) -> None:
    build = SERVICES[name]["build"]
    dockerfile = PROJECT_ROOT / build["context"] / build["dockerfile"]
    linted = subprocess.run([BIN / "hadolint", dockerfile], capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout
    text = dockerfile.read_text()
    assert re.search(r"^USER \d+", text, re.MULTILINE)
    assert set(build["args"]) <= set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
    for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        assert re.search(r":\d+\.\d+\.\d+-", base) or base in re.findall(r" AS (\w+)", text), base
    ignored = (PROJECT_ROOT / ".dockerignore").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE):
        for source in sources.split()[:-1]:
            if not source.startswith("--"):
                assert (PROJECT_ROOT / source).exists(), source
                top = source.split("/")[0]
                assert f"!{top}" in ignored, f"{top} is kept out of the build by .dockerignore"


def test_the_yaml_passes_the_linter() -> None:
    linted = subprocess.run(
        [sys.executable, "-m", "yamllint", "--strict", COMPOSE_FILE],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
