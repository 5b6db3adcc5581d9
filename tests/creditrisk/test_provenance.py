"""Where results come from."""

import re
from importlib.metadata import version

import pytest

from creditrisk.provenance import code_version, library_versions


@pytest.fixture(autouse=True)
def _fresh() -> None:
    code_version.cache_clear()


def test_an_image_says_what_it_was_built_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDITRISK_CODE_VERSION", "0123abcd")
    assert code_version() == "0123abcd"
    code_version.cache_clear()


def test_a_checkout_says_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDITRISK_CODE_VERSION", raising=False)
    assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?|unknown", code_version())


def test_versions_are_of_what_is_installed() -> None:
    assert library_versions(["pydantic", "no-such-library"]) == {"pydantic": version("pydantic")}
