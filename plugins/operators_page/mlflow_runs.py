"""Where a version's training run is in MLflow's UI."""

from typing import Any

import httpx
from fastapi import HTTPException

from creditrisk.settings import Settings

_SECONDS = 3.0


def run_address(settings: Settings, version: str) -> str:
    """The address of the run that registered a version.

    Raises:
        HTTPException: MLflow does not answer, or has no such run.
    """
    server = settings.mlflow_uri
    if not server.startswith(("http://", "https://")):
        server = f"http://{settings.bind_host}:{settings.mlflow_port}"
    api = f"{server.rstrip('/')}/api/2.0/mlflow"
    try:
        with httpx.Client(timeout=_SECONDS) as client:
            found = client.get(
                f"{api}/experiments/get-by-name", params={"experiment_name": f"creditrisk_{settings.market}"}
            )
            experiment = str(_answered(found)["experiment"]["experiment_id"])
            wanted = {"experiment_ids": [experiment], "filter": f"tags.`creditrisk.version` = '{version}'"}
            runs = _answered(client.post(f"{api}/runs/search", json=wanted)).get("runs", [])
    except (httpx.HTTPError, KeyError, ValueError) as error:
        raise HTTPException(503, f"MLflow does not answer as it should: {type(error).__name__}") from None
    if not runs:
        raise HTTPException(404, f"version {version}: MLflow has no run of it; the registry is the truth")
    shown = httpx.URL(server).copy_with(userinfo=b"")
    return f"{str(shown).rstrip('/')}/#/experiments/{experiment}/runs/{runs[0]['info']['run_id']}"


def _answered(answer: httpx.Response) -> Any:
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise HTTPException(404, "MLflow has no experiment of this market")
    return answer.raise_for_status().json()
