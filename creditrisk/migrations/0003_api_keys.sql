-- Who may ask the service what. Of a key there is only its hash; a revoked one stays, as decisions name it.
CREATE TABLE api_keys (
    id          text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{8}$'),
    number      integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    name        text NOT NULL,
    scopes      text[] NOT NULL CHECK (cardinality(scopes) > 0),
    hash        bytea NOT NULL CHECK (octet_length(hash) = 32),
    made_by     text NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now(),
    revoked_by  text,
    revoked_at  timestamptz,
    CHECK ((revoked_by IS NULL) = (revoked_at IS NULL))
);

CREATE UNIQUE INDEX api_keys_good_name ON api_keys (name) WHERE revoked_at IS NULL;
