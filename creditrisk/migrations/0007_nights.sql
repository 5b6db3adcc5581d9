-- A row for each night's run, kept up by its own tasks: what a person wants to know of it at a glance.
CREATE TABLE nights (
    as_of        date NOT NULL,
    run_id       text NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    snapshot     text,
    rows_in      bigint,
    kept         bigint,
    quarantined  bigint,
    later        bigint,
    seconds      double precision,
    verdict      text CHECK (verdict IN ('pass', 'warn', 'fail', 'not judged')),
    outcome      text NOT NULL CHECK (outcome IN ('running', 'published', 'skipped', 'failed')),
    why          text,
    PRIMARY KEY (as_of, run_id)
);

CREATE INDEX nights_started ON nights (started_at);
