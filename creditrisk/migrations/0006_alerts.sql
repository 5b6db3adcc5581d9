-- What is wrong, from when to when; and of each message about it whether it got out. What merely happened, such as a
-- promotion, ended when it started.
CREATE TABLE alerts (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule        text NOT NULL,
    subject     text NOT NULL,
    severity    text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz CHECK (ended_at >= started_at),
    words       text NOT NULL,
    since       date NOT NULL,
    serving     text NOT NULL,
    advice      text NOT NULL,
    link        text NOT NULL
);

-- A rule and subject has one open alert, and what happened is told once, however many watch.
CREATE UNIQUE INDEX alerts_open ON alerts (rule, subject) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX alerts_happened ON alerts (rule, subject) WHERE ended_at = started_at;
CREATE INDEX alerts_started ON alerts (started_at);

CREATE TABLE deliveries (
    alert       bigint NOT NULL REFERENCES alerts (number) ON DELETE CASCADE,
    event       text NOT NULL CHECK (event IN ('started', 'ended')),
    channel     text NOT NULL,
    state       text NOT NULL CHECK (state IN ('unsent', 'sent')),
    tries       integer NOT NULL DEFAULT 0,
    last_error  text,
    due_at      timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz,
    PRIMARY KEY (alert, event, channel)
);

CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'unsent';

-- The newest answer of each part of the system that is looked at every few minutes.
CREATE TABLE probes (
    name     text PRIMARY KEY,
    verdict  text NOT NULL CHECK (verdict IN ('pass', 'warn', 'fail', 'not judged')),
    words    text NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    since    timestamptz NOT NULL DEFAULT now() -- from when the verdict has been the same at every look
);
