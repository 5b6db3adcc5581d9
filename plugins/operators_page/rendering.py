"""A page of one request: whose it is, where its links lead, and the template that it is made of."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import jinja2
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from creditrisk.settings import Settings, load_settings
from plugins.operators_page.access import may_run
from plugins.operators_page.assets import digest_of
from plugins.operators_page.formats import ago, formats

VIEWS = {
    "now": "Now",
    "nights": "Last nights",
    "models": "Models",
    "release": "Release",
    "drift": "Drift and results",
    "decision": "A decision",
    "what-now": "What now",
}
"""The views' paths and names, in the order of the navigation."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
"""Plotly writes its styles into the page, hence ``unsafe-inline`` for those; scripts come from our files alone."""


class Page:
    """What a view needs to answer a request, beside its data."""

    def __init__(self, request: Request, user: Any) -> None:
        self.request = request
        self.user = user
        self.settings: Settings = load_settings()
        self.now = datetime.now(UTC)
        self.root: str = request.scope.get("root_path", "")
        """The page's own address, below Airflow's."""
        self._may_run: dict[str, bool] = {}
        self._airflow = self.root.removesuffix("/operators")

    @property
    def user_name(self) -> str:
        """As release records keep it."""
        return str(self.user.get_name())

    def url(self, path: str, **query: Any) -> str:
        """The address of a view; queries that are None are left out."""
        asked = urlencode({name: value for name, value in query.items() if value is not None})
        return f"{self.root}/{path}" + (f"?{asked}" if asked else "")

    def airflow_url(self, *parts: str) -> str:
        """An address of Airflow's own UI."""
        return "/".join([self._airflow, *(quote(part, safe="") for part in parts)])

    def may_run(self, dag_id: str) -> bool:
        """Whether this user may trigger a DAG."""
        if dag_id not in self._may_run:
            self._may_run[dag_id] = may_run(self.user, dag_id)
        return self._may_run[dag_id]

    def render(self, template: str, *, view: str, status: int = 200, **data: Any) -> HTMLResponse:
        """A view as HTML.

        Args:
            template: its file.
            view: the name in the navigation that it belongs to.
            status: of the answer.
            data: what the template shows.
        """
        return HTMLResponse(
            environment()
            .get_template(template)
            .render(page=self, views=VIEWS, view=view, **formats_of(self), **data),
            status_code=status,
            headers=HEADERS,
        )


def _page(request: Request, user: GetUserDep) -> Page:
    return Page(request, user)


PageDep = Annotated[Page, Depends(_page)]


def formats_of(page: Page) -> Mapping[str, Any]:
    """The formats that depend on the request: the market's time zone, and what time it is."""
    return {**formats(page.settings.zone), "ago": lambda moment: ago(moment, page.now)}


@cache
def environment() -> jinja2.Environment:
    """The templates. Everything they print is escaped, and what is missing is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["asset_digest"] = digest_of
    return made


_HEADLINES = {
    400: "This cannot be done as asked",
    401: "You are not logged in",
    403: "You may not do this",
    404: "There is no such thing",
    409: "Something has changed since",
    503: "This cannot be read now",
}


def error_page(
    request: Request, status: int, words: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """What went wrong, in words. It reads nothing, so that it works whatever is down."""
    template = environment().get_template("error.html")
    headline = _HEADLINES.get(status, "Something went wrong")
    root = request.scope.get("root_path", "")
    return HTMLResponse(
        template.render(root=root, headline=headline, words=words, status=status),
        status_code=status,
        headers={**HEADERS, **(headers or {})},
    )
