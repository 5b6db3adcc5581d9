import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.processes import Service, require_free_port, stop
from local.progress import StackError

STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import os, time; os.setpgid(0, 0); time.sleep(300)"])
print(child.pid, flush=True)
time.sleep(300)
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr("local.processes._ORDERLY_SECONDS", 1)
    monkeypatch.setattr("local.processes._LAST_SECONDS", 2)
    service = Service("sleeper", tmp_path / "run dir", tmp_path / "log dir")
    yield service
    stop([service])


def start(service: Service, program: str) -> None:
    service.start([sys.executable, "-c", program], os.environ, service.run_dir.parent)


def printed(service: Service) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if text := service.last_lines():
            return text
        time.sleep(0.05)
    raise AssertionError("nothing printed")


def test_a_service_is_found_again_and_started_only_once(service: Service) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(300)"]
    service.start(command, os.environ, service.run_dir.parent, port=8123)
    first = service.process()
    start(service, "import time; time.sleep(300)")
    again = Service(service.name, service.run_dir, service.log_dir)
    assert first is not None
    assert again.process() == first == service.process()
    assert again.port() == 8123
    stop([again])
    assert service.port() is None


def test_stopping_ends_children_that_left_the_group_and_a_leader_that_does_not_listen(
    service: Service,
) -> None:
    start(service, STUBBORN)
    child = psutil.Process(int(printed(service)))
    leader = service.process()
    assert stop([service]) == ["sleeper"]
    assert leader is not None
    assert not leader.is_running()
    assert not child.is_running()
    assert service.process() is None
    assert stop([service]) == []


def test_children_of_a_leader_that_is_gone_are_ended_too(service: Service) -> None:
    start(service, STUBBORN)
    child = psutil.Process(int(printed(service)))
    other = Service("other", service.run_dir, service.log_dir)
    start(other, "import time; time.sleep(300)")
    stop([other, service])
    assert not child.is_running()


def test_a_number_that_became_another_process_is_left_alone(service: Service) -> None:
    service.run_dir.mkdir()
    service.pid_file.write_text(f"{os.getpid()} {psutil.Process().create_time() - 60}\n")
    assert service.process() is None
    assert stop([service]) == []
    assert psutil.Process().is_running()


def test_a_service_that_ended_is_not_running(service: Service) -> None:
    start(service, "print('done')")
    assert printed(service) == "done"
    deadline = time.monotonic() + 60
    while service.process() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert service.process() is None


def test_a_taken_port_names_the_setting() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        expected = rf"^port {port} on 127.0.0.1 is taken, and Airflow needs one: .* set CREDITRISK_AIRFLOW_PORT to a free port$"
        with pytest.raises(StackError, match=expected):
            require_free_port("127.0.0.1", port, "Airflow", "CREDITRISK_AIRFLOW_PORT")
    require_free_port("127.0.0.1", port, "Airflow", "CREDITRISK_AIRFLOW_PORT")
