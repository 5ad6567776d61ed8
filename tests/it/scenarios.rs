//! What happens to a service in three regions, one thing after the other: what its three daemons
//! say then, who is told, and that nobody is told anything else.
#![expect(clippy::float_cmp, reason = "what is compared are counts and switches")]

mod campaign;
mod capacity;
mod certificate;
mod flapping;
mod shop;
mod slow;
mod standby;
mod vantage;
