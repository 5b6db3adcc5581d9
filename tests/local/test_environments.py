import subprocess
import sys
from pathlib import Path

import pytest

from creditrisk.settings import PROJECT_ROOT
from local import environments


def test_an_environment_that_is_as_its_lock_says_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "an environment"
    made.mkdir()
    (made / environments.STAMP).write_text(environments.stamp_of(environments.LOCK))
    monkeypatch.setattr(environments, "run", lambda *words: pytest.fail(f"ran {words}"))
    environments.make(made, environments.LOCK)
    assert [path.name for path in made.iterdir()] == [environments.STAMP]


def test_the_stamp_depends_on_the_lock_the_python_and_the_place(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("one==1\n")
    first = environments.stamp_of(lock)
    lock.write_text("one==2\n")
    assert environments.stamp_of(lock) != first
    assert first.splitlines()[1:] == [sys.version.split()[0], str(PROJECT_ROOT)]


def test_the_installer_is_the_lock_s() -> None:
    name, _, version = environments.locked_uv().partition("==")
    assert name == "uv"
    assert f"\nuv=={version} \\\n" in (PROJECT_ROOT / "requirements.txt").read_text()


def test_a_python_that_is_too_old_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "OLDEST_PYTHON", (3, 99))
    with pytest.raises(
        environments.CannotMake, match=r"^Python 3.11 to 3.13 is needed, and .*make run PYTHON="
    ):
        environments.main()


def test_it_needs_nothing_but_the_standard_library() -> None:
    seen = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(PROJECT_ROOT)!r}); import local.environments",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (seen.returncode, seen.stderr) == (0, "")


def test_what_a_command_leaves_behind_is_within_the_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    leave = "import pathlib, tempfile; pathlib.Path(tempfile.gettempdir(), 'left').touch()"
    environments.run([sys.executable, "-c", leave], "problem", "advice")
    assert (tmp_path / "var" / "tmp" / "left").exists()
