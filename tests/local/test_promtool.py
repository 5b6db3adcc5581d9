import subprocess
from pathlib import Path

import pytest

from creditrisk.settings import PROJECT_ROOT
from local.progress import StackError
from local.promtool import promtool


def test_there_is_one_and_it_starts() -> None:
    program = promtool(PROJECT_ROOT / "var" / "promtool")
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert "promtool, version" in shown.stdout + shown.stderr


def test_an_unpacked_one_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "usr" / "bin" / "promtool"
    program.parent.mkdir(parents=True)
    program.touch()
    assert promtool(tmp_path) == program


def test_without_one_and_without_apt_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="apt-get install prometheus"):
        promtool(tmp_path)
