//! The pages in Chromium, against three real daemons.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::process::Signal;

use crate::daemon::Daemon;
use crate::process::{free_port, run};
use crate::rules::{read, root};

const FILES: [&str; 3] = ["drive.mjs", "package.json", "package-lock.json"];
const REGIONS: [&str; 3] = ["eu-west", "eu-central", "us-east"];

/// The script with all that it needs, outside of the repository's files.
fn install() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    std::fs::create_dir_all(&folder).expect("writable");
    for file in FILES {
        let from = root().join("tests/it/browser").join(file);
        std::fs::copy(from, folder.join(file)).expect("copied");
    }
    let lock = read(&folder.join("package-lock.json"));
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).ok().as_deref() != Some(&lock) {
        let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        run(Command::new("npm").current_dir(&folder).args(arguments));
        std::fs::write(installed, lock).expect("writable");
    }
    folder
}

/// A service that answers every request with 200, until it ends; it can begin again.
struct Service {
    address: SocketAddr,
    running: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Service {
    fn begin_anywhere() -> Self {
        let mut service = Self {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            running: None,
        };
        service.begin();
        service
    }

    fn begin(&mut self) {
        let listener = TcpListener::bind(self.address).expect("a free port");
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let Ok(mut stream) = stream else { continue };
                let mut lines = BufReader::new(&stream).lines();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        self.running = Some((end, thread));
    }

    fn end(&mut self) {
        let Some((end, thread)) = self.running.take() else {
            return;
        };
        end.store(true, Ordering::Relaxed);
        // It wakes to see that.
        let _ = std::net::TcpStream::connect(self.address);
        thread.join().expect("no panic");
    }
}

fn config(services: &[Service; 3], ports: [u16; 3]) -> String {
    let regions = REGIONS.iter().zip(ports).map(|(region, port)| {
        format!("  - {{ name: {region}, daemon: \"http://127.0.0.1:{port}\" }}\n")
    });
    let targets = REGIONS
        .iter()
        .zip(services)
        .map(|(region, service)| format!("{region}: \"http://{}/\"", service.address));
    let targets: Vec<_> = targets.collect();
    format!(
        "regions:\n{}defaults: {{ interval: 1s, timeout: 900ms }}\nprobes:\n  - name: web\n    \
         check: {{ http: {{ valid_status: [200] }} }}\n    targets: {{ {} }}\ngroups:\n  - \
         {{ name: checkout, primary: eu-west, standbys: [eu-central, us-east], probes: [web], \
         objectives: {{ rto: 15m }} }}\nrules:\n  - {{ name: TargetFails, when: {{ failures: {{}} }}, \
         severity: warning }}\n",
        regions.collect::<String>(),
        targets.join(", "),
    )
}

#[test]
fn the_pages_tell_what_happens_to_people_with_and_without_a_script() {
    let folder = install();
    let mut services = [(); 3].map(|()| Service::begin_anywhere());
    let ports = [(); 3].map(|()| free_port());
    let config = config(&services, ports);
    let mut places = 0..;
    let mut daemons = REGIONS.map(|region| {
        let port = ports[places.next().expect("endless")];
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["--region", region, "--web.listen-address", &listen];
        Daemon::start_with(&config, |_| {}, &arguments)
    });
    let mut driver = Command::new("node")
        .current_dir(&folder)
        .arg("drive.mjs")
        .args(ports.map(|port| format!("http://127.0.0.1:{port}/")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts");
    let mut answers = driver.stdin.take().expect("piped");
    let asked = BufReader::new(driver.stdout.take().expect("piped"));
    for line in asked.lines() {
        let line = line.expect("text");
        let Some(what) = line.strip_prefix("ask: ") else {
            panic!("not asked for: {line}");
        };
        match what {
            "the service in us-east ends" => services[2].end(),
            "the service in us-east begins" => services[2].begin(),
            "the first daemon stands still" => daemons[0].process().signal(Signal::STOP),
            "the first daemon goes on" => daemons[0].process().signal(Signal::CONT),
            "the first daemon is killed" => {
                daemons[0].process().signal(Signal::KILL);
                daemons[0].process().wait();
            }
            what => panic!("nobody can do this: {what}"),
        }
        answers.write_all(b"done\n").expect("it listens");
    }
    let status = driver.wait().expect("waitable");
    assert!(status.success(), "see above\n{}", daemons[1].log());
    services.iter_mut().for_each(Service::end);
}
