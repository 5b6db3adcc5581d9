"""Airflow's public API, as far as the local stack needs it."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from local.progress import StackError

FINISHED = ("success", "failed")


class AirflowClient:
    """One login's session with an Airflow instance."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=60)
        token = self._call("POST", "/auth/token", json={"username": user, "password": password})[
            "access_token"
        ]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """One request below ``/api/v2``, answered as it is."""
        return self._http.request(method, f"/api/v2{path}", **arguments)

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        answer = self._http.request(method, path, **arguments)
        if answer.is_error:
            raise StackError(f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def wait_for_dag(self, dag_id: str, seconds: float = 120) -> None:
        """Return once the DAG has been parsed.

        Raises:
            StackError: it has not in time; the message has the import errors.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.request("GET", f"/dags/{dag_id}").is_success:
                return
            time.sleep(0.5)
        errors = self._call("GET", "/api/v2/importErrors")["import_errors"]
        reasons = "; ".join(error["stack_trace"].strip().splitlines()[-1] for error in errors)
        raise StackError(
            f"Airflow has no DAG {dag_id} after {seconds:.0f} s: {reasons or 'no import error either'}"
        )

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run."""
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, form: dict[str, Any], logical_date: str | None = None) -> str:
        """Start a run by hand with a filled-in form; its id.

        Raises:
            StackError: the form does not validate.
        """
        body = {"logical_date": logical_date, "conf": form}
        run: dict[str, Any] = self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return str(run["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run: ``state``, ``conf`` and more."""
        found: dict[str, Any] = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")
        return found

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """A run's task instances by task id: ``state``, ``try_number``, ``duration`` and more."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances"
        return {task["task_id"]: task for task in self._call("GET", path)["task_instances"]}

    def result(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/xcomEntries/return_value"
        return self._call("GET", path)["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> list[str]:
        """The lines of a task's log."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task_id}/logs/{try_number}"
        content = self._call("GET", path, params={"full_content": "true"})["content"]
        return [line["event"] if isinstance(line, dict) else str(line) for line in content]

    def wait(
        self,
        dag_id: str,
        run_id: str,
        seconds: float = 1800,
        on_change: Callable[[str, str], None] | None = None,
    ) -> str:
        """Wait for a run's end, telling of every task that changes its state; the run's last state.

        Raises:
            StackError: it has not ended in time.
        """
        seen: dict[str, str] = {}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            state = str(self.run(dag_id, run_id)["state"])
            for task_id, task in self.tasks(dag_id, run_id).items():
                if task["state"] and seen.get(task_id) != task["state"]:
                    seen[task_id] = task["state"]
                    if on_change:
                        on_change(task_id, task["state"])
            if state in FINISHED:
                return state
            time.sleep(0.5)
        raise StackError(f"{dag_id} {run_id} has not ended after {seconds:.0f} s; see its page in Airflow")
