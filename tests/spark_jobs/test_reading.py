"""Landed files: what the CSV source would lose or move, headers, packed files, Parquet, odd paths."""

import gzip
import re
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from creditrisk.errors import ContractError, HeaderError, NoInputError, ReadingUnsound
from creditrisk.storage import Storage
from spark_jobs.landed import LandedFile, LandedFiles
from spark_jobs.reading import rows_by_file
from spark_jobs.report import failure_line
from tests.spark_jobs.landing import AS_OF, NAMES, TODAY, Lake, csv_text, line, loan

HEADER = ",".join(NAMES)


def test_no_line_is_dropped_or_shifted(lake: Lake) -> None:
    malformed = [
        "," * 25_000,
        line(loan(2)).rpartition(",")[0],
        line(loan(3)) + ",9",
        line(loan(4, occupation_type='"Core staff')),
        line(loan(5, occupation_type='Core "staff"')),
        line(loan(6, occupation_type='"Core" staff')),
        line(loan(7, loan_amount='"100.5')),
        line(loan(8, occupation_type='"Core ""staff"""')),
        "lonely",
    ]
    quoted = line(loan(20, occupation_type='"Managers, senior"'))
    repeated_header = HEADER
    text = "\n".join([HEADER, *malformed, quoted, "", repeated_header, line(loan(21)), ""])
    lake.land(text)
    built = lake.build()
    assert built.loans().keys() == {20, 21}
    reasons = built.reasons()
    assert {raw for raw, rules in reasons.items() if rules == {"malformed_line"}} == set(malformed)
    assert "unparsable" in reasons[repeated_header]
    counts = built.manifest.counts
    assert (counts.rows_in, counts.kept, counts.quarantined) == (12, 2, 10)


def test_bytes_that_are_no_text_are_kept_as_a_sign_for_them(lake: Lake) -> None:
    text = csv_text([loan(1, name_income_type="Arbeit?"), loan(2, loan_amount="?"), loan(3)])
    path = lake.land("")
    path.write_bytes(text.encode().replace(b"?", b"\xff"))
    built = lake.build()
    assert built.loans().keys() == {1, 3}
    ((refused, rules),) = built.reasons().items()
    assert rules == {"unparsable"}
    assert "\ufffd" in refused


def test_a_line_does_not_end_at_a_unicode_separator(lake: Lake) -> None:
    id_last = (*(name for name in NAMES if name != "loan_id"), "loan_id")
    lake.land(csv_text([loan(1), loan(22)], id_last).replace(",22\n", ",22\u2028\n"))
    status_last = (*(name for name in NAMES if name != "status"), "status")
    lake.land(csv_text([loan(3)], status_last).replace(",0\n", ",0\x85\n"), name="status last.csv")
    lake.land(csv_text([loan(4)]).replace("100.5\n", "100.5\u2029\n"), name="amount last.csv")
    built = lake.build()
    assert built.loans().keys() == {1}
    assert sorted(map(sorted, built.reasons().values())) == [
        ["status_not_zero_or_one"],
        ["unparsable"],
        ["unparsable"],
    ]


def test_a_packed_file_of_several_parts_is_read_whole(lake: Lake) -> None:
    path = lake.land([loan(1)], name="parts.csv.gz")
    path.write_bytes(gzip.compress(b"") + path.read_bytes() + gzip.compress(line(loan(2)).encode()))
    assert lake.build().loans().keys() == {1, 2}


def test_lines_without_a_word_are_no_rows_wherever_they_stand(lake: Lake) -> None:
    lake.land("\n \x00\t\n" + csv_text([loan(1)]) + "\r\n\x00 \n" + line(loan(2)) + "\n\n")
    built = lake.build()
    assert built.loans().keys() == {1, 2}
    assert built.manifest.counts.rows_in == 2


def test_a_header_that_stands_in_each_part_of_a_file_is_refused_but_for_one(lake: Lake) -> None:
    part = csv_text([loan(1)])
    lake.land(part + part.replace("\n1,", "\n2,") + part.replace("\n1,", "\n3,"))
    lake.land(csv_text([loan(4)]), name="other.csv")
    counts = lake.build().manifest.counts
    assert (counts.rows_in, counts.kept, counts.quarantined) == (6, 4, 2)


def test_a_file_that_was_replaced_behind_its_header_stops_the_run() -> None:
    landed = LandedFiles(Storage("file:///lake"), (LandedFile("a.csv", AS_OF), LandedFile("b.csv", AS_OF)))
    rows = [{"source": "a.csv", "rows": 2, "headers": 1}, {"source": "b.csv", "rows": 2, "headers": 0}]
    with pytest.raises(ReadingUnsound, match=re.escape("replaced while they were read: ['b.csv']")):
        rows_by_file(rows, landed)


def test_columns_are_matched_by_name_in_files_side_by_side(lake: Lake) -> None:
    lake.land([loan(1, loan_amount=11, status=1)])
    lake.land(csv_text([loan(2, loan_amount=22, status=1)], NAMES[::-1]), name="turned.csv")
    lake.land(csv_text([loan(3, loan_amount=33, status=1)], (*NAMES[5:], *NAMES[:5])), name="packed.csv.gz")
    lake.land("﻿" + csv_text([loan(4, loan_amount=44, status=1)]).replace("\n", "\r\n"), name="windows.csv")
    lake.land("", name="nothing.csv")
    built = lake.build()
    rows = built.loans()
    assert {key: rows[key]["nb_previous_loans"] for key in rows} == {1: 0, 2: 1, 3: 2, 4: 3}
    assert all(row["status"] == 1 and row["age"] == 40 for row in rows.values())
    assert built.customers()[5008827]["amount_sum_micros"] == 110_000_000
    assert {Path(file.url).name: file.rows for file in built.manifest.inputs} == {
        "loans.csv": 1, "turned.csv": 1, "packed.csv.gz": 1, "windows.csv": 1, "nothing.csv": 0,
    }  # fmt: skip


def test_missing_and_extra_columns_of_all_files_are_listed(lake: Lake) -> None:
    lake.land(csv_text([loan(1)], NAMES[2:]))
    lake.land(csv_text([loan(1)]).replace(",status,", ",Status,", 1), name="other.csv")
    lake.land(csv_text([loan(1)], (*NAMES, "id")), name="doubled.csv")
    with pytest.raises(HeaderError) as raised:
        lake.build()
    message = str(raised.value)
    assert "loans.csv: missing 'loan_id', 'id'" in message
    assert "other.csv: missing 'status'; extra 'Status'" in message
    assert "doubled.csv: twice 'id'" in message


def test_files_that_are_not_what_their_names_say_are_listed(lake: Lake) -> None:
    lake.land([loan(1)])
    lake.land("no Parquet", name="other.parquet")
    lake.land("", name="empty.parquet")
    packed = lake.land("", name="packed.csv.gz")
    packed.write_text("not packed")
    cut = lake.land([loan(1)], name="cut.csv.gz")
    cut.write_bytes(cut.read_bytes()[:14])
    lake.land("x" * 200_000, name="wordless.csv")
    lake.land("\x00" * 2_000_000 + csv_text([loan(1)]), name="zeros.csv")
    broken = lake.land("", name="broken.parquet")
    broken.write_bytes(b"PAR1" + b"\xaa" * 99 + (99).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(HeaderError) as raised:
        lake.build()
    told = str(raised.value)
    for name in (
        *("other.parquet", "empty.parquet", "broken.parquet"),
        *("packed.csv.gz", "cut.csv.gz", "wordless.csv", "zeros.csv"),
    ):
        assert f"{name}: cannot be read: " in told
    assert "loans.csv" not in told


def test_a_packed_file_that_was_cut_off_is_named_in_one_line(lake: Lake) -> None:
    cut = lake.land([loan(number) for number in range(200)], name="cut.csv.gz")
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(Exception, match="FAILED_READ_FILE") as raised:
        lake.build()
    told = failure_line(raised.value)
    assert re.search(r"^Py4JJavaError: .*/cut\.csv\.gz.*Unexpected end of input stream$", told)
    assert lake.catalog.current(AS_OF) is None


def test_parquet_says_the_same_as_csv(lake: Lake) -> None:
    rows = [loan(1), loan(2, loan_date="2020-07-01", loan_amount="1234567.5", job_start_date="")]
    lake.land(rows)
    from_csv = lake.build()
    path = lake.land("", landed=date(2020, 12, 30), name="loans.parquet")
    columns = {name: [row[name] or None for row in rows] for name in NAMES}
    table = pa.table(columns)
    typed = {
        **{
            name: pa.array([int(v) for v in columns[name]])
            for name in ("loan_id", "id", "cnt_children", "status")
        },
        "loan_amount": pa.array([float(v) for v in columns["loan_amount"]]),
        "birthday": pa.array([date.fromisoformat(v) for v in columns["birthday"]]),
        "loan_date": pa.array([datetime.fromisoformat(v) for v in columns["loan_date"]], pa.timestamp("us")),
    }
    for name, values in typed.items():
        table = table.set_column(table.column_names.index(name), name, values)
    parquet.write_table(table.select(NAMES[::-1]), path)
    both = lake.build()
    assert both.manifest.counts.repeated == 2
    assert both.manifest.quarantined_by_rule == {}
    assert both.id == from_csv.id


def test_names_that_hadoop_would_take_for_patterns_are_read(lake: Lake) -> None:
    lake.land([loan(1)], name="odd [a] {b} 100% + 50%25.csv")
    built = lake.build()
    assert built.loans().keys() == {1}
    assert [file.rows for file in built.manifest.inputs] == [1]


def test_strange_files_stop_the_run_and_hidden_ones_do_not(lake: Lake) -> None:
    lake.land([loan(1)])
    lake.land("half", name="_loans.csv")
    lake.land("half", name=".loans.csv")
    assert lake.build().loans().keys() == {1}
    lake.land("?", date(2021, 1, 1), name="loans.zip")  # landed since
    assert lake.build().loans().keys() == {1}
    lake.land("?", name="loans.zip")
    with pytest.raises(ContractError, match=re.escape("2020-12-31/loans.zip")):
        lake.build()


def test_a_file_or_folder_of_ones_own_counts_as_landed_today(lake: Lake, tmp_path: Path) -> None:
    file = tmp_path / "my folder" / "my loans.csv"
    file.parent.mkdir()
    file.write_text(csv_text([loan(1), loan(2, loan_date="2021-03-01")]))
    for given in (str(file), file.as_uri(), str(file.parent)):
        built = lake.build(loans=given)
        assert built.loans().keys() == {1}
        assert built.manifest.counts.later == 1
        assert str(built.manifest.inputs[0].landed) == "2021-06-01"


def test_a_file_beside_the_folders_landed_today_whatever_its_name(lake: Lake) -> None:
    lake.land([loan(1)])
    lake.land([loan(2)], name="../2019-01-01Tnight.csv")
    built = lake.build(as_of=TODAY)
    assert built.loans().keys() == {1, 2}
    assert {Path(file.url).name: file.landed for file in built.manifest.inputs} == {
        "loans.csv": AS_OF,
        "2019-01-01Tnight.csv": TODAY,
    }


def test_a_date_that_has_not_come_is_refused(lake: Lake) -> None:
    lake.land([loan(1)])
    with pytest.raises(ContractError, match="as_of: 2021-06-02 has not come yet, today is 2021-06-01"):
        lake.build(as_of=TODAY + timedelta(days=1))
    assert lake.build(as_of=TODAY).loans().keys() == {1}


def test_nothing_landed_is_told(lake: Lake) -> None:
    lake.land([loan(1)], date(2021, 1, 1))
    with pytest.raises(NoInputError, match=f"no loans file has landed up to {AS_OF}"):
        lake.build()


def test_rows_of_a_parquet_file_break_the_rules_that_a_files_lines_break(lake: Lake) -> None:
    rows = [
        loan(1),
        loan(2, loan_amount="1.0E2"),
        loan(3, loan_amount="-1", name_housing_type="House, apartment"),
        loan(4, loan_amount="-1"),
        loan(4, loan_amount="-2"),
        loan(5, birthday="", flag_own_car="X"),
        loan(6, occupation_type='Core "staff"'),
        loan(7, flag_own_realty="", loan_date="2021-01-01"),
    ]
    path = lake.land("", name="loans.parquet")
    parquet.write_table(pa.table({name: [row[name] or None for row in rows] for name in NAMES}), path)
    built = lake.build()
    assert built.loans().keys() == {1, 2}
    assert built.reasons() == {
        line(rows[2]): {"amount_not_positive"},
        line(rows[3]): {"amount_not_positive", "conflicting_loan_id"},
        line(rows[4]): {"amount_not_positive", "conflicting_loan_id"},
        line(rows[5]): {"missing_input", "flag_not_yes_or_no"},
        line(rows[6]): {"malformed_line"},
    }
    assert built.manifest.counts.later == 1
