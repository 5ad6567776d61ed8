//! Writes the dashboards: `cargo run --example dashboards`.

mod generator;

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana/dashboards");
    for dashboard in generator::all() {
        std::fs::write(folder.join(dashboard.file()), dashboard.text())?;
    }
    Ok(())
}
