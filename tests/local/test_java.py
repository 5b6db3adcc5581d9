import os
from pathlib import Path

import pytest

from local.java import find, java_home, make_links_relative, release_of
from local.progress import StackError


def fake_java(home: Path, version: str) -> Path:
    """A program that answers ``-version`` as Java does: what another release says cannot be had otherwise."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    (home / "bin" / "java").chmod(0o755)
    return home


@pytest.mark.parametrize(
    ("version", "release"), [("17.0.15", 17), ("21", 21), ("25.0.1", 25), ("1.8.0_402", 1)]
)
def test_the_release_is_read(tmp_path: Path, version: str, release: int) -> None:
    assert release_of(fake_java(tmp_path / "a java", version)) == release


def test_asking_a_java_leaves_nothing_in_tmp(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    home = fake_java(tmp_path / "jdk", f'17"\' >&2; echo "$@" >"{asked}"; : \'')
    assert release_of(home) == 17
    assert "-XX:-UsePerfData" in asked.read_text()


def test_a_folder_without_java_has_no_release(tmp_path: Path) -> None:
    assert release_of(tmp_path) is None


def test_a_java_home_that_fits_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fake_java(tmp_path / "jdk", "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert find(tmp_path / "unpacked") == home


def test_one_that_does_not_fit_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "jdk", "25.0.1")))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find(tmp_path / "unpacked")
    assert found is None or release_of(found) in (17, 21)


def test_the_machine_s_own_java_is_found_and_starts(tmp_path: Path) -> None:
    assert release_of(java_home(tmp_path / "unpacked")) in (17, 21)


def test_without_java_and_apt_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("local.java._candidates", lambda _: iter(()))
    with pytest.raises(StackError, match="apt-get install openjdk-17-jre-headless") as caught:
        java_home(tmp_path / "unpacked")
    assert "\n" not in str(caught.value)


def test_links_to_etc_point_into_the_unpacked_folder(tmp_path: Path) -> None:
    lib = tmp_path / "usr" / "lib" / "jvm" / "java-17"
    (tmp_path / "etc" / "java-17-openjdk").mkdir(parents=True)
    (tmp_path / "etc" / "java-17-openjdk" / "net.properties").write_text("a=b")
    lib.mkdir(parents=True)
    (lib / "conf").symlink_to("/etc/java-17-openjdk")
    (lib / "own").symlink_to("conf")
    make_links_relative(tmp_path)
    assert (lib / "conf" / "net.properties").read_text() == "a=b"
    assert os.readlink(lib / "conf") == "../../../../etc/java-17-openjdk"  # noqa: PTH115
    assert os.readlink(lib / "own") == "conf"  # noqa: PTH115
