-- Each look of the judge at a step of a release, so that its numbers can be seen over time.
CREATE TABLE looks (
    release    integer NOT NULL,
    judged_at  timestamptz NOT NULL,
    finding    text NOT NULL,
    verdict    jsonb NOT NULL,
    PRIMARY KEY (release, judged_at)
);
