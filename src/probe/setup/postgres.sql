-- What hotspare needs in PostgreSQL (12 and later). Run it once, on the primary, in the database
-- that is probed: psql -d orders -f this.sql
--
-- Then give the role a password (\password hotspare_probe) or a line in pg_hba.conf.

CREATE ROLE hotspare_probe LOGIN CONNECTION LIMIT 8;
ALTER ROLE hotspare_probe SET statement_timeout = '10s';
ALTER ROLE hotspare_probe SET lock_timeout = '1s';

-- To see whether a standby receives. All else that is asked needs no grant.
GRANT pg_read_all_stats TO hotspare_probe;

-- The rest is for `canary: true` only: one row for each region that hotspare runs in and each probe.
-- Logical replication and change capture of all tables (FOR ALL TABLES) will send it along: a
-- subscriber needs the table too, or has to leave it out.
CREATE SCHEMA hotspare;
CREATE TABLE hotspare.canary (
    vantage text NOT NULL,
    probe text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (vantage, probe)
) WITH (fillfactor = 50);
GRANT USAGE ON SCHEMA hotspare TO hotspare_probe;
GRANT SELECT, INSERT, UPDATE ON hotspare.canary TO hotspare_probe;
