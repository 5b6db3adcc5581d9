-- The layout of every published snapshot's table: features_<yyyymmdd>_<hash12> is made like it.
-- Its primary key is added once its rows are loaded.
CREATE TABLE features_layout (
    id                                   bigint NOT NULL,
    loan_id                              bigint NOT NULL,
    loan_date                            date NOT NULL,
    age                                  smallint NOT NULL,
    years_on_the_job                     smallint,
    nb_previous_loans                    integer NOT NULL,
    avg_amount_loans_previous            double precision,
    flag_own_car                         smallint NOT NULL,
    birthday                             date NOT NULL,
    job_start_date                       date,
    loan_count                           integer NOT NULL,
    amount_sum_micros                    bigint NOT NULL,
    loan_count_before_newest_day         integer NOT NULL,
    amount_sum_micros_before_newest_day  bigint NOT NULL
);

-- Which table is served: one row at most.
CREATE TABLE current_snapshot (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    snapshot     text NOT NULL,
    table_name   text NOT NULL,
    switched_at  timestamptz NOT NULL DEFAULT now()
);

-- Every switch of the pointer, oldest first. Nothing here is changed or removed.
CREATE TABLE publications (
    number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    snapshot      text NOT NULL,
    as_of         date NOT NULL,
    table_name    text NOT NULL,
    customers     bigint NOT NULL,
    action        text NOT NULL CHECK (action IN ('publish', 'point back')),
    published_by  text NOT NULL DEFAULT session_user,
    published_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX publications_as_of ON publications (as_of, number);
