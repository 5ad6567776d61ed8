//! The command line: arguments, the log, exit codes.
//!
//! Exit codes: 0 ended as asked, 1 failed while running, 64 the configuration or the command line
//! is wrong (`EX_USAGE` of sysexits.h). `hotspare gate`, `notify`, `probe` and `status` have 1 and 2 of
//! their own. docs/command-line.md has all of them.

mod alerts;
mod ask;
mod check;
mod completions;
mod daemons;
mod demo;
mod drill;
mod events;
mod gate;
mod healthy;
mod init;
mod local;
mod logs;
mod man;
mod notify;
mod probe;
mod rank;
mod reload;
mod sd;
mod silence;
mod sql;
mod status;
mod table;
mod terminal;
mod waiting;
mod written;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

use crate::app;
use crate::config::{Document, Overrides, Plan, Problems, Shared};
use crate::discover::{Discovery, Which};
use crate::server::Address;
use terminal::{Colour, Ink};

const USAGE: u8 = 64;

/// Measures between regions, and tells whether the standby can take over now.
///
/// One daemon runs in each region (`hotspare run`). The other commands check its configuration, ask
/// daemons what they know, and tell them of drills and silences.
#[derive(Debug, Parser)]
#[command(
    name = "hotspare",
    version,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// When to use colours: `auto` does on a terminal, unless `NO_COLOR` is set.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        hide_possible_values = true,
        default_value_t = Colour::Auto,
        display_order = 1000
    )]
    color: Colour,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Run(RunArguments),
    /// Show it: three regions on this host with a daemon each, and a script of incidents that ends in a
    /// failover.
    Demo(demo::Arguments),
    /// Check a configuration, and say what would be measured and what this host lacks.
    Check(check::Arguments),
    /// Write a configuration to begin with, after a few questions or from flags.
    Init(init::Arguments),
    /// Tell how daemons are, and what they say of every standby: exit code 0 all of them answer and are
    /// well, 1 one is not or does not.
    Status(status::Arguments),
    /// Run a probe now, from here, without a daemon: how long each phase took, and what to do if it
    /// fails. Exit code 0 every run succeeded, 1 one failed, 2 of one nothing is known.
    Probe(probe::Arguments),
    /// Ask daemons whether every part of them makes progress: exit code 0 all do, 1 one does not or
    /// does not answer.
    Healthy(healthy::Arguments),
    /// Rank the standbys of a group, or the variants of a probe, by how they are measured.
    Rank(rank::Arguments),
    /// Print what to run in a database before it is probed: the user, its grants, the canary's
    /// table.
    Sql(sql::Arguments),
    /// Tell Prometheus where the daemons of all regions are, as a file for `file_sd_configs`.
    Sd(sd::Arguments),
    /// Ask daemons whether a standby can take over: exit code 0 all say ready, 1 not ready, 2
    /// unknown.
    Gate(gate::Arguments),
    /// Tell the failovers that daemons saw, and what they cost.
    Events(events::Arguments),
    /// Announce a drill to daemons, end it, or report on it.
    #[command(subcommand)]
    Drill(drill::Command),
    /// Tell what fires, what is about to, what is muted, and who was not told yet.
    Alerts(alerts::Arguments),
    /// Keep daemons from telling anybody of some alerts for a while.
    #[command(subcommand)]
    Silence(silence::Command),
    /// Have daemons read their configuration again.
    Reload(reload::Arguments),
    /// Try out the receivers of alerts.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Print what completes the command line in a shell.
    Completions(completions::Arguments),
    /// Print the manual page, or write one for each command.
    Man(man::Arguments),
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file (YAML).
    #[arg(
        long = "config.file",
        env = "HOTSPARE_CONFIG_FILE",
        value_name = "FILE",
        default_value = "/etc/hotspare/hotspare.yaml"
    )]
    path: PathBuf,
}

#[derive(Debug, Args)]
struct ConfigArguments {
    #[command(flatten)]
    file: ConfigFile,

    /// The region in which this daemon runs; overrides `HOTSPARE_REGION` and the file.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    config: ConfigArguments,

    /// Where to serve metrics and health: an address with a port, or the file of a UNIX socket
    /// (`unix:/run/hotspare/hotspare.sock`). May be given more than once, or with commas between.
    #[arg(
        long = "web.listen-address",
        env = "HOTSPARE_WEB_LISTEN_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:9887"
    )]
    listen_addresses: Vec<Address>,

    /// Serve on the sockets that systemd hands over (hotspare.socket) instead of --web.listen-address.
    #[arg(long = "web.systemd-socket", env = "HOTSPARE_WEB_SYSTEMD_SOCKET")]
    systemd_socket: bool,

    /// TLS, users and headers, as the programs of the Prometheus project read them; read again when
    /// it changes.
    #[arg(
        long = "web.config.file",
        env = "HOTSPARE_WEB_CONFIG_FILE",
        value_name = "FILE"
    )]
    web_config_file: Option<PathBuf>,

    /// Keep the capabilities and the access to files that the daemon was started with.
    #[arg(long = "no-sandbox", env = "HOTSPARE_NO_SANDBOX")]
    no_sandbox: bool,

    /// Which lines to log.
    #[arg(
        long = "log.level",
        env = "HOTSPARE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: logs::Level,

    /// How a log line looks.
    #[arg(
        long = "log.format",
        env = "HOTSPARE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "logfmt"
    )]
    log_format: logs::Format,
}

/// Runs the process.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let ink = Ink::of(arguments.color);
    match arguments.command {
        Command::Run(arguments) => run(&arguments),
        Command::Demo(arguments) => demo::demo(&arguments, ink),
        Command::Check(arguments) => check::check(&arguments, ink),
        Command::Init(arguments) => init::init(&arguments),
        Command::Status(arguments) => status::status(&arguments, ink),
        Command::Probe(arguments) => probe::probe(&arguments, ink),
        Command::Healthy(arguments) => healthy::healthy(&arguments),
        Command::Rank(arguments) => rank::rank(&arguments),
        Command::Sql(arguments) => sql::print(&arguments),
        Command::Sd(arguments) => sd::write(&arguments),
        Command::Gate(arguments) => gate::gate(&arguments, ink),
        Command::Events(arguments) => events::print(&arguments),
        Command::Drill(command) => drill::drill(&command),
        Command::Alerts(arguments) => alerts::print(&arguments, ink),
        Command::Silence(command) => silence::silence(&command),
        Command::Reload(arguments) => reload::reload(&arguments),
        Command::Notify(command) => notify::notify(&command, ink),
        Command::Completions(arguments) => completions::print(&arguments),
        Command::Man(arguments) => man::print(&arguments),
    }
}

/// What the arguments lead to.
struct Planned {
    document: Document,
    plan: Plan,
    shared: Shared,
    /// Where targets are that nobody wrote down, asked once as far as they were to be.
    discovery: Discovery,
}

/// The plan that the arguments lead to, or the exit code after saying what is wrong. Of the sources of
/// targets these are asked, if any.
fn plan(arguments: &ConfigArguments, which: Option<Which>) -> Result<Planned, ExitCode> {
    try_plan(arguments, which).map_err(|refused| refused.tell())
}

/// Why there is no plan.
enum Refused {
    /// This is wrong with the configuration.
    Problems(Problems),
    /// The host could not be asked.
    Host(String),
}

impl Refused {
    fn tell(&self) -> ExitCode {
        match self {
            Self::Problems(problems) => refuse(problems),
            Self::Host(why) => fail(why),
        }
    }
}

/// As [`plan`], without a word.
fn try_plan(arguments: &ConfigArguments, which: Option<Which>) -> Result<Planned, Refused> {
    let shared = Shared::from_system().map_err(Refused::Host)?;
    let overrides = overrides(arguments).map_err(Refused::Problems)?;
    let document = Document::read(&arguments.file.path, &overrides);
    let mut discovery = Discovery::new(document.sources(&shared));
    if let Some(which) = which.filter(|_| !discovery.is_empty()) {
        let runtime = runtime().map_err(Refused::Host)?;
        runtime.block_on(discovery.first(which));
    }
    let plan = document
        .plan(&shared, &discovery.discovered(), None)
        .map_err(Refused::Problems)?;
    Ok(Planned {
        document,
        plan,
        shared,
        discovery,
    })
}

/// The plan with the targets of every source, for commands that measure by themselves. A source that does
/// not answer is only told of: what is written down is there.
fn whole_plan(arguments: &ConfigArguments) -> Result<Plan, ExitCode> {
    let planned = plan(arguments, Some(Which::All))?;
    for of in planned.discovery.figures().all() {
        if let Some(fault) = of.fault {
            fail(&format!("warning: {}: {fault}", of.id));
        }
    }
    Ok(planned.plan)
}

/// What lies over the configuration's files.
fn overrides(arguments: &ConfigArguments) -> Result<Overrides, Problems> {
    Overrides::new(arguments.region.clone(), std::env::vars_os())
}

/// Reads the configuration again, with what lay over it at the start.
fn read(arguments: &ConfigArguments) -> Result<app::Read, ExitCode> {
    let path = arguments.file.path.clone();
    let overrides = overrides(arguments).map_err(|problems| refuse(&problems))?;
    Ok(Arc::new(move || Document::read(&path, &overrides)))
}

fn run(arguments: &RunArguments) -> ExitCode {
    let planned = match plan(&arguments.config, None) {
        Ok(planned) => planned,
        Err(code) => return code,
    };
    let read = match read(&arguments.config) {
        Ok(read) => read,
        Err(code) => return code,
    };
    let web = match app::WebConfig::read(arguments.web_config_file.clone()) {
        Ok(web) => web,
        Err(problems) => return refuse(&problems),
    };
    let log = logs::open(arguments.log_format, arguments.log_level);
    let listen = if arguments.systemd_socket {
        app::Listen::Systemd
    } else {
        app::Listen::On(arguments.listen_addresses.clone())
    };
    let options = app::Options {
        listen,
        web,
        document: planned.document,
        read,
        discovery: planned.discovery,
        reach: (!arguments.no_sandbox).then(|| reach(&arguments.config, &planned.shared)),
        confined: log.queue(),
        log_lines_dropped: log.dropped(),
    };
    match app::run(planned.plan, &planned.shared, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!(error = %why, "the daemon ends");
            ExitCode::FAILURE
        }
    }
}

/// The files that the configuration is in and names.
fn reach(arguments: &ConfigArguments, shared: &Shared) -> app::Reach {
    let mut reach = app::Reach::new();
    reach.with_file(&arguments.file.path);
    if let Some(credentials) = &shared.credentials {
        reach.with_folder(credentials);
    }
    for path in shared.named.all() {
        reach.with_file(&path);
    }
    reach
}

/// Says why it cannot go on.
fn fail(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{why}");
    ExitCode::FAILURE
}

/// Says what is wrong with the command line.
fn misused(why: &str) -> ExitCode {
    fail(why);
    ExitCode::from(USAGE)
}

/// Says everything that is wrong with the configuration.
fn refuse(problems: &Problems) -> ExitCode {
    misused(&problems.to_string())
}

/// What a command that is no daemon waits in.
fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start a runtime: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn default_of(command: &str, argument: &str) -> String {
        let all = Arguments::command();
        let command = all.find_subcommand(command).expect("a command");
        let mut arguments = command.get_arguments();
        let argument = arguments.find(|each| each.get_long() == Some(argument));
        let values = argument.expect("an argument").get_default_values();
        assert_eq!(values.len(), 1);
        values[0].to_string_lossy().into_owned()
    }

    #[test]
    fn the_gate_asks_where_the_daemon_listens() {
        let listens = default_of("run", "web.listen-address");
        assert_eq!(local::URL, format!("http://{listens}"));
    }

    #[test]
    fn the_command_line_is_declared_right() {
        Arguments::command().debug_assert();
    }
}
