-- What the migrations need before they run, and who may do what. Run by an administrator inside the database of Atlas,
-- after 01-roles.sql; it may be run again at any time, also on a database that is migrated already.
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('atlas/postgres/init'));

-- Extensions. pg_trgm: search in e-mail addresses and names. btree_gin: such an index together with a plain column.
-- uuid-ossp is not in every build of the server, and nothing of Atlas needs it: the services make UUIDv7 themselves.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp') THEN
        CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
    END IF;
END
$$;

-- Nobody gets in by default; the name of the database is the operator's choice.
DO $$
BEGIN
    EXECUTE format('ALTER DATABASE %I OWNER TO atlas', current_database());
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO atlas_app', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO atlas_readonly', current_database());
END
$$;

-- Schemas and tables that the migrations, run by the owner, will make.
ALTER DEFAULT PRIVILEGES FOR ROLE atlas GRANT USAGE ON SCHEMAS TO atlas_readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE atlas GRANT SELECT ON TABLES TO atlas_readonly;
-- CREATE: the projector makes a table for each generation of a read model. A default can't be told the schema's name.
ALTER DEFAULT PRIVILEGES FOR ROLE atlas GRANT USAGE, CREATE ON SCHEMAS TO atlas_app;
ALTER DEFAULT PRIVILEGES FOR ROLE atlas GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO atlas_app;
ALTER DEFAULT PRIVILEGES FOR ROLE atlas GRANT USAGE, SELECT ON SEQUENCES TO atlas_app;
-- Tables that the services make.
ALTER DEFAULT PRIVILEGES FOR ROLE atlas_app GRANT SELECT ON TABLES TO atlas_readonly;

-- Schemas and tables that are there already, should this run late; extensions keep their own rights.
DO $$
DECLARE
    schema_name text;
BEGIN
    FOR schema_name IN
        SELECT nspname FROM pg_namespace
        WHERE nspname IN ('app', 'outbox', 'readmodel')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO atlas_readonly', schema_name);
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO atlas_app', schema_name);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO atlas_readonly', schema_name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO atlas_app', schema_name);
        EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO atlas_app', schema_name);
    END LOOP;
END
$$;
COMMIT;
