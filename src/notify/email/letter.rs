//! The mail itself.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};

use crate::model::{Alert, AlertState, Severity, stable_hash};
use crate::notify::Notification;
use crate::notify::words::{
    description, footer, headline, moment, more, own_labels, severity, start, state, summary,
};

/// Writes the mail of a notification: the same id at every attempt, and one thread for each group.
pub(super) fn write(
    notification: &Notification,
    from: &Mailbox,
    to: &[Mailbox],
) -> Result<Message, lettre::error::Error> {
    let domain = from.email.domain();
    let thread = stable_hash(&notification.group_key());
    let thread = format!("<hotspare-{thread:016x}@{domain}>");
    let since = Duration::try_from_secs_f64(notification.timestamp_seconds);
    let mut builder = Message::builder()
        .from(from.clone())
        .date(UNIX_EPOCH + since.unwrap_or_default())
        .message_id(Some(format!("<{}@{domain}>", local_part(&notification.id))))
        .in_reply_to(thread.clone())
        .references(thread)
        .subject(headline(notification))
        // No answer is wanted from who is on holiday.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    builder.multipart(MultiPart::alternative_plain_html(
        plain(notification),
        html(notification),
    ))
}

/// The id as the first part of an address, which not every text can be.
fn local_part(id: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !id.is_empty() && id.len() <= 128 && id.chars().all(plain) {
        return id.to_owned();
    }
    format!("{:016x}", stable_hash(id))
}

fn plain(notification: &Notification) -> String {
    let mut text = headline(notification) + "\n";
    for alert in &notification.alerts {
        let _ = write!(
            text,
            "\n[{}] {}\n{}\n",
            state(alert),
            alert.rule,
            summary(alert)
        );
        if let Some(more) = description(alert) {
            let _ = writeln!(text, "{more}");
        }
        for (name, value) in facts(notification, alert) {
            let _ = writeln!(text, "  {name}: {value}");
        }
    }
    for line in ending(notification) {
        let _ = write!(text, "\n{line}\n");
    }
    text
}

fn html(notification: &Notification) -> String {
    let mut text = String::from("<!DOCTYPE html><html><body style=\"font-family:sans-serif\">");
    let _ = write!(text, "<h3>{}</h3>", escaped(&headline(notification)));
    for alert in &notification.alerts {
        let _ = write!(
            text,
            "<div style=\"border-left:4px solid {};padding-left:8px;margin:12px 0\">\
             <b>[{}] {}</b><br>{}",
            colour(alert),
            state(alert),
            escaped(&alert.rule),
            escaped(summary(alert)),
        );
        if let Some(more) = description(alert) {
            let _ = write!(text, "<br>{}", escaped(more).replace('\n', "<br>"));
        }
        text += "<table style=\"color:#555\">";
        for (name, value) in facts(notification, alert) {
            let (name, value) = (escaped(&name), escaped(&value));
            let _ = write!(text, "<tr><td>{name}</td><td>{value}</td></tr>");
        }
        text += "</table></div>";
    }
    for line in ending(notification) {
        let _ = write!(text, "<p style=\"color:#555\">{}</p>", escaped(&line));
    }
    text + "</body></html>"
}

/// When, and what tells the alert from the others.
fn facts(notification: &Notification, alert: &Alert) -> Vec<(Arc<str>, String)> {
    let labels = own_labels(notification, alert);
    let labels = labels.map(|(name, value)| (Arc::clone(name), value.to_string()));
    let mut facts = vec![("since".into(), moment(start(alert)))];
    facts.extend(
        alert
            .end_timestamp_seconds
            .map(|end| ("until".into(), moment(end))),
    );
    facts.extend(labels);
    facts
}

fn ending(notification: &Notification) -> Vec<String> {
    let url = notification.external_url.as_deref();
    let from = match url {
        Some(url) => format!("{}: {url}", footer(notification)),
        None => footer(notification),
    };
    more(notification.truncated)
        .into_iter()
        .chain([from])
        .collect()
}

fn colour(alert: &Alert) -> &'static str {
    match (alert.state, severity(alert)) {
        (AlertState::Resolved, _) => "#2e7d32",
        (_, Severity::Critical) => "#c62828",
        (_, Severity::Warning) => "#ef6c00",
        (_, Severity::Info) => "#1565c0",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::words::tests::notification;

    fn letter(notification: &Notification) -> String {
        let from = "hotspare <hotspare@example.com>"
            .parse()
            .expect("an address");
        let to = ["a@example.com", "B <b@example.com>"];
        let to = to.map(|text| text.parse().expect("an address"));
        let message = write(notification, &from, &to).expect("a mail");
        String::from_utf8(message.formatted()).expect("text")
    }

    #[test]
    fn mails_of_one_group_are_one_thread_and_each_has_its_own_id() {
        let first = letter(&notification(1, 0));
        let mut next = notification(0, 1);
        next.id = "with space".into();
        let next = letter(&next);
        let header = |mail: &str, name: &str| {
            let lines = mail.lines().find_map(|line| line.strip_prefix(name));
            lines.expect("the header").to_owned()
        };
        for name in ["References: ", "In-Reply-To: "] {
            let thread = header(&first, name);
            assert!(thread.ends_with("@example.com>"), "{thread}");
            assert_eq!(thread, header(&next, name));
        }
        assert_eq!(header(&first, "Message-ID: "), "<b7f3c1e2@example.com>");
        assert!(!header(&next, "Message-ID: ").contains(' '));
        assert_eq!(header(&first, "Subject: "), "[FIRING:1] shop b");
        assert_eq!(header(&first, "Auto-Submitted: "), "auto-generated");
        assert_eq!(header(&first, "Date: "), "Fri, 15 Jan 2027 08:06:40 +0000");
    }

    #[test]
    fn what_an_alert_says_is_text_in_both_parts() {
        let notification = notification(1, 1);
        let text = plain(&notification);
        assert!(text.contains("[FIRING] StandbyNotReady\nb <is> not \"ready\" & late\n"));
        assert!(text.contains("  until: 2027-01-15T08:05:00.5Z\n"), "{text}");
        let html = html(&notification);
        assert!(html.contains("b &lt;is&gt; not &quot;ready&quot; &amp; late"));
        assert!(html.contains("It lags.<br>By much."));
    }
}
