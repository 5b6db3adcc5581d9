from pathlib import Path

import httpx
import pytest

from local import stack
from local.__main__ import main
from tests.e2e.system import free_ports


def test_a_service_that_does_not_answer_ends_the_command_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CREDITRISK_VAR_DIR", str(tmp_path))
    [port] = free_ports(1)
    monkeypatch.setattr(stack, "status", lambda _settings: httpx.get(f"http://127.0.0.1:{port}/gone"))
    assert main(["status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"creditrisk: no answer to GET http://127.0.0.1:{port}/gone (")
    assert said.endswith("what is up: make status\n")
    assert len(said.splitlines()) == 1
