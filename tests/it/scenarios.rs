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

use crate::http::server::Server;

/// The configuration of a daemon that looks at the app of a primary and at that of its one standby,
/// `south`.
fn config(times: &str, primary: &Server, standby: &Server, checks: &str) -> String {
    let (west, south) = (primary.address, standby.address);
    format!(
        "region: west\n\
         regions: [{{ name: west }}, {{ name: south }}]\n\
         defaults: {{ {times} }}\n\
         probes:\n\
         - name: web\n\
         \x20 check: {{ http: {{}} }}\n\
         \x20 from: [west]\n\
         \x20 targets: {{ west: \"http://{west}\", south: \"http://{south}\" }}\n\
         groups:\n\
         - {{ name: shop, primary: west, standbys: [south], probes: [web], checks: [{checks}] }}\n"
    )
}
