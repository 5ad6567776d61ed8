//! The questions.

use std::io::{self, BufRead, Write};

use super::answers::{Answers, At, Database, Kind};

/// Asks for what was not given.
pub(super) fn complete(
    mut answers: Answers,
    input: impl BufRead,
    output: impl Write,
) -> io::Result<Answers> {
    let mut questions = Questions { input, output };
    questions.say("An empty answer takes what is in brackets, or leaves it out.\n")?;
    while answers.region.is_empty() {
        answers.region = questions.ask("The region of this host, like eu-west")?;
    }
    let others = questions.ask("The other regions, with spaces between")?;
    answers.others = others.split([' ', ',']).map(str::to_owned).collect();
    answers.others.retain(|name| !name.is_empty());
    let service = questions.ask(&format!("What fails over [{}]", answers.service))?;
    if !service.is_empty() {
        answers.service = service;
    }
    let regions: Vec<_> = answers.regions().into_iter().map(str::to_owned).collect();
    let service = answers.service.clone();
    if answers.http.is_empty() {
        let what = format!("The URL of {service}");
        answers.http = questions.addresses(&what, &regions)?;
    }
    if answers.databases.is_empty()
        && let Some(kind) = questions.kind()?
    {
        let what = format!("The address of {} (HOST:PORT)", kind.as_str());
        let at = questions.addresses(&what, &regions)?;
        if !at.is_empty() {
            answers.databases.push(Database { kind, at });
        }
    }
    if answers.webhook.is_none() {
        let url = questions.ask("The URL of a webhook that is told of alerts")?;
        answers.webhook = Some(url).filter(|url| !url.is_empty());
    }
    if answers.alertmanagers.is_empty() {
        let urls = questions.ask("The URLs of Alertmanagers, with spaces between")?;
        answers.alertmanagers = urls.split_whitespace().map(str::to_owned).collect();
    }
    Ok(answers)
}

struct Questions<I, O> {
    input: I,
    output: O,
}

impl<I: BufRead, O: Write> Questions<I, O> {
    fn say(&mut self, text: &str) -> io::Result<()> {
        write!(self.output, "{text}")?;
        self.output.flush()
    }

    /// An answer in one line. The end of the input is no answer to anything.
    fn ask(&mut self, what: &str) -> io::Result<String> {
        self.say(&format!("{what}: "))?;
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim().to_owned())
    }

    fn addresses(&mut self, what: &str, regions: &[String]) -> io::Result<Vec<At>> {
        let mut all = Vec::new();
        for region in regions {
            let address = self.ask(&format!("{what} in {region}"))?;
            if !address.is_empty() {
                let region = region.clone();
                all.push(At { region, address });
            }
        }
        Ok(all)
    }

    fn kind(&mut self) -> io::Result<Option<Kind>> {
        loop {
            let answer = self.ask("Its database: postgres, mysql, redis [none]")?;
            let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == answer);
            if known.is_some() || matches!(&*answer, "" | "none") {
                return Ok(known);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_asked_for() {
        let input = "\neu-west\nus-east, ap-south\nshop\nhttps://a/\nhttps://b/\n\noracle\nmysql\n\
                     a:3306\nb:3306\n\nhttps://hooks/\nhttp://am-1 http://am-2\n";
        let given = Answers {
            service: "service".to_owned(),
            ..Answers::default()
        };
        let mut said = Vec::new();
        let answers = complete(given.clone(), input.as_bytes(), &mut said).expect("answered");
        assert_eq!(answers.regions(), ["eu-west", "us-east", "ap-south"]);
        assert_eq!(answers.service, "shop");
        let http: Vec<_> = answers.http.iter().map(|at| &*at.address).collect();
        assert_eq!(http, ["https://a/", "https://b/"]);
        assert_eq!(answers.databases[0].kind, Kind::Mysql);
        assert_eq!(answers.databases[0].at.len(), 2);
        assert_eq!(answers.webhook.as_deref(), Some("https://hooks/"));
        assert_eq!(answers.alertmanagers, ["http://am-1", "http://am-2"]);
        let said = String::from_utf8(said).expect("UTF-8");
        assert_eq!(said.matches("The region of this host").count(), 2, "{said}");
        assert!(said.contains("The URL of shop in ap-south: "), "{said}");

        assert!(complete(given, b"eu-west\n".as_slice(), Vec::new()).is_err());
    }
}
