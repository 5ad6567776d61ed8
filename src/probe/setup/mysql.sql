-- What hotspare needs in MySQL (8 and later) and MariaDB (10.4 and later). Run it once, on the
-- primary: mysql < this.sql
--
-- Then give the user a password:
--   ALTER USER hotspare_probe IDENTIFIED BY '...' ACCOUNT UNLOCK;
--
-- Never give it SUPER, READ ONLY ADMIN, READ_ONLY ADMIN or CONNECTION_ADMIN: with them it could
-- write to a standby.

CREATE USER hotspare_probe WITH MAX_USER_CONNECTIONS 8 ACCOUNT LOCK;

-- To see whether a standby receives and applies. MySQL runs the line with 80000, MariaDB those with
-- M: since 10.5 REPLICATION CLIENT is another grant there, which lists binary logs.
GRANT REPLICATION CLIENT ON *.* TO hotspare_probe;
/*M!100502 REVOKE BINLOG MONITOR ON *.* FROM hotspare_probe */;
/*M!100502 GRANT SLAVE MONITOR ON *.* TO hotspare_probe */;
/*!80000 GRANT SELECT ON performance_schema.replication_connection_status TO hotspare_probe */;

-- The rest is for `canary: true` only: one row for each region that hotspare runs in and each probe.
-- A replication filter that leaves this database out makes the canary useless.
CREATE DATABASE hotspare;
CREATE TABLE hotspare.canary (
    vantage varchar(64) NOT NULL,
    probe varchar(64) NOT NULL,
    epoch char(32) NOT NULL,
    seq bigint unsigned NOT NULL,
    written_at timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6),
    PRIMARY KEY (vantage, probe)
) CHARACTER SET ascii COLLATE ascii_bin;
GRANT SELECT, INSERT, UPDATE ON hotspare.canary TO hotspare_probe;
