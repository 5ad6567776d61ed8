//! `hotspare man`: the manual, one page for each command.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write a page for each command into this directory, which has to be there, instead of printing
    /// the first.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// What a command ends with.
type Codes = &'static [(&'static str, &'static str)];

/// What all commands end with that have no codes of their own.
const CODES: Codes = &[
    ("0", "It ended as asked."),
    ("1", "It failed while running; standard error says why."),
    ("64", "The configuration or the command line is wrong."),
];

/// Those that have.
const OWN_CODES: [(&str, Codes); 6] = [
    (
        "hotspare-gate",
        &[
            ("0", "All daemons say that the standby is ready."),
            ("1", "Not ready."),
            ("2", "Unknown, which is also a daemon that cannot be asked."),
            ("64", "The command line is wrong."),
        ],
    ),
    (
        "hotspare-healthy",
        &[
            ("0", "Every daemon makes progress."),
            ("1", "One of them does not, or does not answer."),
            ("64", "The command line is wrong."),
        ],
    ),
    (
        "hotspare-notify-test",
        &[
            ("0", "The receiver took the test."),
            ("1", "It refused it."),
            ("2", "It could not be asked, or did not answer."),
            ("64", "The configuration or the command line is wrong."),
        ],
    ),
    (
        "hotspare-probe",
        &[
            ("0", "Every run succeeded."),
            ("1", "One failed."),
            (
                "2",
                "None failed, and of one nothing is known: the fault is this host's own.",
            ),
            ("64", "The configuration or the command line is wrong."),
        ],
    ),
    (
        "hotspare-run",
        &[
            ("0", "It was told to end (SIGTERM, SIGINT), and did."),
            (
                "1",
                "It could not start, or a part of it ended; the log says which.",
            ),
            ("64", "The configuration or the command line is wrong."),
        ],
    ),
    (
        "hotspare-status",
        &[
            ("0", "Every daemon answers and is well."),
            ("1", "One of them is not, or does not answer."),
            ("64", "The command line is wrong."),
        ],
    ),
];

const FILES: [(&str, &str); 6] = [
    (
        "/etc/hotspare/hotspare.yaml",
        "The configuration, the same for the whole fleet. What it includes, and secrets and certificates \
         that it names, are looked for beside it.",
    ),
    (
        "/etc/default/hotspare",
        "Variables for the service, like HOTSPARE_REGION, the region of this host.",
    ),
    (
        "/var/lib/hotspare",
        "The state of the service: alerts, failovers, drills, silences.",
    ),
    (
        "/run/hotspare/hotspare.sock",
        "Where the service answers commands on this host.",
    ),
    (
        "/usr/share/hotspare",
        "Dashboards for Grafana, rules for Prometheus, an example for Alertmanager.",
    ),
    (
        "/usr/share/doc/hotspare",
        "The documentation, and examples of configuration and of drop-ins for the service.",
    ),
];

/// Prints or writes them.
pub(super) fn print(arguments: &Arguments) -> ExitCode {
    let mut command = super::Arguments::command().disable_help_subcommand(true);
    command.build();
    let done = match &arguments.directory {
        None => page(command).and_then(|page| io::stdout().write_all(&page)),
        Some(directory) => write(command, directory),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let to = arguments.directory.as_deref().map(Path::display);
            let to = to.map_or_else(|| "standard output".to_owned(), |to| to.to_string());
            super::fail(&format!("cannot write the manual to {to}: {error}"))
        }
    }
}

/// The pages of a command and of those within it.
fn write(command: Command, directory: &Path) -> io::Result<()> {
    for inner in command.get_subcommands() {
        write(inner.clone(), directory)?;
    }
    let file = directory.join(format!("{}.1", name(&command)));
    fs::write(file, page(command)?)
}

/// What the page of a command is called: `hotspare-drill-start`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or("hotspare")
}

fn page(command: Command) -> io::Result<Vec<u8>> {
    let name = name(&command).to_owned();
    let has_commands = command.has_subcommands();
    let man = Man::new(command)
        .title(name.to_uppercase())
        .source(format!("hotspare {}", crate::VERSION))
        .manual("hotspare");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    ends(&name).to_writer(&mut page)?;
    Ok(page)
}

/// The sections that every page has: what clap does not know.
fn ends(name: &str) -> Roff {
    let own = OWN_CODES.into_iter().find(|(of, _)| *of == name);
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in own.map_or(CODES, |(_, codes)| codes) {
        roff.control("TP", []);
        roff.text([bold(*code)]);
        roff.text([roman(*meaning)]);
    }
    if name != "hotspare" {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold("hotspare"), roman("(1)")]);
        return roff;
    }
    roff.control("PP", []);
    roff.text([roman(
        "The pages of hotspare-gate(1), hotspare-healthy(1), hotspare-notify-test(1), hotspare-probe(1) and \
         hotspare-status(1) tell of those that have codes of their own.",
    )]);
    roff.control("SH", ["FILES"]);
    for (file, what) in FILES {
        roff.control("TP", []);
        roff.text([italic(file)]);
        roff.text([roman(what)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("systemctl"),
        roman("(1), "),
        bold("promtool"),
        roman("(1), "),
        bold("amtool"),
        roman("(1)"),
    ]);
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_of_commands_that_there_are() {
        fn names(command: &Command, into: &mut Vec<String>) {
            into.push(name(command).to_owned());
            for inner in command.get_subcommands() {
                names(inner, into);
            }
        }
        let mut command = super::super::Arguments::command();
        command.build();
        let mut all = Vec::new();
        names(&command, &mut all);
        for (name, _) in OWN_CODES {
            assert!(all.iter().any(|known| known == name), "{name}: {all:?}");
        }
    }
}
