-- How the decisions of a month turned out, as far as is known: by the version that scored and the arm that decided.
CREATE TABLE vintages (
    month                date NOT NULL CHECK (extract(day FROM month) = 1),
    version              text NOT NULL,
    arm                  text NOT NULL,
    decisions            bigint NOT NULL,
    labelled             bigint NOT NULL,
    late                 bigint NOT NULL,
    roc_auc              double precision,
    brier                double precision,
    calibration_error    double precision,
    expected_roc_auc     double precision,
    expected_late_share  double precision,
    measured_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (month, version, arm)
);
