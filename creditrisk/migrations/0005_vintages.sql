-- How the decisions of a month turned out, as far as is known: by the version that scored and its arm, which is
-- champion or challenger; while there is a challenger, both score every decision. A question that is asked again
-- counts once.
CREATE TABLE vintages (
    month                date NOT NULL CHECK (extract(day FROM month) = 1),
    version              text NOT NULL,
    arm                  text NOT NULL,
    decisions            bigint NOT NULL,
    -- Of the decisions, those whose outcome is known, and counts.
    labelled             bigint NOT NULL,
    late                 bigint NOT NULL,
    roc_auc              double precision,
    brier                double precision,
    calibration_error    double precision,
    -- What the scores themselves say, whether an outcome is known or not.
    expected_roc_auc     double precision,
    expected_late_share  double precision,
    measured_at          timestamptz NOT NULL DEFAULT now(),
    -- Of the decisions, those of which no outcome counts: declined, without a loan so far, or used to make the version.
    excluded             bigint NOT NULL DEFAULT 0,
    -- The day that was measured: an earlier day that is measured again changes nothing here.
    day                  date,
    PRIMARY KEY (month, version, arm)
);
