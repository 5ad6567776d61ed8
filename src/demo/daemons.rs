//! The three daemons: processes of this same program, each with its file and its state.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use super::fleet::{Fleet, Ways};
use super::folder::{subfolder, write};
use super::observe::Daemon;
use super::program::Program;
use super::regions::{Each, Region};

/// The first of the ports that are tried: that of a daemon without a flag.
const FIRST_PORT: u16 = 9887;
const POLL: Duration = Duration::from_millis(20);
/// What else than `HOTSPARE_…` a daemon heeds, and is not for these.
const OTHER_VARIABLES: [&str; 8] = [
    "CREDENTIALS_DIRECTORY",
    "STATE_DIRECTORY",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// The daemons of [`Region::ALL`]; they end with the value.
pub(super) struct Daemons {
    programs: Vec<Program>,
    asked: Each<Daemon>,
    homes: Each<PathBuf>,
}

/// Addresses for the daemons: the well-known port and the two after it if they are free.
pub(super) fn addresses() -> Result<Each<SocketAddr>, String> {
    let known = Region::ALL.map(|region| FIRST_PORT + u16::try_from(region.place()).unwrap_or(0));
    let opened = known.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
    if opened.iter().all(Result::is_ok) {
        return Ok(known.map(|port| (Ipv4Addr::LOCALHOST, port).into()));
    }
    other_addresses()
}

/// Any three addresses that are free.
pub(super) fn other_addresses() -> Result<Each<SocketAddr>, String> {
    let open = || {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok::<_, std::io::Error>((listener.local_addr()?, listener))
    };
    match (open(), open(), open()) {
        (Ok((one, _)), Ok((two, _)), Ok((three, _))) => Ok([one, two, three]),
        _ => Err("there are no three free ports on 127.0.0.1".to_owned()),
    }
}

impl Daemons {
    /// Starts them below the folder.
    pub(super) fn start(
        folder: &Path,
        fleet: &Fleet,
        ways: &Each<Ways>,
        password: Option<&str>,
    ) -> Result<Self, String> {
        let homes = Region::ALL.map(|region| folder.join(region.name()));
        let mut daemons = Self {
            programs: Vec::new(),
            asked: Region::ALL.map(|region| Daemon::new(region, fleet.daemons[region.place()])),
            homes,
        };
        for home in &daemons.homes {
            if !home.exists() {
                subfolder(home, 0o700)?;
                subfolder(&home.join("state"), 0o700)?;
            }
            if let Some(password) = password {
                write(&home.join("orders.pw"), password)?;
            }
        }
        daemons.configure(fleet, ways)?;
        for daemon in &daemons.asked {
            let home = &daemons.homes[daemon.region().place()];
            let mut command = command(daemon.address(), home)?;
            let log = home.join("log");
            let program = Program::start(&mut command, Signal::TERM, &log)?;
            daemons.programs.push(program);
        }
        Ok(daemons)
    }

    /// Waits until each listens. The error says which has ended: another program may have taken a port.
    pub(super) async fn listen(&mut self) -> Result<(), String> {
        for daemon in &self.asked {
            let log = self.homes[daemon.region().place()].join("log");
            let line = format!("message=listening address={}", daemon.address());
            while !fs::read_to_string(&log).unwrap_or_default().contains(&line) {
                self.programs.iter_mut().try_for_each(Program::runs)?;
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Writes their files.
    fn configure(&self, fleet: &Fleet, ways: &Each<Ways>) -> Result<(), String> {
        for region in Region::ALL {
            let text = fleet.file(region, &ways[region.place()]);
            write(&self.file(region), &text)?;
        }
        Ok(())
    }

    /// Writes their files anew and has them read again.
    pub(super) async fn reconfigure(&self, fleet: &Fleet, ways: &Each<Ways>) -> Result<(), String> {
        self.configure(fleet, ways)?;
        for daemon in &self.asked {
            daemon.reload().await?;
        }
        Ok(())
    }

    /// The file of the daemon in a region.
    pub(super) fn file(&self, region: Region) -> PathBuf {
        self.homes[region.place()].join("hotspare.yaml")
    }

    /// What asks them.
    pub(super) fn all(&self) -> &Each<Daemon> {
        &self.asked
    }

    /// An error once one has ended by itself.
    pub(super) fn run(&mut self) -> Result<(), String> {
        self.programs.iter_mut().try_for_each(Program::runs)
    }
}

fn command(address: SocketAddr, home: &Path) -> Result<Command, String> {
    let mut command = this_program()?;
    command
        .current_dir(home)
        .args(["run", "--config.file"])
        .arg(home.join("hotspare.yaml"))
        .args(["--web.listen-address", &address.to_string()])
        .env("HOTSPARE_STATE_DIR", home.join("state"));
    Ok(command)
}

/// This program, without the settings of whoever runs the demo.
pub(super) fn this_program() -> Result<Command, String> {
    let program = std::env::current_exe();
    let program = program.map_err(|e| format!("cannot find this program: {e}"))?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"HOTSPARE_") {
            command.env_remove(name);
        }
    }
    for name in OTHER_VARIABLES {
        command.env_remove(name);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_daemons_get_three_addresses_also_where_the_first_port_is_taken() {
        // Whether it is this that takes it or another program, the port is taken now.
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST_PORT));
        let found = addresses().expect("free ports");
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert!(found.iter().all(|address| address.port() != FIRST_PORT));
        assert!(found[0] != found[1] && found[1] != found[2] && found[2] != found[0]);
    }
}
