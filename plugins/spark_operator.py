"""Our Spark jobs as tasks: the feature job, and its computation done once more for some customers."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import psutil
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

from creditrisk.settings import PROJECT_ROOT, Settings, load_settings
from plugins.failures import told_plainly
from plugins.night_notes import note_begun
from plugins.run_date import run_date

JOBS: Path = PROJECT_ROOT / "spark_jobs"
CONNECTION = "spark_default"


class SparkJob(SparkSubmitOperator):
    """A job of ours by ``spark-submit``, on the master that the Spark connection names.

    Ends with the whole process tree: the provider's own ``on_kill`` ends the JVM alone, and the Python driver
    below it would go on writing. Where the task's own process is killed nobody calls ``on_kill``; then Linux ends the
    JVM, and the driver ends with it.
    """

    job: ClassVar[str]
    """The name of its file."""
    template_fields: Sequence[str] = ()  # nothing is templated: the date comes from the run itself

    def __init__(self, **arguments: Any) -> None:
        super().__init__(application=str(JOBS / self.job), conn_id=CONNECTION, **arguments)

    def _get_hook(self) -> Any:
        hook = super()._get_hook()
        end = end_with_parent()
        if end is not None:
            hook.submit = partial(hook.submit, preexec_fn=end)
        return hook

    def submit(self, settings: Settings, name: str, arguments: Sequence[str], context: Any) -> None:
        """Run the job to its end.

        Args:
            settings: say which lake it is for, and how Spark is configured.
            name: the application's.
            arguments: of the job, besides those that say where the lake is.
            context: the task's.

        Raises:
            AirflowFailException: the Spark connection is missing; or the job says that another try cannot help, in its
                own last line. On a cluster that runs the driver, too, its exit code is not told, so it is tried again.
            AirflowException: the job has failed otherwise; its last lines say why.
        """
        from airflow.sdk.exceptions import AirflowException, AirflowFailException

        from spark_jobs.command_line import FOR_A_PERSON

        require_connection()
        self.prepare(settings, name, arguments)
        try:
            super().execute(context)
        except AirflowException as error:
            submitted = self._submitted()
            if submitted is not None and submitted.returncode == FOR_A_PERSON:
                raise AirflowFailException(str(error).splitlines()[-1]) from None
            raise

    def _submitted(self) -> Any:
        """The process of spark-submit; None before it is started."""
        return getattr(self._hook, "_submit_sp", None)

    def prepare(self, settings: Settings, name: str, arguments: Sequence[str]) -> None:
        """Set what spark-submit is called with."""
        from spark_jobs.configuration import spark_conf

        self.name = name
        self.conf = spark_conf(settings)
        self.application_args = [
            *arguments,
            f"--lake={settings.lake_root.removesuffix('/' + settings.market)}",
            f"--market={settings.market}",
        ]

    def on_kill(self) -> None:
        """End spark-submit and everything below it."""
        submitted = self._submitted()
        children: list[psutil.Process] = []
        if submitted is not None and submitted.poll() is None:
            try:
                children = psutil.Process(submitted.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                children = []
        super().on_kill()
        for child in children:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue


class BuildFeatures(SparkJob):
    """Builds the snapshot of the run's date and returns its id."""

    job = "build_features.py"

    def execute(self, context: Any) -> str:
        """Run the job for the run's date; the log ends with what became of the rows, in words.

        Raises:
            AirflowFailException: the Spark connection is missing, a landed file must be mended first, or the job
                committed nothing.
        """
        settings = load_settings()
        run = context["dag_run"]
        as_of = run_date(context["params"]["as_of"], run.logical_date, run.run_after, settings.zone)
        note_begun(as_of, run.run_id)
        landed_until = context["params"]["landed_until"]
        arguments = [f"--as-of={as_of}", *([f"--landed-until={landed_until}"] if landed_until else [])]
        self.submit(settings, f"features {settings.market} {as_of}", arguments, context)
        return self.report(settings, as_of)

    def report(self, settings: Settings, as_of: date) -> str:
        """Log what the committed snapshot holds, and return its id."""
        from creditrisk.errors import SnapshotMissing
        from creditrisk.snapshots import SnapshotCatalog
        from creditrisk.storage import Storage

        with told_plainly():
            catalog = SnapshotCatalog(Storage(settings.lake_root))
            snapshot = catalog.current(as_of)
            if snapshot is None:
                raise SnapshotMissing(f"the job ended well, but there is no snapshot in force for {as_of}")
            counts = catalog.manifest(snapshot).counts
        self.log.info(
            "Snapshot %s is in force for %s: %s loans of %s customers.",
            snapshot, as_of, f"{counts.loans:,}", f"{counts.customers:,}",
        )  # fmt: skip
        return str(snapshot)


class RecomputeCustomers(SparkJob):
    """Has the feature job's code work out sampled customers' rows again; what it made lies in the lake.

    Args:
        sample: the key of the sample in the lake, or what another task returns it by.
    """

    job = "recompute_customers.py"
    template_fields: Sequence[str] = ("sample",)

    def __init__(self, *, sample: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sample = sample

    def execute(self, context: Any) -> None:
        """Run the job; its own last lines say of each snapshot what came of it.

        Raises:
            AirflowFailException: the Spark connection is missing.
        """
        settings = load_settings()
        self.submit(settings, f"skew {settings.market}", [f"--sample={self.sample}"], context)


def require_connection() -> None:
    """Return if the Spark connection is there: without it the provider would submit to YARN in silence.

    Raises:
        AirflowFailException: it is missing.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

    try:
        BaseHook.get_connection(CONNECTION)
    except AirflowNotFoundException:
        raise AirflowFailException(
            f"connection {CONNECTION!r} is missing: it names the Spark master, such as local[*]"
        ) from None


def end_with_parent() -> Callable[[], None] | None:
    """What a new process calls to be killed when the one that started it is gone; None where there is no such call."""
    if sys.platform != "linux":
        return None
    prctl, parent, on_death = ctypes.CDLL(None).prctl, os.getpid(), 1  # PR_SET_PDEATHSIG, kept by exec

    def end() -> None:
        prctl(on_death, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:  # gone meanwhile
            os._exit(1)

    return end
