//! Integration tests.
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod postgres_server;
