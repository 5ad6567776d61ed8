//! What an answer has to be.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::super::Problem;
use super::Settings;
use crate::model::{DnsFacts, Failure, Reason};

/// Declares values that have one name in the configuration and one in the DNS library.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident => $theirs:ident { $($(#[$attr:meta])* $variant:ident = $text:literal => $value:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
        pub enum $name { $(#[doc = concat!("`", $text, "`.")] $(#[$attr])* #[serde(rename = $text)] $variant,)* }

        impl $name {
            pub(super) const fn theirs(self) -> $theirs {
                match self { $(Self::$variant => $theirs::$value,)* }
            }
        }
    };
}

named! {
    /// A type of records.
    Kind => RecordType {
        #[default] A = "A" => A,
        Aaaa = "AAAA" => AAAA,
        Cname = "CNAME" => CNAME,
        Mx = "MX" => MX,
        Ns = "NS" => NS,
        Soa = "SOA" => SOA,
        Srv = "SRV" => SRV,
        Txt = "TXT" => TXT,
        Caa = "CAA" => CAA,
        Ptr = "PTR" => PTR,
    }
}

named! {
    /// A response code.
    Rcode => ResponseCode {
        #[default] NoError = "NOERROR" => NoError,
        FormErr = "FORMERR" => FormErr,
        ServFail = "SERVFAIL" => ServFail,
        NxDomain = "NXDOMAIN" => NXDomain,
        NotImp = "NOTIMP" => NotImp,
        Refused = "REFUSED" => Refused,
        NotAuth = "NOTAUTH" => NotAuth,
        BadVers = "BADVERS" => BADVERS,
    }
}

/// What the settings expect of an answer.
pub(super) struct Expected {
    rcodes: Vec<ResponseCode>,
    /// In order.
    answers: Option<Vec<String>>,
    patterns: Vec<Regex>,
    min_answers: Option<u32>,
    authoritative: bool,
}

impl Expected {
    /// Reads it from the settings; what cannot work is added to the problems.
    pub(super) fn new(settings: &Settings, problems: &mut Vec<Problem>) -> Self {
        if settings.valid_rcodes.is_empty() {
            problems.push(Problem::new(
                "valid_rcodes",
                "no response code would be valid",
            ));
        }
        let mut answers = settings.answers.as_ref().map(|_| Vec::new());
        for (i, text) in settings.answers.iter().flatten().enumerate() {
            match normal(text, settings.kind) {
                Ok(answer) => answers.get_or_insert_default().push(answer),
                Err(why) => problems.push(Problem::new(format!("answers[{i}]"), why)),
            }
        }
        if let Some(all) = &mut answers {
            all.sort_unstable();
        }
        let mut patterns = Vec::new();
        for (i, pattern) in settings.answers_match.iter().enumerate() {
            match RegexBuilder::new(pattern).size_limit(1 << 20).build() {
                Ok(regex) => patterns.push(regex),
                Err(e) => {
                    let field = format!("answers_match[{i}]");
                    problems.push(Problem::new(field, e.to_string()));
                }
            }
        }
        Self {
            rcodes: settings
                .valid_rcodes
                .iter()
                .map(|code| code.theirs())
                .collect(),
            answers,
            patterns,
            min_answers: settings.min_answers,
            authoritative: settings.authoritative,
        }
    }

    /// What is wrong with the answer, if anything.
    pub(super) fn judge(
        &self,
        answer: &Message,
        facts: DnsFacts,
        kind: Kind,
    ) -> Result<(), Failure> {
        let code = answer.metadata.response_code;
        let wrong = |why: std::fmt::Arguments<'_>| Err(Failure::new(Reason::Answer, why));
        if !self.rcodes.contains(&code) {
            return wrong(format_args!("rcode {}", name_of(code)));
        }
        if answer.metadata.truncation {
            let why = "the answer was cut: set `transport: tcp` to get all of it";
            return Err(Failure::new(Reason::Protocol, why));
        }
        if self.authoritative && !facts.authoritative {
            return wrong(format_args!("the server is no authority for the name"));
        }
        // Where all records are listed, the list says how many.
        let least = self
            .min_answers
            .unwrap_or_else(|| u32::from(code == ResponseCode::NoError && self.answers.is_none()));
        if facts.answers < least {
            return wrong(format_args!(
                "{} records of type {} with rcode {}, at least {least} expected",
                facts.answers,
                kind.theirs(),
                name_of(code),
            ));
        }
        self.judge_records(answer, kind)
    }

    fn judge_records(&self, answer: &Message, kind: Kind) -> Result<(), Failure> {
        if self.answers.is_none() && self.patterns.is_empty() {
            return Ok(());
        }
        let records = answer.answers.iter();
        let mut found: Vec<String> = records
            .filter(|record| record.record_type() == kind.theirs())
            .map(|record| text_of(record, kind))
            .collect();
        found.sort_unstable();
        if self.answers.as_ref().is_some_and(|all| *all != found) {
            let why = format_args!("the answer is {found:?}, expected {:?}", self.answers);
            return Err(Failure::new(Reason::Answer, why));
        }
        let unmet = |regex: &&Regex| !found.iter().any(|text| regex.is_match(text));
        match self.patterns.iter().find(unmet) {
            None => Ok(()),
            Some(regex) => Err(Failure::new(
                Reason::Answer,
                format_args!("`{regex}` matches none of the answer: {found:?}"),
            )),
        }
    }
}

/// As the configuration writes it.
fn name_of(code: ResponseCode) -> String {
    format!("{code:?}").to_ascii_uppercase()
}

fn text_of(record: &Record, kind: Kind) -> String {
    // Names in their ASCII form: the library would write those of other alphabets in Unicode.
    let text = match &record.data {
        // Quotes in it are the record's own.
        RData::TXT(_) => return record.data.to_string(),
        RData::CNAME(name) => name.to_ascii(),
        RData::NS(name) => name.to_ascii(),
        RData::PTR(name) => name.to_ascii(),
        RData::MX(mx) => format!("{} {}", mx.preference, mx.exchange.to_ascii()),
        RData::SRV(srv) => {
            let target = srv.target.to_ascii();
            format!("{} {} {} {target}", srv.priority, srv.weight, srv.port)
        }
        RData::SOA(soa) => format!(
            "{} {} {} {} {} {} {}",
            soa.mname.to_ascii(),
            soa.rname.to_ascii(),
            soa.serial,
            soa.refresh,
            soa.retry,
            soa.expire,
            soa.minimum
        ),
        other => other.to_string(),
    };
    normal(&text, kind).unwrap_or(text)
}

/// What the answer tells.
pub(super) fn facts_of(answer: &Message, kind: Kind) -> DnsFacts {
    let of_kind = || {
        let records = answer.answers.iter();
        records.filter(|record| record.record_type() == kind.theirs())
    };
    DnsFacts {
        rcode: answer.metadata.response_code.into(),
        answers: u32::try_from(of_kind().count()).unwrap_or(u32::MAX),
        min_ttl_seconds: of_kind().map(|record| record.ttl).min(),
        authoritative: answer.metadata.authoritative,
    }
}

/// A record's text such that the same record always has the same: addresses in their short form,
/// names in small letters and without the last dot.
fn normal(text: &str, kind: Kind) -> Result<String, String> {
    let text = text.trim();
    match kind {
        Kind::A => {
            let ip: Result<Ipv4Addr, _> = text.parse();
            ip.map(|ip| ip.to_string())
                .map_err(|_| format!("`{text}` is no IPv4 address"))
        }
        Kind::Aaaa => {
            let ip: Result<Ipv6Addr, _> = text.parse();
            ip.map(|ip| ip.to_string())
                .map_err(|_| format!("`{text}` is no IPv6 address"))
        }
        // What is inside the quotes, as it is; its parts are one text.
        Kind::Txt => Ok(text
            .strip_prefix('"')
            .and_then(|t| t.strip_suffix('"'))
            .map_or_else(|| text.to_owned(), |t| t.replace("\" \"", ""))),
        Kind::Caa => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        Kind::Cname | Kind::Mx | Kind::Ns | Kind::Soa | Kind::Srv | Kind::Ptr => {
            let words: Result<Vec<_>, _> = text.split_whitespace().map(normal_name).collect();
            Ok(words?.join(" "))
        }
    }
}

/// A name (or a number beside one) in small ASCII letters and without the last dot.
fn normal_name(word: &str) -> Result<String, String> {
    let bare = word.strip_suffix('.').filter(|bare| !bare.is_empty());
    let bare = bare.unwrap_or(word);
    if bare.is_ascii() {
        return Ok(bare.to_ascii_lowercase());
    }
    let name = Name::from_utf8(bare).map_err(|e| format!("`{word}` is no name: {e}"))?;
    Ok(name.to_ascii().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_compared_by_what_they_mean() {
        for (kind, one, other) in [
            (Kind::Aaaa, "2001:DB8:0:0::1", "2001:db8::1"),
            (Kind::Mx, "10  Mail.Example.", "10 mail.example"),
            (Kind::Srv, "0 0 5432 .", "0 0 5432 ."),
            (Kind::Cname, "bücher.Example.", "xn--bcher-kva.example"),
            (Kind::Mx, "10 Bücher.example", "10 XN--bcher-kva.example."),
            (Kind::Txt, "\"v=spf1 \" \"-all\"", "v=spf1 -all"),
            (
                Kind::Caa,
                "0 issue  \"ca.example\"",
                "0 issue \"ca.example\"",
            ),
        ] {
            assert_eq!(normal(one, kind), normal(other, kind), "{one}");
        }
        assert_ne!(normal("A", Kind::Txt), normal("a", Kind::Txt));
    }
}
