-- The service's answers by minute, as each worker counted them.
CREATE TABLE traffic (
    minute       timestamptz NOT NULL,
    worker       text NOT NULL,
    route        text NOT NULL,
    status       integer NOT NULL,
    requests     bigint NOT NULL,
    seconds_sum  double precision NOT NULL,
    PRIMARY KEY (minute, worker, route, status)
);
