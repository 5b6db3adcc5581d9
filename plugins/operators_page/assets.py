"""The page's stylesheet and scripts. Their addresses change with their content, so browsers may keep them."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

router = APIRouter()

_FOLDER = Path(__file__).parent / "static"
_KEPT = "private, max-age=31536000, immutable"
PLOTLY = "plotly.min.js"


@router.get("/static/{digest}/{name}")
def asset(digest: str, name: str) -> FileResponse:
    """One of the page's files."""
    file = _files().get(name)
    if file is None or digest != digest_of(name):
        raise HTTPException(404, "There is no such file.")
    return FileResponse(file, headers={"Cache-Control": _KEPT, "X-Content-Type-Options": "nosniff"})


def names() -> list[str]:
    """All of the page's files."""
    return sorted(_files())


@cache
def digest_of(name: str) -> str:
    """Part of a file's address."""
    return hashlib.sha256(_files()[name].read_bytes()).hexdigest()[:12]


@cache
def _files() -> dict[str, Path]:
    import plotly

    plots = Path(plotly.__file__).parent / "package_data" / PLOTLY
    return {PLOTLY: plots, **{file.name: file for file in _FOLDER.iterdir()}}
