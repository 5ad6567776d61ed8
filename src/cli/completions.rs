//! `hotspare completions`: what completes the command line in a shell.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::shells::{Bash, Fish, Zsh};
use clap_complete::{Generator, generate};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    /// For `/usr/share/bash-completion/completions/hotspare`.
    Bash,
    /// For `/usr/share/fish/vendor_completions.d/hotspare.fish`.
    Fish,
    /// For `/usr/share/zsh/vendor-completions/_hotspare`.
    Zsh,
}

/// Prints them.
pub(super) fn print(arguments: &Arguments) -> ExitCode {
    let script = match arguments.shell {
        Shell::Bash => script(Bash),
        Shell::Fish => script(Fish),
        Shell::Zsh => script(Zsh),
    };
    match std::io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::fail(&format!("cannot print the completions: {error}")),
    }
}

/// In memory first: the generator panics where it cannot write.
fn script(shell: impl Generator) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = super::Arguments::command();
    generate(shell, &mut command, "hotspare", &mut script);
    script
}
