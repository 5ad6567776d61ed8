//! `hotspare check`.

use std::process::ExitCode;

use super::ConfigArguments;

pub(super) fn check(arguments: &ConfigArguments) -> ExitCode {
    match super::plan(arguments) {
        Ok(_) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}
