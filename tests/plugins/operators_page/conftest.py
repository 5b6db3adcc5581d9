"""Airflow's own app with the page in it, users of each role, and a market for the page to show."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.airflow_environment import prepare

prepare()

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it would like another HTTP library
    from fastapi.testclient import TestClient

from creditrisk.settings import PROJECT_ROOT, Settings  # noqa: E402

Login = Callable[[str | None], TestClient]


@pytest.fixture(scope="session")
def airflow_app() -> Any:
    """The API server's app on a database of this test run that knows our DAGs."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # Airflow's own
        from airflow.api_fastapi.app import create_app
        from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
        from airflow.models.dagbundle import DagBundleModel
        from airflow.utils.db import initdb
        from airflow.utils.session import create_session

        initdb()
        folder = PROJECT_ROOT / "dags"
        with create_session() as session:
            session.merge(DagBundleModel(name="dags-folder"))
        bag = BundleDagBag(dag_folder=folder, bundle_path=folder, bundle_name="dags-folder")
        sync_bag_to_db(bag, "dags-folder", None)
        return create_app(apps="core")


@pytest.fixture
def login(airflow_app: Any, settings: Settings) -> Iterator[Login]:  # noqa: ARG001  the environment is set
    """A browser of somebody with a role of Airflow's, or of nobody."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def log_in(role: str | None) -> TestClient:
        headers = {}
        if role is not None:
            user = SimpleAuthManagerUser(username=f"a {role}", role=None if role == "stranger" else role)
            headers["Authorization"] = f"Bearer {get_auth_manager().generate_jwt(user)}"
        return TestClient(airflow_app, headers=headers, follow_redirects=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield log_in


@pytest.fixture
def settings(market_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A market of its own, as the page finds it: in the environment."""
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(market_settings.var_dir))
    monkeypatch.setenv("CREDITRISK_MARKET", market_settings.market)
    for role in ("publisher", "service", "reader"):
        url = getattr(market_settings, f"{role}_database_url")
        monkeypatch.setenv(f"CREDITRISK_{role.upper()}_DATABASE_URL", url.get_secret_value())
    return market_settings
