"""What the job tells an operator, in words."""

from creditrisk.contract import ROW_RULES
from creditrisk.snapshots import SnapshotManifest
from spark_jobs.writing import Outcome

_SENTENCES = {rule.name: rule.sentence for rule in ROW_RULES}

_CHANGES = {
    Outcome.NEW: "Snapshot {snapshot} is new and in force for {as_of}.",
    Outcome.IN_FORCE_AGAIN: "Snapshot {snapshot} was there already, with the same content. It is in force for {as_of}"
    " again, instead of another.",
    Outcome.UNCHANGED: "Snapshot {snapshot} was there already, with the same content: nothing has changed.",
}


def report_lines(manifest: SnapshotManifest, outcome: Outcome) -> list[str]:
    """The lines an operator reads last: what became of the rows, why some were refused, how long it took."""
    counts = manifest.counts
    rows = (
        f"{counts.rows_in:,} rows in from {len(manifest.inputs):,} files = {counts.kept:,} kept"
        f" + {counts.quarantined:,} quarantined + {counts.later:,} later (loans after {manifest.as_of})."
    )
    loans = (
        f"{counts.loans:,} loans of {counts.customers:,} customers; {counts.repeated:,} kept rows were identical"
        f" copies; newest loan {manifest.newest_loan_date or 'none'}."
    )
    lines = [rows, loans]
    if counts.labels_in:
        lines.append(
            f"{counts.labels_in:,} late labels in, {counts.labels_quarantined:,} of them quarantined."
        )
    for rule, refused in manifest.quarantined_by_rule.items():
        lines.append(
            f"  quarantined {refused:,}: {rule}: {_SENTENCES.get(rule, 'A late label breaks this rule.')}"
        )
    phases = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in manifest.timings_seconds.items())
    lines.append(f"Seconds: {phases}.")
    lines.append(_CHANGES[outcome].format(snapshot=manifest.snapshot, as_of=manifest.as_of))
    return lines


def failure_line(error: Exception) -> str:
    """What failed and why, in one line: the text of a failure inside Spark is a page of Java's stack trace."""
    try:
        lines = str(error).splitlines() or [""]
    except Exception:  # noqa: BLE001 - the words are in the Java process, which is no more
        return (
            f"{type(error).__name__}: Spark's Java process has ended in the midst of its work. If it lacked memory, "
            "raise CREDITRISK_SPARK_DRIVER_MEMORY."
        )
    causes = [line for line in lines if line.startswith((": ", "Caused by: "))]
    told = dict.fromkeys(line.removeprefix(": ").strip() for line in causes or lines[:1])
    return f"{type(error).__name__}: {'; '.join(told)}"
