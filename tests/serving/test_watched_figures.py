"""What Prometheus and Grafana ask for is what the service tells."""

import json
import re
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from creditrisk.settings import PROJECT_ROOT
from tests.online_tables import ADA

RULES = yaml.safe_load((PROJECT_ROOT / "docker" / "prometheus" / "creditrisk-rules.yml").read_text())
DASHBOARD: dict[str, Any] = json.loads(
    (PROJECT_ROOT / "docker" / "grafana" / "service-dashboard.json").read_text()
)
EXPRESSIONS = [
    *(rule["expr"] for group in RULES["groups"] for rule in group["rules"]),
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])),
]
OF_A_FAMILY = ("", "_total", "_info", "_count", "_sum", "_bucket")


@pytest.fixture
def figures(client: httpx.Client) -> str:
    client.post("/predict", json={"id": ADA})
    return client.get("/metrics").text


def test_every_figure_is_told(figures: str) -> None:
    told = {
        f"{family.name}{ending}"
        for family in text_string_to_metric_families(figures)
        for ending in OF_A_FAMILY
    }
    asked = {name for expression in EXPRESSIONS for name in re.findall(r"\bcreditrisk_\w+", expression)}
    assert len(asked) >= 14
    assert asked - told == set()


def test_every_label_that_is_asked_for_is_there(figures: str) -> None:
    samples = [sample for family in text_string_to_metric_families(figures) for sample in family.samples]
    for expression in EXPRESSIONS:
        for name, chosen in re.findall(r"\b(creditrisk_\w+)\{([^}]*)\}", expression):
            labels = {
                key: value
                for key, value in re.findall(r'(\w+)="([^"]*)"', chosen)
                if key not in ("instance", "job")
            }
            found = [sample for sample in samples if sample.name == name]
            for key, value in labels.items():
                assert value in {sample.labels[key] for sample in found}, expression


def test_clients_errors_are_taken_of_what_clients_ask(client: httpx.Client) -> None:
    client.post("/predict", json={"id": ADA})
    for path in ("/health/live", "/health/ready", "/metrics"):
        client.get(path)
    families = text_string_to_metric_families(client.get("/metrics").text)
    routes = {
        sample.labels["route"] for family in families for sample in family.samples if "route" in sample.labels
    }
    (left_out,) = {
        chosen for expression in EXPRESSIONS for chosen in re.findall(r'route!~"([^"]*)"', expression)
    }
    machines = {"GET /health/live", "GET /health/ready", "GET /metrics"}
    assert routes == machines | {"POST /predict"}
    assert {route for route in routes if re.fullmatch(left_out, route)} == machines
