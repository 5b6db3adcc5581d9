-- What monitoring measured: a number, what it is held against, and the verdict. A day is replaced as a whole.
CREATE TABLE metrics (
    day          date NOT NULL,
    metric       text NOT NULL,
    part         text NOT NULL,
    value        double precision,
    limit_value  double precision,
    verdict      text NOT NULL CHECK (verdict IN ('pass', 'warn', 'fail', 'not judged')),
    words        text NOT NULL,
    detail       jsonb,
    measured_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, metric, part)
);
