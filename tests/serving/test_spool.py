"""The spool: written before the answer, or refused; found, followed up, adopted."""

import os
import time
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest

from creditrisk.decisions import DecisionRecord, from_line
from creditrisk.errors import DecisionLogUnwritable
from serving import spool as spool_module
from serving.segments import Segment, segment_files
from serving.spool import Spool
from tests.creditrisk.test_decisions import RECORD
from tests.serving.service_process import wait_until
from tests.serving.test_segments import file_size_limit


def record(number: int) -> DecisionRecord:
    """A record with an id of its own, of now."""
    milliseconds = f"{time.time_ns() // 1_000_000:012x}"
    decision_id = f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-{number:012x}"
    return RECORD._replace(decision_id=decision_id, customer=number)


def records_in(folder: Path) -> list[DecisionRecord]:
    """Every record of a folder's segments."""
    return [from_line(line) for path in segment_files(folder) for line in path.read_bytes().splitlines()]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(tmp_path / "spool")
    spool.start()
    yield spool
    spool.close()


class TestAppend:
    def test_the_record_is_in_the_file_when_it_returns(self, spool: Spool) -> None:
        one, two, three = map(record, range(3))
        spool.append(one)
        assert records_in(spool.folder) == [one]
        spool.append_all([two, three])
        assert records_in(spool.folder) == [one, two, three]
        assert spool.pending_bytes() == sum(path.stat().st_size for path in segment_files(spool.folder))
        assert spool.problem is None

    def test_is_refused_before_the_start_and_after_the_end(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path / "spool")
        with pytest.raises(DecisionLogUnwritable, match="the decision log is not open"):
            spool.append(RECORD)
        spool.start()
        spool.append(RECORD)
        spool.close()
        with pytest.raises(DecisionLogUnwritable, match="the service is stopping"):
            spool.append(RECORD)
        assert records_in(spool.folder) == [RECORD]

    def test_the_disk_has_it_soon_and_is_not_asked_when_nothing_was_written(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[tuple[float, int]] = []
        real = os.fsync

        def fsync(descriptor: int) -> None:
            real(descriptor)
            synced.append((time.monotonic(), os.fstat(descriptor).st_size))

        monkeypatch.setattr(os, "fsync", fsync)
        for number in range(20):
            spool.append(record(number))
        written = time.monotonic()
        wait_until(lambda: bool(synced) and synced[-1][1] == spool.pending_bytes())
        assert synced[-1][0] - written < 0.5
        count = len(synced)
        time.sleep(0.3)
        assert len(synced) == count

    @pytest.mark.alone
    def test_costs_some_microseconds(self, spool: Spool) -> None:
        seconds = min(timeit.repeat(lambda: spool.append(RECORD), number=500, repeat=10)) / 500
        assert seconds < 100e-6  # some 10 on a quiet machine


class TestUnwritable:
    @pytest.fixture(autouse=True)
    def _tries_often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spool_module, "PROBE_SECONDS", 0.02)

    def test_a_full_disk_refuses_and_is_forgotten_when_there_is_room(self, spool: Spool) -> None:
        one, two, three = map(record, range(3))
        spool.append(one)
        with file_size_limit(spool.pending_bytes() + 10):
            with pytest.raises(DecisionLogUnwritable, match="cannot be written: No space left on device"):
                spool.append(two)
            time.sleep(0.2)  # a new segment can be made, but there is no room for a probe
            assert spool.problem
            with pytest.raises(DecisionLogUnwritable):
                spool.append(two)
            assert spool.problem
        wait_until(lambda: spool.problem is None, seconds=5)
        spool.append(three)
        assert records_in(spool.folder) == [one, three]

    def test_a_batch_that_does_not_fit_is_not_there_at_all(self, spool: Spool) -> None:
        one, *others = map(record, range(10))
        spool.append(one)
        with file_size_limit(3 * spool.pending_bytes()), pytest.raises(DecisionLogUnwritable):
            spool.append_all(others)
        assert records_in(spool.folder) == [one]

    def test_a_disk_that_fails_to_sync_ends_the_segment(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.append(record(1))
        first = segment_files(spool.folder)
        failures = iter([OSError(5, "Input/output error")])

        def sync(_: Segment) -> None:
            for failure in failures:
                raise failure

        monkeypatch.setattr(Segment, "sync", sync)
        spool.append(record(2))
        wait_until(lambda: spool.problem is None and segment_files(spool.folder) != first, seconds=5)
        spool.append(record(3))
        assert [one.customer for one in records_in(spool.folder)] == [1, 2, 3]
        assert [
            from_line(line).customer for line in segment_files(spool.folder)[-1].read_bytes().splitlines()
        ] == [3]

    def test_a_folder_that_cannot_be_made_is_tried_again(self, tmp_path: Path) -> None:
        (tmp_path / "spool").write_text("in the way")
        spool = Spool(tmp_path / "spool" / "mx")
        spool.start()
        try:
            with pytest.raises(DecisionLogUnwritable, match="cannot be written: Not a directory"):
                spool.append(RECORD)
            (tmp_path / "spool").unlink()
            wait_until(lambda: spool.problem is None, seconds=5)
            spool.append(RECORD)
        finally:
            spool.close()


class TestSegments:
    def test_a_long_one_is_followed_by_another(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
        spool.append(record(1))
        monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 1000)
        wait_until(lambda: self._append_and_count(spool) > 1, seconds=5)
        first, *_ = spool.segments()
        assert spool.is_complete(first)
        assert not spool.is_complete(spool.segments()[-1])
        numbers = [one.customer for one in records_in(spool.folder)]
        assert numbers == sorted(numbers)

    def test_an_old_one_is_followed_by_another_once_it_is_shipped(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spool_module, "SEGMENT_SECONDS", 0.2)
        spool.append(record(1))
        time.sleep(0.5)
        (first,) = spool.segments()
        first.shipped = first.size
        wait_until(lambda: len(spool.segments()) == 2, seconds=5)
        assert spool.is_complete(first)
        spool.remove(first)
        spool.append(record(2))
        assert [one.customer for one in records_in(spool.folder)] == [2]

    def _append_and_count(self, spool: Spool) -> int:
        spool.append(record(int(time.monotonic() * 1000)))
        return len(spool.segments())

    def test_adopts_what_is_left_but_not_what_is_owned(self, spool: Spool, tmp_path: Path) -> None:
        gone, living = Spool(spool.folder), Spool(spool.folder)
        for other in (gone, living):
            other.start()
            other.append(RECORD)
        gone.close()
        assert spool.adopt() == 1
        assert spool.adopt() == 0
        adopted = spool.segments()[0]
        assert adopted.size == adopted.path.stat().st_size > 0
        spool.remove(adopted)
        assert len(segment_files(tmp_path / "spool")) == 2
        living.close()

    def test_holds_no_more_files_open_than_it_may_while_nothing_is_shipped(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(spool_module, "MOST_ADOPTED", 2)
        for _ in range(3):
            gone = Spool(spool.folder)
            gone.start()
            gone.append(RECORD)
            gone.close()
        assert [spool.adopt(), spool.adopt()] == [2, 0]
        spool.remove(spool.segments()[0])
        assert [spool.adopt(), spool.adopt()] == [1, 0]


class TestFind:
    def test_whichever_worker_has_it(self, spool: Spool) -> None:
        other = Spool(spool.folder)
        other.start()
        for number in range(5):
            spool.append(record(number))
        wanted = record(7)
        other.append(wanted)
        other.append(record(8))
        assert spool.find(wanted.decision_id) == wanted
        assert spool.find("019c0b5e-7e64-7cc1-9c4b-000000000000") is None
        other.close()

    def test_a_torn_record_is_none(self, spool: Spool) -> None:
        one = record(1)
        spool.append(one)
        (path,) = segment_files(spool.folder)
        os.truncate(path, path.stat().st_size - 5)
        assert spool.find(one.decision_id) is None

    def test_does_not_read_what_was_written_at_another_time(
        self, spool: Spool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool.append(record(1))
        read: list[Path] = []
        monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or b"")
        hour = 3600 * 1000
        for shift in (-hour, hour):
            milliseconds = f"{time.time_ns() // 1_000_000 + shift:012x}"
            spool.find(f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-000000000000")
        assert read == []
        spool.find(record(2).decision_id)
        assert len(read) == 1
