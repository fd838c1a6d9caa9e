-- The roles of Atlas: server-wide, so made once whatever the number of databases. An administrator runs this file; it
-- may be run again at any time. Plain SQL: psql and asyncpg both take it. Passwords are set elsewhere, never here.
--
--   atlas           owns the database and runs the migrations
--   atlas_app       what the services log in as: reads and writes rows, makes the tables of a read model's generations
--   atlas_readonly  dashboards and people: SELECT everywhere, nothing else
BEGIN;
-- Two who set up the same database at once would fail on each other's changes of the catalogue.
SELECT pg_advisory_xact_lock(hashtext('atlas/postgres/init'));

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['atlas', 'atlas_app', 'atlas_readonly'] LOOP
        -- Caught, not asked for: roles are the server's, and the lock above is this database's.
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

-- The owner has what the services have: it may replace a view that a service made, and services may run as the owner.
DO $$
BEGIN
    IF NOT pg_has_role('atlas', 'atlas_app', 'MEMBER') THEN
        GRANT atlas_app TO atlas;
    END IF;
END
$$;

-- A dashboard's query must not hold a snapshot for hours: vacuum could not clean the outbox behind it.
ALTER ROLE atlas_readonly SET default_transaction_read_only = on;
ALTER ROLE atlas_readonly SET statement_timeout = '30s';
ALTER ROLE atlas_readonly SET idle_in_transaction_session_timeout = '30s';
COMMIT;
