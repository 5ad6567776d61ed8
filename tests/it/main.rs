//! Integration tests.

// Marked, so that the lints know these modules for tests.
#[cfg(test)]
mod dns;
#[cfg(test)]
mod fault;
