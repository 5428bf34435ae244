-- The accounts of footfall's database, and the database itself. Run by accounts.sh, as a superuser, by psql.
--
-- May be run again at any time: it makes what is missing, puts right what was changed, and sets the passwords anew.
-- Each account may do what its process does and no more:
--
--   footfall_owner         owns the database and what is in it; footfall-ingest migrate logs in with it, nothing else does
--   footfall_ingest_login  reads and writes counts, changes no table's shape; the process footfall-ingest
--   footfall_api_login     reads, but for the payloads in quarantine; the processes of footfall-api
--   footfall_backup_login  reads everything; footfall-ingest backup, with pg_dump
--   footfall_grafana       reads what the API may read; Grafana's dashboards
--
-- What the groups footfall_ingest and footfall_api may do with each table is granted by `footfall-ingest migrate`.
--
-- Variables of psql: `database` (default: footfall) and, for each account that has one, its password.

\set ON_ERROR_STOP on
\set QUIET on
\if :{?database}
\else
  \set database footfall
\endif

-- A password is part of a statement: it must not get into the server's log, nor into its statistics.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET pg_stat_statements.track_utility = 'off';
SET password_encryption = 'scram-sha-256';
SET client_min_messages = 'warning';

-- Groups, which nobody logs in with, and the accounts that do.
SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['footfall_admin', 'footfall_ingest', 'footfall_api']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY[
    'footfall_owner', 'footfall_ingest_login', 'footfall_api_login', 'footfall_backup_login', 'footfall_grafana'
]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('ALTER ROLE %I LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', name)
FROM unnest(ARRAY[
    'footfall_owner', 'footfall_ingest_login', 'footfall_api_login', 'footfall_backup_login', 'footfall_grafana'
]) AS name \gexec

-- An account without a password given here keeps the one that it has, if any. One that has none can log in only where
-- the server knows it otherwise (`peer` in pg_hba.conf).
\if :{?footfall_owner}
  ALTER ROLE footfall_owner PASSWORD :'footfall_owner';
\endif
\if :{?footfall_ingest_login}
  ALTER ROLE footfall_ingest_login PASSWORD :'footfall_ingest_login';
\endif
\if :{?footfall_api_login}
  ALTER ROLE footfall_api_login PASSWORD :'footfall_api_login';
\endif
\if :{?footfall_backup_login}
  ALTER ROLE footfall_backup_login PASSWORD :'footfall_backup_login';
\endif
\if :{?footfall_grafana}
  ALTER ROLE footfall_grafana PASSWORD :'footfall_grafana';
\endif

-- Each is in one group, or none.
SELECT format('REVOKE %I FROM %I', given.rolname, account.rolname)
FROM pg_auth_members
JOIN pg_roles AS given ON given.oid = roleid
JOIN pg_roles AS account ON account.oid = member
WHERE account.rolname IN (
    'footfall_owner', 'footfall_ingest_login', 'footfall_api_login', 'footfall_backup_login', 'footfall_grafana'
) \gexec
GRANT footfall_ingest TO footfall_ingest_login;
GRANT footfall_api TO footfall_api_login, footfall_grafana;
GRANT pg_read_all_data TO footfall_backup_login;

-- They cannot write anyway; a mistake is to be told so at once. A dashboard must not keep the server busy for ever.
ALTER ROLE footfall_api_login SET default_transaction_read_only = on;
ALTER ROLE footfall_backup_login SET default_transaction_read_only = on;
ALTER ROLE footfall_grafana SET default_transaction_read_only = on;
ALTER ROLE footfall_grafana SET statement_timeout = '30s';
ALTER ROLE footfall_grafana CONNECTION LIMIT 10;

-- The database. template0: whatever somebody has put into template1 stays out of it.
SELECT format('CREATE DATABASE %I OWNER footfall_owner TEMPLATE template0 ENCODING ''UTF8''', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO footfall_owner;

-- By default every account of the server may connect to every database and make temporary tables there.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO footfall_admin, footfall_ingest, footfall_api, footfall_backup_login;

\connect :"database"
SET client_min_messages = 'warning';
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- It tells the number of the cluster, by which footfall-ingest notices that the database was restored elsewhere.
GRANT EXECUTE ON FUNCTION pg_control_system() TO footfall_ingest;

-- TimescaleDB, where the server has loaded it.
SELECT 'CREATE EXTENSION IF NOT EXISTS timescaledb'
WHERE current_setting('shared_preload_libraries') LIKE '%timescaledb%'
  AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') \gexec

\echo 'the database and its accounts are as they should be:' :database
