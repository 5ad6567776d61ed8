//! The file itself.

use std::fmt::Write as _;

use url::Url;

use super::answers::{Answers, At, Database, Kind};
use crate::net::Endpoint;

/// The file of a fleet of which this is known. Names stand in it as they were given, quoted where YAML
/// would take them for something else.
pub(super) fn of(answers: &Answers) -> String {
    let regions = answers.regions();
    let parts = [
        head(answers, &regions),
        probes(answers, &regions),
        groups(answers, &regions),
        rules(answers, &regions),
        receivers(answers),
    ];
    parts.concat()
}

fn head(answers: &Answers, regions: &[&str]) -> String {
    let mut text = format!(
        "\
# hotspare: one file for the whole fleet. Every host has this same file and sets only its own region: by
# HOTSPARE_REGION, by --region, or here.
#
#   hotspare check --config.file=hotspare.yaml    says what is wrong, or what would be done
#
# Every key is described in docs/configuration.md.

region: {}

# Where the service can run. `daemon: http://HOST:9887` beside a name lets Prometheus and `hotspare sd` find
# the daemon there; `jurisdiction: EU` lets a group say under which laws it may be.
regions:
",
        quoted(&answers.region)
    );
    for region in regions {
        let _ = writeln!(text, "  - {{ name: {} }}", quoted(region));
    }
    text += "
# For every probe that does not say otherwise. A run that has not ended after the timeout has failed.
defaults:
  interval: 10s
  timeout: 3s

# Each team's probes and groups may be in a file of their own. No match is fine.
# include:
#   - conf.d/*.yaml
";
    text
}

fn probes(answers: &Answers, regions: &[&str]) -> String {
    let mut text = "
# Each probe measures its targets in every region, from every region (or only those in `from`). A region may
# have several targets: a list, each with a `name` and an `address`.
probes:
  # The path between the regions: round trips and loss. Name hosts that answer pings.
  - name: net
    check: { ping: { count: 5, spacing: 20ms } }
    interval: 5s
    targets:
"
    .to_owned();
    text += &targets(&paths(answers, regions));
    if !answers.http.is_empty() {
        let _ = write!(
            text,
            "
  # The service as its clients see it. With `host: www.example.com` every region is asked under the
  # production name, whatever its address.
  - name: {}
    check: {{ http: {{ valid_status: [200] }} }}
    targets:
{}",
            quoted(&answers.service),
            targets(&answers.http)
        );
    }
    for of in &answers.databases {
        text += &database(answers, of);
    }
    text
}

/// What is pinged: where the rest is. This host itself, if nothing else is known.
fn paths(answers: &Answers, regions: &[&str]) -> Vec<At> {
    let hosts = regions.iter().filter_map(|region| {
        let http = answers.http.iter().find(|at| at.region == *region);
        let url = http.and_then(|at| Url::parse(&at.address).ok());
        let mut databases = answers.databases.iter().flat_map(|of| &of.at);
        let database = databases.find(|at| at.region == *region);
        let database = database.and_then(|at| Endpoint::parse(&at.address, Some(0)).ok());
        let host = url
            .and_then(|url| url.host_str().map(str::to_owned))
            .or_else(|| database.map(|at| at.host.to_string()))?;
        Some(At {
            region: (*region).to_owned(),
            address: host.trim_matches(['[', ']']).to_owned(),
        })
    });
    let hosts: Vec<_> = hosts.collect();
    if !hosts.is_empty() {
        return hosts;
    }
    vec![At {
        region: answers.region.clone(),
        address: "127.0.0.1".to_owned(),
    }]
}

fn targets(all: &[At]) -> String {
    let mut text = String::new();
    let mut done: Vec<&str> = Vec::new();
    for At { region, .. } in all {
        if done.contains(&&**region) {
            continue;
        }
        done.push(region);
        let here = all.iter().filter(|at| at.region == *region);
        let here: Vec<_> = here.map(|at| quoted(&at.address)).collect();
        let _ = match &*here {
            [only] => writeln!(text, "      {}: {only}", quoted(region)),
            many => writeln!(text, "      {}: [{}]", quoted(region), many.join(", ")),
        };
    }
    text
}

fn database(answers: &Answers, of: &Database) -> String {
    let kind = of.kind.as_str();
    let what = match of.kind {
        Kind::Postgres => "user: hotspare_probe\n        database: postgres",
        Kind::Mysql => "user: hotspare_probe",
        Kind::Redis if answers.password_file.is_some() => {
            "username: hotspare_probe\n        tls: {}"
        }
        // A user needs a password.
        Kind::Redis => "tls: {}\n        # username: hotspare_probe",
    };
    let password = match &answers.password_file {
        Some(file) => format!("password_file: {}", quoted(file)),
        None => format!("# password_file: {kind}.pw"),
    };
    let tls = match of.kind {
        Kind::Postgres | Kind::Mysql => {
            "\n        # The session is encrypted and the certificate verified; see `tls` for less."
        }
        Kind::Redis => "",
    };
    format!(
        "
  # The database: connect, TLS, login and a query, each timed apart, and what there is to know of its
  # replication. `hotspare sql {kind}` prints the user and its grants. The password is in a file: in
  # $CREDENTIALS_DIRECTORY (systemd's LoadCredential=) or beside this one, never in it.
  - name: {kind}
    check:
      {kind}:
        {what}
        {password}{tls}
        # A row written on the primary and looked for on the standbys: how much would be lost, measured.
        # canary: true
    targets:
{}",
        targets(&of.at)
    )
}

fn groups(answers: &Answers, regions: &[&str]) -> String {
    let [primary, standbys @ ..] = regions else {
        return String::new();
    };
    let everywhere = |all: &[At]| {
        let mut regions = regions.iter();
        regions.all(|region| all.iter().filter(|at| at.region == **region).count() == 1)
    };
    let mut probes = Vec::new();
    let mut has_database = false;
    if everywhere(&paths(answers, regions)) {
        probes.push("net".to_owned());
    }
    if everywhere(&answers.http) {
        probes.push(quoted(&answers.service));
    }
    for of in answers.databases.iter().filter(|of| everywhere(&of.at)) {
        has_database = true;
        probes.push(of.kind.as_str().to_owned());
    }
    if standbys.is_empty() || probes.is_empty() {
        return "
# What fails over together needs a second region, with a target of a probe in both:
# groups:
#   - { name: service, primary: eu-west, standbys: [us-east], probes: [net] }
"
        .to_owned();
    }
    let standbys: Vec<_> = standbys.iter().map(|name| quoted(name)).collect();
    let objectives = if has_database {
        "    # What a failover may cost at most: data, and time.\n    objectives: { rpo: 30s, rto: 15m }\n"
    } else {
        "    # How long a failover may take; how much may be lost (rpo) needs a database.\n    objectives: { rto: 15m }\n"
    };
    format!(
        "
# What fails over together: the region that serves, those that can take over, and the probes that tell
# whether they could. What is checked comes with the probes; `hotspare check` lists it.
groups:
  - name: {}
    primary: {}
    standbys: [{}]
    probes: [{}]
{objectives}",
        quoted(&answers.service),
        quoted(primary),
        standbys.join(", "),
        probes.join(", "),
    )
}

fn rules(answers: &Answers, regions: &[&str]) -> String {
    let mut text = "
# When something is an alert. `probe` or `group` left out: every one that can. docs/alerting.md has every
# kind of condition.
rules:
  # Three of the last five runs failed, from here; over after three good ones in a row.
  - name: TargetFails
    when: { failures: {} }
    severity: warning
"
    .to_owned();
    if !groups(answers, regions).contains("\ngroups:") {
        return text + DAEMON;
    }
    text += "
  - name: NoStandbyCanTakeOver
    when: { no_standby: {} }
    for: 1m
    severity: critical

  - name: PrimaryLost
    when: { readiness: { state: primary_lost } }
    for: 30s
    severity: critical

  - name: StandbyNotReady
    when: { readiness: { state: not_ready } }
    for: 2m
    keep_firing_for: 5m
    severity: warning
    depends_on: [PrimaryLost]

  # Not known is not ready: somebody should find out why.
  - name: StandbyNotKnown
    when: { readiness: { state: unknown } }
    for: 10m
    severity: warning
    depends_on: [PrimaryLost]
";
    text + DAEMON
}

const DAEMON: &str = "
  # The daemon itself: what it measures is worth no more than this.
  - name: DaemonUnwell
    when: { health: {} }
    severity: warning
";

fn receivers(answers: &Answers) -> String {
    let mut text = "
# Who is told of alerts; `hotspare notify test --receiver NAME` tries one out. Tokens are in files beside this
# one (`bearer_token_file: ops.token`), never in it.
"
    .to_owned();
    if answers.webhook.is_none() && answers.alertmanagers.is_empty() {
        return text
            + "# receivers:
#   - name: ops
#     webhook: { url: \"https://hooks.example.com/hotspare\", bearer_token_file: ops.token }
";
    }
    text += "receivers:\n";
    if let Some(url) = &answers.webhook {
        let url = quoted(url);
        let _ = writeln!(text, "  - name: webhook\n    webhook: {{ url: {url} }}");
    }
    if !answers.alertmanagers.is_empty() {
        let urls: Vec<_> = answers
            .alertmanagers
            .iter()
            .map(|url| quoted(url))
            .collect();
        let urls = urls.join(", ");
        let _ = writeln!(
            text,
            "  - name: alertmanager\n    alertmanager: {{ urls: [{urls}] }}"
        );
    }
    text
}

/// A text as YAML has it: as it is where nothing else could be meant, otherwise in double quotes.
fn quoted(text: &str) -> String {
    // What YAML 1.1 or 1.2 takes for a truth, nothing or a number.
    const WORDS: [&str; 12] = [
        "true", "false", "yes", "no", "on", "off", "y", "n", "null", "inf", "nan", "",
    ];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !WORDS.contains(&&*text.to_ascii_lowercase());
    if plain {
        return text.to_owned();
    }
    // JSON's quotes are YAML's.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_yaml_would_take_for_something_else_is_quoted() {
        for plain in ["eu-west", "a1", "node.internal", "x_y"] {
            assert_eq!(quoted(plain), plain);
        }
        for other in [
            "no", "On", "1e3", "10.1.0.5", "null", "a:b", "-", "", "0x1f", "~",
        ] {
            assert_eq!(quoted(other), format!("\"{other}\""));
        }
        assert_eq!(quoted("a\"b\\\n"), r#""a\"b\\\n""#);
    }
}
