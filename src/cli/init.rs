//! `hotspare init`: writes a file to begin with, after a few questions or from flags.

mod answers;
mod ask;
mod text;

use std::fs;
use std::io::{self, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::answers::{Answers, At, Database, Kind};
use super::written::say;
use super::{fail, misused};
use crate::config::{self, Overrides, Shared};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The region of this host, which is also the one that serves now. It is asked for on a terminal,
    /// and needed otherwise.
    #[arg(long, value_name = "NAME")]
    region: Option<String>,

    /// What fails over: the name of its probe and of the group.
    #[arg(long, value_name = "NAME", default_value = "service")]
    service: String,

    /// Where the service answers over HTTP in a region; once for each. A region that is named here, or
    /// below, is in the file.
    #[arg(long = "target", value_name = "REGION=URL")]
    targets: Vec<At>,

    /// Where PostgreSQL is in a region.
    #[arg(long, value_name = "REGION=HOST:PORT")]
    postgres: Vec<At>,

    /// Where MySQL or MariaDB is in a region.
    #[arg(long, value_name = "REGION=HOST:PORT")]
    mysql: Vec<At>,

    /// Where Redis or Valkey is in a region.
    #[arg(long, value_name = "REGION=HOST:PORT")]
    redis: Vec<At>,

    /// The file with the databases' password, from where the file that is written will be. Without it
    /// that line is a comment.
    #[arg(long, value_name = "FILE")]
    database_password_file: Option<String>,

    /// A webhook that is told of alerts.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,

    /// An Alertmanager that is told of alerts; once for each.
    #[arg(long, value_name = "URL")]
    alertmanager: Vec<String>,

    /// The file to write; `-` is the standard output.
    #[arg(long, value_name = "FILE", default_value = "hotspare.yaml")]
    output: PathBuf,

    /// Write over a file that is there.
    #[arg(long)]
    force: bool,

    /// Ask nothing, also on a terminal.
    #[arg(long)]
    yes: bool,
}

pub(super) fn init(arguments: &Arguments) -> ExitCode {
    let to_stdout = arguments.output == Path::new("-");
    if !to_stdout && !arguments.force && fs::symlink_metadata(&arguments.output).is_ok() {
        let file = arguments.output.display();
        return misused(&format!(
            "{file} is there already: --output names another file, and --force writes over it"
        ));
    }
    let answers = match answers(arguments) {
        Ok(answers) => answers,
        Err(why) => return misused(&why),
    };
    let text = text::of(&answers);
    if to_stdout {
        // What was not checked is not told.
        return match checked(&std::env::temp_dir().join("hotspare.yaml"), &text) {
            Ok(beside) => {
                let _ = fs::remove_file(beside);
                say(&text);
                ExitCode::SUCCESS
            }
            Err(code) => code,
        };
    }
    match checked(&arguments.output, &text) {
        Ok(beside) => put(&beside, arguments),
        Err(code) => code,
    }
}

fn answers(arguments: &Arguments) -> Result<Answers, String> {
    let databases = [
        (Kind::Postgres, &arguments.postgres),
        (Kind::Mysql, &arguments.mysql),
        (Kind::Redis, &arguments.redis),
    ];
    let databases = databases.into_iter().filter(|(_, at)| !at.is_empty());
    let databases = databases.map(|(kind, at)| Database {
        kind,
        at: at.clone(),
    });
    let given = Answers {
        region: arguments.region.clone().unwrap_or_default(),
        others: Vec::new(),
        service: arguments.service.clone(),
        http: arguments.targets.clone(),
        databases: databases.collect(),
        password_file: arguments.database_password_file.clone(),
        webhook: arguments.webhook.clone(),
        alertmanagers: arguments.alertmanager.clone(),
    };
    // Who has said which region it is has said what there is to say.
    if !given.region.is_empty() {
        return Ok(given);
    }
    if arguments.yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err("--region NAME is needed: the region of this host, like eu-west".to_owned());
    }
    ask::complete(given, BufReader::new(io::stdin()), io::stderr())
        .map_err(|error| format!("cannot ask: {error}"))
}

/// Writes the text beside the file, and checks it there as `hotspare check` would: nothing is begun with
/// a file that is not good. The exit code is given after saying why not.
fn checked(file: &Path, text: &str) -> Result<PathBuf, ExitCode> {
    let shared = Shared::from_system().map_err(|why| fail(&why))?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(format!(".{:032x}.tmp", fastrand::u128(..)));
    let beside = PathBuf::from(beside);
    if let Err(error) = fs::File::create_new(&beside).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.sync_all()
    }) {
        let _ = fs::remove_file(&beside);
        return Err(fail(&format!("cannot write {}: {error}", file.display())));
    }
    match config::load_and_plan(&beside, &Overrides::default(), &shared, None) {
        Ok(_) => Ok(beside),
        Err(problems) => {
            let _ = fs::remove_file(&beside);
            // In the name that the file would have had.
            let (beside, file) = (beside.display().to_string(), file.display().to_string());
            let problems = problems.to_string().replace(&beside, &file);
            Err(misused(&format!("nothing is written:\n{problems}")))
        }
    }
}

/// Gives the file its name, which nobody else may have taken meanwhile.
fn put(beside: &Path, arguments: &Arguments) -> ExitCode {
    let file = &arguments.output;
    let put = if arguments.force {
        replace(beside, file)
    } else {
        fs::hard_link(beside, file).and_then(|()| fs::remove_file(beside))
    };
    if let Err(error) = put {
        let _ = fs::remove_file(beside);
        return fail(&format!("cannot write {}: {error}", file.display()));
    }
    let file = file.display();
    let _ = writeln!(
        io::stdout(),
        "{file} is written. Next:\n  \
         hotspare check --config.file={file}   says what would be measured, and what this host lacks\n  \
         hotspare run --config.file={file}     runs the daemon"
    );
    ExitCode::SUCCESS
}

/// Takes the place of a file that may be there, for whoever could read that one.
fn replace(beside: &Path, file: &Path) -> io::Result<()> {
    match fs::metadata(file) {
        Ok(there) => fs::set_permissions(beside, there.permissions())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::rename(beside, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_not_for_everybody_is_not_once_it_is_written_over() {
        let folder = tempfile::tempdir().expect("folder");
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        fs::write(&new, "new").expect("written");
        replace(&new, &old).expect("nothing was there");
        fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).expect("owned");
        fs::write(&new, "newer").expect("written");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).expect("owned");
        replace(&new, &old).expect("replaced");
        let mode = fs::metadata(&old).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_to_string(&old).expect("read"), "newer");
    }
}
