"""What rows of one loan say of one another: differing rows, late labels."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from creditrisk.contract import RAW_COLUMNS
from spark_jobs.judging import State
from spark_jobs.parsing import present, value_of
from spark_jobs.reading import field_texts

_CLAIMS = f"loan_id IS NOT NULL AND state != {State.LATER.value}"


def loan_facts(plain: DataFrame, labels: DataFrame | None) -> DataFrame:
    """What is known of a loan besides its own row: ``loan_id``, ``is_suspected``, ``label``.

    One shuffle of three narrow columns finds the rows of one ``loan_id`` whose texts differ, and each loan's newest late
    label. Only loans about which there is something to say are in the result.

    Args:
        plain: with ``loan_id`` and ``identity``, the rows that are good at a glance.
        labels: good labels, or None where no label has landed.

    Returns:
        ``is_suspected`` says that texts differ, see :func:`compared`.
        ``label`` is ``struct<known_on,status>`` of the newest ``known_on`` (of two on one day, status 1 wins).
    """
    no_label = F.lit(None).cast("struct<known_on:date,status:int>").alias("label")
    claims = plain.select("loan_id", "identity")
    if labels is not None:
        claims = claims.withColumn("label", no_label).unionByName(
            labels.select(
                "loan_id",
                F.lit(None).cast("bigint").alias("identity"),
                F.struct("known_on", "status").alias("label"),
            )
        )
    facts = claims.groupBy("loan_id").agg(
        F.min("identity").alias("least"),
        F.max("identity").alias("greatest"),
        *([F.max("label").alias("label")] if labels is not None else []),
    )
    is_suspected = F.coalesce(F.col("least") != F.col("greatest"), F.lit(False))
    label = F.col("label") if labels is not None else no_label
    return facts.select("loan_id", is_suspected.alias("is_suspected"), label.alias("label")).where(
        F.col("is_suspected") | F.col("label").isNotNull()
    )


def others_of(examined: DataFrame, plain: DataFrame, facts: DataFrame, *, are_few: bool) -> DataFrame:
    """Good rows of the loans that doubtful rows name, or of which two good rows' texts differ.

    Args:
        examined: see :func:`spark_jobs.judging.examined`.
        plain: the rows that are good at a glance, of the same columns but ``reasons``.
        facts: see :func:`loan_facts`.
        are_few: whether the loans in question fit into each task's memory.
    """
    in_question = (
        facts.where("is_suspected").select("loan_id").unionByName(examined.where(_CLAIMS).select("loan_id"))
    )
    return plain.join(F.broadcast(in_question) if are_few else in_question, "loan_id", "left_semi")


def compared(examined: DataFrame, others: DataFrame) -> DataFrame:
    """Rows that take a close look: those that were doubtful, and all others of the same loans.

    Texts are equal in nearly every file that lands twice, and quick to compare. Here values are: ``1.0`` and ``1`` are
    one number.

    Args:
        examined: see :func:`spark_jobs.judging.examined`.
        others: see :func:`others_of`.

    Returns:
        The columns of ``examined``, ``was_doubtful``, and ``is_conflicting``: the values of the loan's rows differ, of
        those that are judged and name a loan.
    """
    rows = examined.withColumn("was_doubtful", F.lit(True)).unionByName(
        others.withColumn("was_doubtful", F.lit(False)), allowMissingColumns=True
    )
    # Rows that name no loan are spread, for there may be many.
    by_loan = Window.partitionBy("claimed", F.when(F.col("claimed").isNull(), F.col("identity")))
    is_conflicting = F.col("claimed").isNotNull() & (
        F.min("values").over(by_loan) != F.max("values").over(by_loan)
    )
    return rows.withColumns(
        {"claimed": F.when(F.expr(_CLAIMS), F.col("loan_id")), "values": _values_hash()}
    ).select(*rows.columns, is_conflicting.alias("is_conflicting"))


def _values_hash() -> Column:
    """A hash of a row's values; of the text where it has none."""
    texts = field_texts(F.coalesce("canonical", "raw"))
    return F.xxhash64(
        *(
            F.coalesce(
                value_of(present(F.get(texts, number)), column.type).cast("string"), F.get(texts, number)
            )
            for number, column in enumerate(RAW_COLUMNS)
        )
    )
