"""A record's line: all of it, and known to be whole."""

from datetime import UTC, date, datetime

import orjson
import pytest

from creditrisk.decisions import (
    Arm,
    DecisionRecord,
    GivenAttributes,
    LoanAsked,
    PairedScore,
    from_line,
    json_of,
    record_of,
    to_line,
)
from creditrisk.errors import RecordDamaged

PAIRED = PairedScore(0.25, 0.5, 41, "2020-12-31-bbbbbbbbbb", 0.75, 0.6, 52, None)
FAILED = PairedScore(
    0.25, 0.5, 41, "2020-12-31-bbbbbbbbbb", None, None, None, 'ValueError: "a\\b" \ttab, \x00 and ñ'
)
RECORD = DecisionRecord(
    decision_id="019c0b5e-7e64-7cc1-9c4b-1d2a3b4c5d6e",
    decided_at=datetime(2026, 11, 24, 14, 21, 3, 12_345, UTC),
    customer=2**63 - 1,
    loan=LoanAsked.NEWEST,
    as_of=None,
    given=None,
    snapshot="2020-12-31-aaaaaaaaaaaa",
    features=(32, 5, 3, 0.1 + 0.2, 1),
    release=7,
    champion="2020-12-31-aaaaaaaaaa",
    model_version="2020-12-31-aaaaaaaaaa",
    arm=Arm.CHAMPION,
    probability=0.012345678901234567,
    threshold=0.03,
    decision=0,
    paired=None,
    reasons=None,
    latency_microseconds=812,
    key_name="branch office",
)
APPLIED_FOR = RECORD._replace(
    customer=-(2**63),
    loan=LoanAsked.NEXT,
    as_of=date(2021, 1, 15),
    given=GivenAttributes(date(1988, 2, 1), None, 0),
    features=(32, None, 0, None, 0),
    arm=Arm.FALLBACK,
    paired=FAILED,
    reasons=[{"code": "young", "value": 32, "usual": [40.0, 60.5]}],
    key_name=None,
)
RECORDS = [RECORD, RECORD._replace(paired=PAIRED, arm=Arm.CHALLENGER), APPLIED_FOR]


@pytest.mark.parametrize("record", RECORDS)
def test_a_line_holds_all_of_a_record(record: DecisionRecord) -> None:
    line = to_line(record)
    assert from_line(line) == from_line(line.removesuffix(b"\n")) == record
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("record", RECORDS)
def test_every_cut_line_is_known(record: DecisionRecord) -> None:
    whole = to_line(record).removesuffix(b"\n")
    for length in range(len(whole)):
        with pytest.raises(RecordDamaged, match="not written whole"):
            from_line(whole[:length])


def test_a_changed_byte_is_known() -> None:
    line = bytearray(to_line(RECORD))
    line[40] ^= 1
    with pytest.raises(RecordDamaged, match="changed since"):
        json_of(bytes(line))


def test_an_object_that_is_no_record_names_what_is_missing() -> None:
    fields = orjson.loads(json_of(to_line(RECORD)))
    del fields["snapshot"]
    with pytest.raises(RecordDamaged, match="snapshot"):
        record_of(orjson.dumps(fields))
    with pytest.raises(RecordDamaged, match="not a decision's record"):
        record_of(b"[]")


def test_whole_numbers_of_postgres_are_floats_where_floats_belong() -> None:
    fields = orjson.loads(json_of(to_line(RECORD))) | {"avg_amount_loans_previous": 200, "probability": 0}
    record = record_of(orjson.dumps(fields))
    assert [type(record.features[3]), type(record.probability)] == [float, float]
    assert record == RECORD._replace(features=(32, 5, 3, 200.0, 1), probability=0.0)
