"""What rows of one loan say of one another: differing rows, late labels."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from creditrisk.contract import RAW_COLUMNS
from spark_jobs.parsing import present, value_of
from spark_jobs.reading import field_texts


def loan_facts(claims: DataFrame, labels: DataFrame | None) -> DataFrame:
    """What is known of a loan besides its own row: ``loan_id``, ``is_suspected``, ``label``.

    One shuffle of three narrow columns finds the rows of one ``loan_id`` whose texts differ, and each loan's newest late
    label. Only loans about which there is something to say are in the result.

    Args:
        claims: with ``loan_id`` and ``identity``, every row that is judged and has a loan_id.
        labels: good labels, or None where no label has landed.

    Returns:
        ``is_suspected`` says that texts differ, see :func:`differing_loans`.
        ``label`` is ``struct<known_on,status>`` of the newest ``known_on`` (of two on one day, status 1 wins).
    """
    no_label = F.lit(None).cast("struct<known_on:date,status:int>").alias("label")
    claims = claims.select("loan_id", "identity")
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


def rows_of(loans: DataFrame, rows: DataFrame) -> DataFrame:
    """The rows of some loans: ``loan_id``, ``source``, ``raw``, ``canonical``, ``state``."""
    return rows.join(loans.select("loan_id"), "loan_id", "left_semi").select(
        "loan_id", "source", "raw", "canonical", "state"
    )


def differing_loans(suspects: DataFrame) -> DataFrame:
    """Loans, by ``loan_id``, of whose rows a value differs: ``1.0`` and ``1`` are one number.

    Texts are equal in nearly every file that lands twice, and quick to compare; this looks again where they differ.

    Args:
        suspects: see :func:`rows_of`.
    """
    texts = field_texts(F.coalesce("canonical", "raw"))
    values = (
        F.coalesce(
            value_of(present(F.get("texts", number)), column.type).cast("string"), F.get("texts", number)
        )
        for number, column in enumerate(RAW_COLUMNS)
    )
    return (
        suspects.select("loan_id", texts.alias("texts"))
        .select("loan_id", F.xxhash64(*values).alias("identity"))
        .groupBy("loan_id")
        .agg(F.min("identity").alias("least"), F.max("identity").alias("greatest"))
        .where("least != greatest")
        .select("loan_id")
    )
