import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.airflow_environment import prepare

prepare()

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator  # noqa: E402

from creditrisk.settings import PROJECT_ROOT, Settings  # noqa: E402
from creditrisk.storage import Storage  # noqa: E402
from plugins.spark_operator import BuildFeatures, RecomputeCustomers, SparkJob  # noqa: E402

RUN = SimpleNamespace(logical_date=None, run_after=datetime(2021, 1, 1, tzinfo=UTC), run_id="manual")


def command_of(
    task: SparkJob, settings: Settings, monkeypatch: pytest.MonkeyPatch, **params: Any
) -> list[str]:
    """What is run for a form, up to where the provider would start it."""
    monkeypatch.setattr("plugins.spark_operator.load_settings", lambda: settings)
    monkeypatch.setattr(SparkSubmitOperator, "execute", lambda *_: None)
    monkeypatch.setattr(BuildFeatures, "report", lambda *_: None)
    task.execute({"params": {"as_of": None, "landed_until": None, **params}, "dag_run": RUN})
    command: list[str] = task._get_hook()._build_spark_submit_command(task.application)
    return command


def built(settings: Settings, monkeypatch: pytest.MonkeyPatch, **params: Any) -> list[str]:
    return command_of(BuildFeatures(task_id="build_features"), settings, monkeypatch, **params)


def test_the_command_line_has_the_job_the_master_and_every_setting_of_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_jobs.configuration import spark_conf

    settings = Settings(_env_file=None, var_dir=tmp_path / "a b", market="mx", spark_driver_memory="700m")
    command = built(settings, monkeypatch)
    assert command[:3] == ["spark-submit", "--master", "local[2]"]
    given = [word for flag, word in pairwise(command) if flag == "--conf"]
    assert given == [f"{name}={value}" for name, value in spark_conf(settings).items()]
    assert "spark.driver.memory=700m" in given
    job = command.index(str(PROJECT_ROOT / "spark_jobs" / "build_features.py"))
    assert command[job + 1 :] == ["--as-of=2020-12-31", f"--lake={settings.lake_root[:-3]}", "--market=mx"]


def test_what_the_form_says_reaches_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, var_dir=tmp_path)
    command = built(settings, monkeypatch, as_of="2021-02-01", landed_until="2021-02-03")
    assert command[-4:-2] == ["--as-of=2021-02-01", "--landed-until=2021-02-03"]


def test_a_lake_of_its_own_reaches_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None, var_dir=tmp_path, lake_url="s3://lake/one", market="pe")
    assert built(settings, monkeypatch)[-2:] == ["--lake=s3://lake/one", "--market=pe"]


def test_the_sample_reaches_the_job_that_works_it_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None, var_dir=tmp_path, market="mx")
    sample = "reports/2021-01-10/skew-sample-0001.json"
    command = command_of(RecomputeCustomers(sample=sample, task_id="recompute"), settings, monkeypatch)
    assert command[:3] == ["spark-submit", "--master", "local[2]"]
    job = command.index(str(PROJECT_ROOT / "spark_jobs" / "recompute_customers.py"))
    assert command[job + 1 :] == [f"--sample={sample}", f"--lake={settings.lake_root[:-3]}", "--market=mx"]


@pytest.mark.parametrize(
    "task", [BuildFeatures(task_id="build_features"), RecomputeCustomers(sample="a key", task_id="recompute")]
)
def test_a_missing_connection_is_an_error_and_not_a_job_on_yarn(
    task: SparkJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    monkeypatch.delenv("AIRFLOW_CONN_SPARK_DEFAULT")
    with pytest.raises(AirflowFailException, match="spark_default"):
        task.execute({"params": {"as_of": "2020-12-31", "landed_until": None}, "dag_run": RUN})


@pytest.mark.parametrize(
    ("landed", "is_certain", "told"),
    [
        ("a,b\n1,2\n", True, r"^HeaderError: columns are not the contract's: file://.*/loans\.csv: missing .*$"),
        (None, False, "NoInputError: .*: no loans file has landed up to 2020-12-31$"),
    ],
    ids=["a broken header", "nothing landed"],
)  # fmt: skip
def test_what_only_somebody_can_mend_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landed: str | None, is_certain: bool, told: str
) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    settings = Settings(_env_file=None, var_dir=tmp_path / "var", spark_driver_memory="512m")
    lake = Storage(settings.lake_root)
    if landed:
        lake.create("raw/loans/2020-12-31/loans.csv", landed.encode())
    monkeypatch.setattr("plugins.spark_operator.load_settings", lambda: settings)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    task = BuildFeatures(task_id="build_features")
    with pytest.raises(AirflowException, match=told) as raised:
        task.execute({"params": {"as_of": "2020-12-31", "landed_until": None}, "dag_run": RUN})
    task._submitted().stdout.close()  # the provider leaves it open
    assert isinstance(raised.value, AirflowFailException) is is_certain


def submitted(task: SparkJob, script: str) -> "subprocess.Popen[str]":
    task._hook = task._get_hook()
    process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, text=True)
    task._hook._submit_sp = process
    return process


def wait_for_descendants(process: Any, count: int) -> list[psutil.Process]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = psutil.Process(process.pid).children(recursive=True)
        if len(found) >= count:
            return found
        time.sleep(0.05)
    raise AssertionError(f"fewer than {count} processes below {process.pid}")


@pytest.mark.parametrize(
    "task", [BuildFeatures(task_id="build_features"), RecomputeCustomers(sample="a key", task_id="recompute")]
)
def test_a_killed_task_leaves_no_driver_behind(task: SparkJob) -> None:
    with submitted(task, "bash -c 'sleep 300 & wait' & wait") as process:
        family = wait_for_descendants(process, 2)
        task.on_kill()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []
        assert process.wait(timeout=10) != 0


def test_killing_a_task_whose_job_has_ended_does_nothing() -> None:
    task = BuildFeatures(task_id="build_features")
    with submitted(task, "true") as process:
        process.wait(timeout=10)
        task.on_kill()
        assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_task_whose_process_is_killed_outright_leaves_no_jvm_behind(tmp_path: Path) -> None:
    submit = tmp_path / "spark-submit"
    submit.write_text(
        f'#!/bin/bash\necho $$ >"{tmp_path}/new" && mv "{tmp_path}/new" "{tmp_path}/pid"\nexec sleep 300\n'
    )
    submit.chmod(0o755)
    run_task = (
        "from tests.airflow_environment import prepare; prepare()\n"
        "from plugins.spark_operator import BuildFeatures\n"
        "BuildFeatures(task_id='build_features')._get_hook().submit('job')\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "PATH": path}
    with subprocess.Popen([sys.executable, "-c", run_task], env=environment, cwd=PROJECT_ROOT) as task:
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").exists() and time.monotonic() < deadline and task.poll() is None:
            time.sleep(0.05)
        jvm = psutil.Process(int((tmp_path / "pid").read_text()))
        task.kill()
        _, alive = psutil.wait_procs([jvm], timeout=10)
    for process in alive:
        process.kill()
    assert alive == []
