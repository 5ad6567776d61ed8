//! Integration tests: one binary, so that it is linked once.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by a panic; clippy knows only functions marked as tests"
)]

mod address_change;
mod alert_rules;
mod alerting;
mod alertmanager;
mod alertmanager_cluster;
mod alerts;
mod alerts_campaign;
mod api;
mod authority;
mod browser;
mod command_line;
mod config;
mod confine;
mod container;
mod daemon;
mod dashboards;
mod database_series;
mod delivery;
mod discovery;
mod dns;
mod drills;
mod fault;
mod gate;
#[path = "../../grafana/generator/mod.rs"]
mod generator;
mod grafana_files;
mod heartbeat;
mod hook;
mod http;
mod layering;
mod lifecycle;
mod link;
mod local_server;
mod mariadb_server;
mod measures;
mod metrics;
mod metrics_reference;
mod mysql;
mod mysql_hostile;
mod mysql_pair;
mod nginx;
mod own_faults;
mod package;
mod page;
mod patroni;
mod patroni_cluster;
mod postgres;
mod postgres_canary;
mod postgres_hostile;
mod postgres_pooler;
mod postgres_replication;
mod postgres_reuse;
mod postgres_server;
mod process;
mod prometheus;
mod prometheus_probe;
mod rank;
mod receivers;
mod redis;
mod redis_canary;
mod redis_hostile;
mod redis_server;
mod reload;
mod replication;
mod rules;
mod scaling;
mod scenarios;
mod scripted;
mod secrets;
mod server;
mod silences;
mod soak;
mod state;
mod succession;
mod systemd;
mod target_sources;
mod units;
mod vantages;
mod walls;
mod web;
mod web_config;
