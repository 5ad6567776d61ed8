//! `hotspare sd`: the daemons of the fleet's file, for the service discovery of Prometheus.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::ConfigFile;
use super::daemons::to_json;
use crate::config::{self, Region};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigFile,

    /// Write to this file, which always has a whole list, and not to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the list, whichever region this host is in.
pub(super) fn write(arguments: &Arguments) -> ExitCode {
    let regions = match config::regions(&arguments.config.path) {
        Ok(regions) => regions,
        Err(problems) => return super::refuse(&problems),
    };
    let groups = config::target_groups(&regions);
    if groups.is_empty() {
        return super::fail(&format!(
            "{}: no region has a `daemon`, so nothing is written: give the regions the URLs of their \
             daemons, like `daemon: http://10.1.0.5:9887`",
            arguments.config.path.display()
        ));
    }
    let list = match to_json(&groups) {
        Ok(list) => list,
        Err(failed) => return failed.tell(),
    };
    let written = match &arguments.output {
        None => io::stdout().write_all(list.as_bytes()),
        Some(file) => replace(file, &list),
    };
    if let Err(error) = written {
        let to = arguments.output.as_deref().map(Path::display);
        let to = to.map_or_else(|| "standard output".to_owned(), |file| file.to_string());
        return super::fail(&format!("cannot write the list to {to}: {error}"));
    }
    if let Some(lacking) = lacking(&regions) {
        let _ = writeln!(io::stderr(), "{lacking}");
    }
    ExitCode::SUCCESS
}

/// Which regions are not in the list, if any.
fn lacking(regions: &[Region]) -> Option<String> {
    let without = regions.iter().filter(|region| region.daemon.is_none());
    let names: Vec<_> = without.map(|region| &*region.name).collect();
    (!names.is_empty())
        .then(|| format!("not in the list, without a `daemon`: {}", names.join(", ")))
}

/// Puts a whole new file in the place of the old one, with its mode: whoever reads it, reads one of the
/// two. A link stays, and the file that it leads to is replaced.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = target(file);
    let mut beside = file.as_os_str().to_owned();
    // Not what a pattern like `*.json` finds, nor a name for which somebody could have a link ready.
    beside.push(format!(".{:032x}.tmp", fastrand::u128(..)));
    let beside = PathBuf::from(beside);
    let mode = fs::metadata(&file).ok().map(|old| old.permissions());
    let mut new = File::create_new(&beside)?;
    let written = new.write_all(text.as_bytes()).and_then(|()| {
        mode.map_or(Ok(()), |mode| new.set_permissions(mode))?;
        new.sync_all()?;
        fs::rename(&beside, &file)
    });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Where the path leads, be there a file yet or not.
fn target(path: &Path) -> PathBuf {
    if let Ok(target) = path.canonicalize() {
        return target;
    }
    match (path.read_link(), path.parent()) {
        (Ok(link), Some(folder)) => folder.join(link),
        _ => path.to_owned(),
    }
}
