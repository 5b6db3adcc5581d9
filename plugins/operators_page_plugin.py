"""Registers the operators' page with Airflow: in the menu, and as a tab on DAGs, their runs and their tasks."""

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/operators"
"""Where the page is mounted, below Airflow's own address."""

_ROOT = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/") + PREFIX
_WHAT_NOW = f"{_ROOT}/what-now?dag_id={{DAG_ID}}&run_id={{RUN_ID}}"


class OperatorsPage(AirflowPlugin):
    """The page's place in Airflow's UI. The page itself is loaded by whoever serves it, and by nobody else."""

    name = "operators_page"
    external_views = [  # noqa: RUF012  as Airflow declares it
        {
            "name": "Credit risk",
            "href": f"{_ROOT}/now",
            "destination": "nav",
            "nav_top_level": True,
            "url_route": "operators",
        },
        {
            "name": "Credit risk",
            "href": f"{_ROOT}/dag?dag_id={{DAG_ID}}",
            "destination": "dag",
            "url_route": "operators-dag",
        },
        {
            "name": "What now",
            "href": _WHAT_NOW,
            "destination": "dag_run",
            "url_route": "operators-run",
        },
        {
            "name": "What now",
            "href": f"{_WHAT_NOW}&task_id={{TASK_ID}}",
            "destination": "task_instance",
            "url_route": "operators-task",
        },
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The page, made when the API server asks for it."""
        from plugins.operators_page.app import create_app

        return [{"app": create_app(), "url_prefix": PREFIX, "name": "Operators' page"}]
