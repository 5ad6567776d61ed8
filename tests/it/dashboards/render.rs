//! Pictures of the dashboards, which `grafana/render` draws from what the stage shows after some
//! trouble.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

use super::stage::Stage;

/// Which of several values a picture is of.
const CHOSEN: [&str; 4] = [
    "kind=http",
    "hotspare-region-pair:source_region=eu-central",
    "hotspare-region-pair:target_region=eu-west",
    "hotspare-readiness:group=shop",
];

/// Long enough for the shortened rules to see it.
const A_WHILE: Duration = Duration::from_secs(30);

/// A slow way, then a standby that hears nothing, then a region that is gone, for as long as the
/// pictures are taken.
fn have_trouble(stage: &Stage) {
    let wait = || std::thread::sleep(A_WHILE);
    let (_, stream) = &stage.standbys[0];
    wait();
    stage.regions[0].slow("app", Duration::from_millis(60));
    wait();
    stage.regions[0].slow("app", Duration::ZERO);
    stream.black_hole();
    wait();
    stream.pass();
    wait();
    stage.regions[2].cut();
    wait();
}

/// Draws every dashboard; the program says what cannot be drawn.
fn draw(prometheus: &str, range: Duration, out: &str) {
    let grafana = Path::new(env!("CARGO_MANIFEST_DIR")).join("grafana");
    let mut node = Command::new("node");
    node.current_dir(grafana.join("render"))
        .args([
            "shoot.mjs",
            "--dashboards",
            "../dashboards",
            "--scrape",
            "1s",
        ])
        .args(["--prometheus", prometheus, "--out", out])
        .args(["--range", &format!("{}s", range.as_secs())]);
    for choice in CHOSEN {
        node.args(["--var", choice]);
    }
    let status = node.status().expect("node starts");
    assert!(status.success(), "not all could be drawn: see above");
}

#[test]
#[ignore = "minutes and Chromium: scripts/render-dashboards runs it"]
fn the_dashboards_are_drawn() {
    let out = std::env::var("HOTSPARE_RENDER_TO").expect("scripts/render-dashboards says where");
    let since = Instant::now();
    let stage = Stage::set();
    have_trouble(&stage);
    draw(&stage.watch.prometheus.url(), since.elapsed(), &out);
}
