"""The runbook, where an alert's link leads: each rule's section, as the repository has it."""

import re
from urllib.parse import urldefrag

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from creditrisk.settings import PROJECT_ROOT
from plugins.operators_page.model_card import Block, blocks_of
from plugins.operators_page.rendering import Page, PageDep

router = APIRouter()

FILE = PROJECT_ROOT / "docs" / "runbook.md"


def address_of(page: Page, link: str) -> str:
    """Where an alert's link leads: to the web where the settings say so, else to the section of the runbook here."""
    if link.startswith(("http://", "https://")):
        return link
    anchor = urldefrag(link).fragment
    return page.url("runbook") + (f"#{anchor}" if anchor else "")


def anchor_of(heading: str) -> str:
    """The anchor that GitHub makes of a heading, which the rules' links name."""
    return re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")


@router.get("/runbook")
def show(page: PageDep) -> HTMLResponse:
    """The whole of it."""
    try:
        blocks: list[Block] = blocks_of(FILE.read_text())
    except OSError:
        raise HTTPException(
            404, "The runbook is not installed here: it is docs/runbook.md of the project."
        ) from None
    return page.render("runbook.html", view="now", blocks=blocks[1:], anchor_of=anchor_of)
