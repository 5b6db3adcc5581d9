"""The page's registration: in Airflow's UI, and in no process but the one that serves it."""

import json
import os
import subprocess
import sys

from creditrisk.settings import PROJECT_ROOT
from tests.airflow_environment import prepare

prepare()

_LOAD = """
import json, sys
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
views = [(view["destination"], view["href"]) for plugin in plugins if plugin.name == "operators_page" for view in plugin.external_views]
print(json.dumps({"views": views, "errors": errors, "loaded": [name for name in sys.modules if "operators_page" in name]}))
"""


def test_other_processes_of_airflow_know_of_the_page_and_do_not_load_it() -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT_ROOT),
        "AIRFLOW__API__BASE_URL": "http://127.0.0.1:8080/below/",
    }
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOAD],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report["errors"] == {}
    assert report["loaded"] == ["operators_page_plugin"]
    assert report["views"] == [
        ["nav", "/below/operators/now"],
        ["dag", "/below/operators/dag?dag_id={DAG_ID}"],
        ["dag_run", "/below/operators/what-now?dag_id={DAG_ID}&run_id={RUN_ID}"],
        ["task_instance", "/below/operators/what-now?dag_id={DAG_ID}&run_id={RUN_ID}&task_id={TASK_ID}"],
    ]
