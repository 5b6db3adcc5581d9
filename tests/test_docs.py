"""The documentation says what the code does: every setting, every decision's page, every link."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import AliasChoices, BaseModel

from creditrisk.settings import ENV_PREFIX, PROJECT_ROOT, Settings

DOCS = PROJECT_ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(PROJECT_ROOT.glob("*.md"))]
DECISIONS = sorted((DOCS / "adr").glob("*.md"))


def settings_with_defaults(model: type[BaseModel], prefix: str = ENV_PREFIX) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from settings_with_defaults(type(field.default), f"{prefix}{name.upper()}__")
        elif isinstance(field.validation_alias, AliasChoices):
            yield str(field.validation_alias.choices[0]), field.default
        else:
            yield f"{prefix}{name.upper()}", field.default


def as_documented(default: Any) -> str:
    if default is None:
        return "*none*"
    if default == "":
        return "*empty*"
    if isinstance(default, Path):
        return f"`{default.relative_to(PROJECT_ROOT)}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return f"`{list(default)}`"  # as the environment has it: JSON
    return f"`{default}`"


def test_every_setting_is_documented_with_its_default_and_nothing_else_is() -> None:
    text = (DOCS / "settings.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\S+|`[^`]*`) \|", text, re.MULTILINE)
    expected = {name: as_documented(default) for name, default in settings_with_defaults(Settings)}
    assert dict(rows) == expected
    assert len(rows) == len(expected)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT_ROOT)))
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {
                re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
            }
            assert anchor in anchors, f"{page.name} links to {target}"


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [page.name[:4] for page in DECISIONS] == [
        f"{number:04d}" for number in range(1, len(DECISIONS) + 1)
    ]
    assert len(DECISIONS) >= 9


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_is_a_page_of_context_decision_and_consequences(page: Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {int(page.name[:4])}\. \S", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert len(text.splitlines()) <= 60


def test_the_licence_is_the_one_the_project_names() -> None:
    assert 'license = "Apache-2.0"' in (PROJECT_ROOT / "pyproject.toml").read_text()
    text = (PROJECT_ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert text.rstrip().endswith("limitations under the License.")
    assert len(text.splitlines()) == 202


def test_the_changelog_has_the_projects_version() -> None:
    version = re.search(r'^version = "(.+)"', (PROJECT_ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    assert re.search(
        rf"^## \[{re.escape(version[1])}\]", (PROJECT_ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
