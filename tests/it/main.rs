//! Integration tests.
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod postgres_hostile;
#[cfg(test)]
mod postgres_server;
