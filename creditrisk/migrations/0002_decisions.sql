-- The decision log: what was asked, what it rests on, what was answered. Rows are only ever added; retention
-- drops whole days.
CREATE TABLE decisions (
    decision_id                uuid NOT NULL,
    decided_at                 timestamptz NOT NULL,
    customer                   bigint NOT NULL,
    loan                       text NOT NULL,
    as_of                      date,
    given                      jsonb,
    snapshot                   text NOT NULL,
    age                        smallint NOT NULL,
    years_on_the_job           smallint,
    nb_previous_loans          integer NOT NULL,
    avg_amount_loans_previous  double precision,
    flag_own_car               smallint NOT NULL,
    release                    integer NOT NULL,
    champion                   text NOT NULL,
    model_version              text NOT NULL,
    arm                        text NOT NULL,
    probability                double precision NOT NULL,
    threshold                  double precision NOT NULL,
    decision                   smallint NOT NULL CHECK (decision IN (0, 1)),
    challenger                 text,
    champion_probability       double precision,
    champion_threshold         double precision,
    champion_microseconds      integer,
    challenger_probability     double precision,
    challenger_threshold       double precision,
    challenger_microseconds    integer,
    challenger_problem         text,
    reasons                    jsonb,
    latency_microseconds       integer NOT NULL,
    key_name                   text,
    PRIMARY KEY (decision_id, decided_at)
) PARTITION BY RANGE (decided_at);

-- The judge reads one release record's decisions since a moment; people ask for one customer's.
CREATE INDEX decisions_release ON decisions (release, decided_at);
CREATE INDEX decisions_customer ON decisions (customer, decided_at);

-- Makes the partition of one UTC day where it is missing. It runs with its owner's rights, so that the service
-- can have the day it adds to without owning the table: hence a fixed search path, pg_temp last, and every name
-- in full. A table is made and then attached, because PARTITION OF would lock readers out of the whole log.
DO $make$
BEGIN
    EXECUTE format($function$
        CREATE FUNCTION %1$I.add_decision_day(day date) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' SET timezone = 'UTC'
        AS $body$
        DECLARE
            name text := 'decisions_' || to_char(day, 'YYYYMMDD');
        BEGIN
            IF EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = %1$L::regnamespace) THEN
                RETURN;
            END IF;
            PERFORM pg_advisory_xact_lock(hashtextextended('decision days of ' || %1$L, 0));
            -- Asked of the table of tables, not of to_regclass, which may still believe what it saw before the lock.
            IF EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = %1$L::regnamespace) THEN
                RETURN;
            END IF;
            EXECUTE format('CREATE TABLE %%1$I.%%2$I (LIKE %%1$I.decisions INCLUDING CONSTRAINTS)', %1$L, name);
            EXECUTE format(
                'ALTER TABLE %%1$I.decisions ATTACH PARTITION %%1$I.%%2$I FOR VALUES FROM (%%3$L) TO (%%4$L)',
                %1$L, name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC'
            );
        END
        $body$
    $function$, current_schema());
    EXECUTE format('REVOKE ALL ON FUNCTION %I.add_decision_day(date) FROM PUBLIC', current_schema());
END
$make$;
