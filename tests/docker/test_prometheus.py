"""What is given to Prometheus and Grafana: checked by promtool, by the runbook, and by what the service really says."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from creditrisk.settings import PROJECT_ROOT
from local.promtool import promtool

FOLDER = PROJECT_ROOT / "docker" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "creditrisk-rules.yml").read_text())["groups"][0][
    "rules"
]
CONFIG: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads(
    (PROJECT_ROOT / "docker" / "grafana" / "service-dashboard.json").read_text()
)
SERVICES: dict[str, Any] = yaml.safe_load((PROJECT_ROOT / "docker-compose.yaml").read_text())["services"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


@pytest.fixture(scope="module")
def tool() -> Path:
    return promtool(PROJECT_ROOT / "var" / "promtool")


def run(tool: Path, *words: str, folder: Path = FOLDER) -> tuple[int, str]:
    ran = subprocess.run([tool, *words], cwd=folder, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def copied(folder: Path) -> Path:
    for file in FOLDER.iterdir():
        (folder / file.name).write_text(file.read_text())
    return folder


class TestRules:
    def test_pass_their_own_tests(self, tool: Path) -> None:
        code, words = run(tool, "test", "rules", "creditrisk-rules-tests.yml")
        assert code == 0, words

    def test_each_that_never_fires_would_be_found_out(self, tool: Path, tmp_path: Path) -> None:
        folder = copied(tmp_path)
        rules = yaml.safe_load((folder / "creditrisk-rules.yml").read_text())
        for rule in rules["groups"][0]["rules"]:
            rule["expr"] = f"({rule['expr']}) > Inf"
        (folder / "creditrisk-rules.yml").write_text(yaml.safe_dump(rules))
        code, words = run(tool, "test", "rules", "creditrisk-rules-tests.yml", folder=folder)
        assert code != 0
        assert set(re.findall(r"alertname: (\w+)", words)) == {rule["alert"] for rule in RULES}

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
    def test_has_a_severity_a_summary_and_its_section(self, rule: dict[str, Any]) -> None:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"].endswith(".")
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        headings = re.findall(r"^## (.+)$", (PROJECT_ROOT / page).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


class TestConfiguration:
    def test_is_one_that_promtool_understands(self, tool: Path, tmp_path: Path) -> None:
        """But for the key's header, which releases before 2.55 do not know: Debian's is one of them."""
        folder = copied(tmp_path)
        config = yaml.safe_load((folder / "prometheus.yml").read_text())
        (job,) = config["scrape_configs"]
        assert job.pop("http_headers") == {"X-API-Key": {"files": ["/etc/prometheus/key/metrics"]}}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        code, words = run(tool, "check", "config", "prometheus.yml", folder=folder)
        assert code == 0, words
        assert f"{len(RULES)} rules found" in words

    def test_key_and_target_are_those_of_the_containers(self) -> None:
        (job,) = CONFIG["scrape_configs"]
        (target,) = job["static_configs"][0]["targets"]
        assert target == f"api:{SERVICES['api']['environment']['CREDITRISK_API_PORT']}"
        key = Path(SERVICES["airflow-init"]["environment"]["METRICS_KEY_FILE"])
        mounted = {volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES["prometheus"]["volumes"]}
        written = {
            volume.split(":")[1]: volume.split(":")[0] for volume in SERVICES["airflow-init"]["volumes"]
        }
        assert mounted["/etc/prometheus/key"] == written[str(key.parent)] == "metrics-key"
        assert job["http_headers"]["X-API-Key"]["files"] == [f"/etc/prometheus/key/{key.name}"]
        assert int(SERVICES["prometheus"]["image"].split(":v")[1].split(".")[0]) >= 3


class TestDashboard:
    def test_panels_lie_side_by_side_and_say_what_they_show(self) -> None:
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert not taken & cells, panel["title"]
            taken |= cells
        assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
        assert all(panel["title"] and panel["targets"] for panel in PANELS)

    def test_its_source_of_data_is_the_one_that_is_provided(self) -> None:
        folder = PROJECT_ROOT / "docker" / "grafana"
        (source,) = yaml.safe_load((folder / "datasource.yml").read_text())["datasources"]
        assert source["url"] == "http://prometheus:9090"
        assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
        (provider,) = yaml.safe_load((folder / "dashboards.yml").read_text())["providers"]
        mounts = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
        home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        assert home in mounts
        assert home.startswith(provider["options"]["path"])

    def test_prometheus_understands_every_expression(self, tool: Path, tmp_path: Path) -> None:
        records = [
            {
                "record": f"panel:{number}",
                "expr": expression.replace("$__rate_interval", "1m").replace("$instance", ".*"),
            }
            for number, expression in enumerate(EXPRESSIONS)
        ]
        (tmp_path / "panels.yml").write_text(
            yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]})
        )
        code, words = run(tool, "check", "rules", "panels.yml", folder=tmp_path)
        assert code == 0, words
        assert len(EXPRESSIONS) >= 20
