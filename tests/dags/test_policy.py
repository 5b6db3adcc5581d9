"""What every DAG has to be; the rules are these tests."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from creditrisk.settings import PROJECT_ROOT

DAG_IDS = (
    "refresh_features",
    "train_model",
    "promote_model",
    "roll_back_model",
    "abort_release",
    "remove_expired",
    "release_model",
    "watch",
    "monitor_model",
)
HEAVY = (
    "pandas",
    "numpy",
    "sklearn",
    "pyspark",
    "mlflow",
    "matplotlib",
    "psycopg2",
    "obstore",
    "training",
    "spark_jobs",
)

_PARSE_EACH = """
import json, runpy, sys, time
import airflow.sdk
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
seconds = {}
for file in sys.argv[1:]:
    begun = time.perf_counter()
    runpy.run_path(file)
    seconds[file] = time.perf_counter() - begun
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


def test_every_dag_file_parses_and_gives_one_dag(dag_bag: Any) -> None:
    assert dag_bag.import_errors == {}
    assert sorted(dag_bag.dags) == sorted(DAG_IDS)
    assert {path.stem for path in (PROJECT_ROOT / "dags").glob("*.py")} - {"__init__"} == set(DAG_IDS)


@pytest.mark.parametrize("dag_id", DAG_IDS)
class TestEveryDag:
    def test_tells_what_it_is_for(self, dags: Mapping[str, Any], dag_id: str) -> None:
        dag = dags[dag_id]
        assert dag.doc_md.strip().startswith("### ")
        assert len(dag.doc_md.split()) >= 30
        assert 10 <= len(dag.description) <= 60

    def test_has_tags_and_an_owner(self, dags: Mapping[str, Any], dag_id: str) -> None:
        assert dags[dag_id].tags
        assert {task.owner for task in dags[dag_id].tasks} == {"credit-risk"}

    def test_every_task_is_tried_again_and_ends_in_time(self, dags: Mapping[str, Any], dag_id: str) -> None:
        dag = dags[dag_id]
        for task in dag.tasks:
            assert 1 <= task.retries <= 3, task.task_id
            assert timedelta(seconds=30) <= task.retry_delay <= timedelta(minutes=15), task.task_id
            assert timedelta(0) < task.execution_timeout < dag.dagrun_timeout, task.task_id

    def test_one_run_at_a_time_and_no_catching_up(self, dags: Mapping[str, Any], dag_id: str) -> None:
        assert dags[dag_id].max_active_runs == 1
        assert dags[dag_id].catchup is False

    def test_every_form_field_has_a_title_and_an_explanation(
        self, dags: Mapping[str, Any], dag_id: str
    ) -> None:
        form = dags[dag_id].params
        for name in form:
            assert form.get_param(name).schema["title"], name
            assert form.get_param(name).description, name

    def test_survives_serialisation(self, dags: Mapping[str, Any], dag_id: str) -> None:
        from airflow.serialization.serialized_objects import DagSerialization

        serialised = DagSerialization.to_dict(dags[dag_id])
        assert serialised["dag"]["dag_id"] == dag_id


@pytest.mark.parametrize("dag_id", ["promote_model", "roll_back_model", "release_model", "abort_release"])
def test_a_release_asks_for_a_reason(dags: Mapping[str, Any], dag_id: str) -> None:
    schema = dags[dag_id].params.get_param("reason").schema
    assert schema["minLength"] == 5
    assert not dags[dag_id].timetable.can_be_scheduled


@pytest.mark.alone
def test_parsing_is_quick_and_imports_nothing_heavy() -> None:
    files = [str(PROJECT_ROOT / "dags" / f"{dag_id}.py") for dag_id in DAG_IDS]
    parsed = subprocess.run(
        [sys.executable, "-c", _PARSE_EACH, *files],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(parsed.stdout.splitlines()[-1])
    assert [name for name in HEAVY if name in report["modules"]] == []
    assert max(report["seconds"].values()) < 0.7
