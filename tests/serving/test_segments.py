"""Files of the spool: one owner each, adopted from the dead only, and never half a line in the middle."""

import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EFBIG
from pathlib import Path

import pytest

from creditrisk.settings import PROJECT_ROOT
from serving.segments import Segment, made_at, segment_files, sweep

LIVES_AND_DIES = """
import sys
from pathlib import Path
from serving.segments import Segment
segment = Segment.create(Path(sys.argv[1]))
segment.write(b"one\\n")
print("written", flush=True)
sys.stdin.read()
"""


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """No file of this process grows beyond ``limit`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_segment_is_its_owners_and_named_by_when_it_was_made(tmp_path: Path) -> None:
    before = time.time() - 0.001
    segment = Segment.create(tmp_path / "spool" / "mx")
    assert segment_files(tmp_path / "spool" / "mx") == [segment.path]
    assert before <= made_at(segment.path) <= time.time()
    assert stat.S_IMODE(segment.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(segment.path.parent.stat().st_mode) == 0o700
    assert Segment.adopt(segment.path) is None
    segment.close()


def test_a_segment_is_adopted_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", LIVES_AND_DIES, str(tmp_path)],
        cwd=PROJECT_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with owner:
        assert owner.stdout
        assert owner.stdout.readline() == b"written\n"
        (path,) = segment_files(tmp_path)
        assert Segment.adopt(path) is None
        owner.kill()
        owner.wait()
    adopted = Segment.adopt(path)
    assert adopted
    assert (adopted.size, adopted.read(100)) == (4, b"one\n")
    assert Segment.adopt(path) is None  # it has an owner again
    adopted.remove()
    assert segment_files(tmp_path) == []
    assert Segment.adopt(path) is None


def test_what_was_killed_before_it_had_a_name_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / "1700000000000-0123456789ab.new"
    left.touch()
    living = Segment.create(tmp_path)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [living.path]
    living.close()


def test_other_files_are_no_segments(tmp_path: Path) -> None:
    for name in ("rejected.jsonl", "x.segment", "1700000000000-0123456789ab.new"):
        (tmp_path / name).touch()
    assert segment_files(tmp_path) == []
    assert segment_files(tmp_path / "missing") == []


def test_lines_that_do_not_fit_leave_nothing_behind(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    segment.write(b"one\n")
    with file_size_limit(10):
        with pytest.raises(OSError, match="No space left"):  # written in part
            segment.write(b"twotwotwo\n")
        assert segment.path.read_bytes() == b"one\n"
        segment.write(b"three\n")
        with pytest.raises(OSError, match=os.strerror(EFBIG)):
            segment.write(b"four\n")
    assert segment.path.read_bytes() == b"one\nthree\n"
    assert segment.size == 10
    segment.close()


def test_is_read_in_whole_lines_up_to_its_size(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    segment.write(b"one\ntwo\nthree\n")
    os.write(segment.descriptor, b"not counted\n")
    read = []
    while segment.shipped < segment.size:
        read.append(segment.read(6))
        segment.shipped += len(read[-1])
    assert read == [b"one\n", b"two\n", b"three\n"]  # the last is longer than asked for together with its end
    segment.close()


def test_a_last_line_without_an_end_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "1700000000000-0123456789ab.segment"
    path.write_bytes(b"one\n" + bytes(50))
    segment = Segment.adopt(path)
    assert segment
    assert segment.read(10) == b"one\n"
    segment.shipped = 4
    assert segment.read(10) == bytes(50)
    segment.remove()
