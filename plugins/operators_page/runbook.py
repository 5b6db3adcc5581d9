"""The runbook, where an alert's link leads: each rule's section, as the repository has it."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from creditrisk.settings import PROJECT_ROOT
from monitoring.alert_message import reachable
from monitoring.rule_kinds import anchor_of
from plugins.operators_page.model_card import Block, blocks_of
from plugins.operators_page.rendering import Page, PageDep

router = APIRouter()

FILE = PROJECT_ROOT / "docs" / "runbook.md"


def address_of(page: Page, link: str) -> str:
    """Where an alert's link leads from this page."""
    return reachable(link, page.url("runbook"))


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
