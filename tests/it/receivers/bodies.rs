//! What receivers get, read by others than who wrote it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hotspare::model::{Alert, AlertState};
use hotspare::notify::Notification;
use serde_json::{Value, json};

use super::{alert, body_of, firing, folder, header_of, notification, prepare, tell, write};
use crate::fault::soon;
use crate::http::server::Server;
use crate::process::Process;
use crate::prometheus::listening;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The body of what a kind sends, and the request.
async fn sent(mut settings: Value, kind: &str, notification: &Notification) -> (Value, String) {
    let folder = folder();
    write(&folder, "key", "routing-key");
    let server = Server::answering(OK).await;
    settings["url"] = json!(server.url("/"));
    let notifier = prepare(Value::from_iter([(kind, settings)]), folder.path());
    tell(&notifier, notification).await.expect("taken");
    let request = server.seen().remove(0);
    (body_of(&request), request)
}

fn post(to: SocketAddr, path: &str, body: &Value) {
    let body = body.to_string();
    let mut stream = TcpStream::connect(to).expect("connected");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The requests of a server, when there are so many.
async fn requests(server: &Server, count: usize) -> Vec<String> {
    let all = async {
        while server.seen().len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(all).await;
    server.seen()
}

/// The alert as one that began then: of one that began long ago, Alertmanager tells at once and alone.
fn just_now(since: f64, alert: &Alert) -> Arc<Alert> {
    let mut alert = alert.clone();
    alert.start_timestamp_seconds = Some(since);
    if alert.state == AlertState::Resolved {
        alert.end_timestamp_seconds = Some(since + 0.5);
    }
    Arc::new(alert)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_body_is_what_alertmanager_sends_of_the_same_alerts() {
    let receiver = Server::answering(OK).await;
    let folder = folder();
    let config = format!(
        "route: {{ receiver: ops, group_by: [group, target_region], group_wait: 2s, \
         group_interval: 2s }}\n\
         receivers: [{{ name: ops, webhook_configs: [{{ url: \"{}\" }}] }}]\n",
        receiver.url("/")
    );
    write(&folder, "alertmanager.yml", &config);
    let mut command = Command::new("prometheus-alertmanager");
    let path = folder.path().display();
    command
        .arg(format!("--config.file={path}/alertmanager.yml"))
        .arg(format!("--storage.path={path}"))
        .arg("--web.external-url=http://hotspare.example.com")
        .args([
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        ]);
    let mut process = Process::start(command);
    let address = listening(&mut process);
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    let since = since.as_secs_f64().floor() + 0.25;

    // What the notification is to be, as a client tells it.
    for (count, state) in [(1, AlertState::Firing), (2, AlertState::Resolved)] {
        let alerts = ["db-1", "db-2"].map(|name| just_now(since, &alert(name, state)));
        let notification = notification(alerts.into());
        let (ours, request) = sent(json!({}), "webhook", &notification).await;
        let alerts = ours["alerts"].as_array().expect("a list").iter();
        let told = alerts.map(|alert| {
            let mut told = json!({});
            for key in ["labels", "annotations", "startsAt", "generatorURL"] {
                told[key] = alert[key].clone();
            }
            if state == AlertState::Resolved {
                told["endsAt"] = alert["endsAt"].clone();
            }
            told
        });
        post(address, "/api/v2/alerts", &told.collect());
        let theirs = requests(&receiver, count).await.swap_remove(count - 1);
        assert_eq!(ours, body_of(&theirs));
        let keys = |request: &str| {
            let (_, body) = request.split_once("\r\n\r\n").expect("a head");
            let keys = body.split('"').filter(|text| ours.get(*text).is_some());
            keys.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(keys(&request), keys(&theirs), "in the same order");
        let kind = header_of(&request, "content-type");
        assert_eq!(kind, header_of(&theirs, "content-type"));
    }
}

#[tokio::test]
async fn a_body_of_ones_own_has_the_same_values() {
    let body = r#"{"text": {{ (status ~ ": " ~ commonLabels.group) | tojson }},
        "names": [{% for alert in alerts %}{{ alert.labels.standby | tojson }}{% if not loop.last %}, {% endif %}{% endfor %}],
        "none": {{ alerts[0].labels.nothing.at.all | default("") | tojson }}, "left": {{ truncatedAlerts }}}"#;
    let settings = json!({ "body": body, "method": "PUT", "content_type": "application/x-test" });
    let mut notification = notification(vec![
        alert("db-1", AlertState::Firing),
        alert("quote\"d", AlertState::Resolved),
    ]);
    notification.truncated = 3;
    let (sent, request) = sent(settings, "webhook", &notification).await;
    let expected = json!({
        "text": "firing: shop", "names": ["db-1", "quote\"d"], "none": "", "left": 3,
    });
    assert_eq!(sent, expected);
    assert!(request.starts_with("PUT / "));
    assert_eq!(
        header_of(&request, "content-type"),
        Some("application/x-test")
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_leaves_out_the_last_alerts_and_counts_them() {
    let many: Vec<_> = (0..100)
        .map(|i| {
            let mut alert = Alert::clone(&alert(&format!("db-{i}"), AlertState::Firing));
            let text = "x".repeat(10_000);
            alert.annotations.insert("long".into(), text.into());
            Arc::new(alert)
        })
        .collect();
    let mut notification = notification(many);
    notification.truncated = 7;
    for (kind, settings, most) in [
        ("webhook", json!({}), 256 << 10),
        ("slack", json!({}), 64 << 10),
        ("teams", json!({}), 24 << 10),
        ("pagerduty", json!({ "routing_key_file": "key" }), 256 << 10),
    ] {
        let (body, request) = sent(settings, kind, &notification).await;
        let (_, text) = request.split_once("\r\n\r\n").expect("a head");
        assert!(text.len() <= most, "{kind}: {} bytes", text.len());
        let of_alertmanager = match kind {
            "webhook" => &body,
            "pagerduty" => &body["payload"]["custom_details"],
            _ => continue,
        };
        assert!(text.len() > most / 2, "{kind}: {} bytes", text.len());
        let shown = of_alertmanager["alerts"].as_array().expect("a list");
        assert_eq!(shown[0]["labels"]["standby"], "db-0");
        let left = of_alertmanager["truncatedAlerts"]
            .as_u64()
            .expect("a number");
        assert_eq!(shown.len() as u64 + left, 107);
    }
}

/// Python's own HMAC.
const SIGN: &str = "import sys, hmac, hashlib, base64\n\
    key, signed = base64.b64decode(sys.argv[1]), sys.stdin.buffer.read()\n\
    print(base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode(), end='')";

fn signature(key: &str, signed: &str) -> String {
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", SIGN, key])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    let mut input = python.stdin.take().expect("piped");
    input.write_all(signed.as_bytes()).expect("written");
    drop(input);
    let output = python.wait_with_output().expect("ended");
    format!("v1,{}", String::from_utf8(output.stdout).expect("text"))
}

#[tokio::test]
async fn requests_are_signed_with_both_secrets_while_one_replaces_the_other() {
    let folder = folder();
    write(&folder, "old", "whsec_cGFzc3dvcmQtY2FuYXJ5\n");
    write(&folder, "new", "a plain text");
    let server = Server::answering(OK).await;
    let settings = json!({ "webhook": {
        "url": server.url("/"), "secret_file": "old", "next_secret_file": "new",
    } });
    let notifier = prepare(settings, folder.path());
    tell(&notifier, &firing()).await.expect("taken");
    // Rotated: the new one is the only one, and the old one is gone.
    write(&folder, "old", "a plain text");
    tell(&notifier, &firing()).await.expect("taken");
    for (request, keys) in server.seen().iter().zip([
        ["cGFzc3dvcmQtY2FuYXJ5", "YSBwbGFpbiB0ZXh0"],
        ["YSBwbGFpbiB0ZXh0", "YSBwbGFpbiB0ZXh0"],
    ]) {
        assert_eq!(header_of(request, "webhook-id"), Some("b7f3c1e2"));
        let timestamp = header_of(request, "webhook-timestamp").expect("a timestamp");
        let (_, body) = request.split_once("\r\n\r\n").expect("a head");
        let signed = format!("b7f3c1e2.{timestamp}.{body}");
        let expected = keys.map(|key| signature(key, &signed)).join(" ");
        assert_eq!(header_of(request, "webhook-signature"), Some(&*expected));
        let now = std::time::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_secs();
        let timestamp: u64 = timestamp.parse().expect("seconds");
        assert!(now - timestamp < 3600, "{timestamp}");
    }
}

#[tokio::test]
async fn slack_gets_an_attachment_for_each_alert() {
    let mut alerts: Vec<_> = (0..24)
        .map(|i| alert(&format!("db-{i}"), AlertState::Firing))
        .collect();
    alerts.push(alert("db-x", AlertState::Resolved));
    let mut of_many = notification(alerts);
    of_many.truncated = 2;
    let settings = json!({ "channel": "#ops" });
    let (body, _) = sent(settings, "slack", &of_many).await;
    let text = "*[FIRING:24, RESOLVED:1] shop b*\n7 more alerts are not shown.";
    assert_eq!(body["text"], text);
    assert_eq!(body["channel"], "#ops");
    let attachments = body["attachments"].as_array().expect("a list");
    assert_eq!(attachments.len(), 20);
    let expected = json!({
        "color": "danger",
        "fallback": "[FIRING] StandbyNotReady: <db-0> & co are not \"ready\"",
        "title": "[FIRING] StandbyNotReady",
        "title_link": "http://hotspare.example.com",
        "text": "&lt;db-0&gt; &amp; co are not \"ready\"\nIt lags.",
        "fields": [
            { "title": "severity", "value": "critical", "short": true },
            { "title": "standby", "value": "db-0", "short": true },
        ],
        "footer": "hotspare in a",
        "ts": 1_700_000_060.0,
    });
    assert_eq!(attachments[0], expected);

    let resolved = notification(vec![alert("db-1", AlertState::Resolved)]);
    let (body, _) = sent(json!({}), "slack", &resolved).await;
    assert_eq!(body["text"], "*[RESOLVED:1] shop b*");
    assert_eq!(body["attachments"][0]["color"], "good");
}

#[tokio::test]
async fn teams_gets_a_card_whose_texts_are_no_markup() {
    let (body, _) = sent(json!({}), "teams", &firing()).await;
    assert_eq!(body["type"], "message");
    let attachment = &body["attachments"][0];
    let kind = "application/vnd.microsoft.card.adaptive";
    assert_eq!(attachment["contentType"], kind);
    let card = &attachment["content"];
    assert_eq!(
        (&card["type"], &card["version"]),
        (&json!("AdaptiveCard"), &json!("1.4"))
    );
    let blocks = card["body"].as_array().expect("a list");
    assert!(blocks.iter().all(|block| block["type"] == "RichTextBlock"));
    let texts = blocks.iter().map(|block| {
        let runs = block["inlines"].as_array().expect("a list").iter();
        runs.map(|run| run["text"].as_str().expect("text"))
            .collect::<String>()
    });
    let expected = [
        "[FIRING:1] shop b",
        "[FIRING] StandbyNotReady <db-1> & co are not \"ready\"",
        "It lags.",
        "severity=critical, standby=db-1",
        "hotspare in a",
    ];
    assert_eq!(texts.collect::<Vec<_>>(), expected);
    assert_eq!(blocks[0]["inlines"][0]["color"], "Attention");
    assert_eq!(card["actions"][0]["url"], "http://hotspare.example.com");
}

#[tokio::test]
async fn pagerduty_gets_one_incident_for_each_group() {
    let settings = json!({ "routing_key_file": "key" });
    let (trigger, _) = sent(settings.clone(), "pagerduty", &firing()).await;
    assert_eq!(trigger["routing_key"], "routing-key");
    assert_eq!(trigger["event_action"], "trigger");
    let payload = &trigger["payload"];
    let summary = "[FIRING:1] shop b: <db-1> & co are not \"ready\"";
    for (key, value) in [
        ("summary", summary),
        ("source", "b"),
        ("severity", "critical"),
        ("timestamp", "2023-11-14T22:14:20.25Z"),
        ("group", "shop"),
        ("component", "b"),
        ("class", "StandbyNotReady"),
    ] {
        assert_eq!(payload[key], value, "{key}");
    }
    let mut over = notification(vec![alert("db-1", AlertState::Resolved)]);
    over.receiver = "another".into();
    over.source_region = "c".into();
    let (resolve, _) = sent(settings.clone(), "pagerduty", &over).await;
    assert_eq!(resolve["event_action"], "resolve");
    assert_eq!(resolve["dedup_key"], trigger["dedup_key"]);
    assert_eq!(resolve.as_object().map(serde_json::Map::len), Some(3));

    let mut other = firing();
    other.group.insert("target_region".into(), "c".into());
    let mut long = Alert::clone(&other.alerts[0]);
    long.annotations
        .insert("summary".into(), "ä".repeat(2000).into());
    other.alerts = vec![Arc::new(long)];
    let (other, _) = sent(settings, "pagerduty", &other).await;
    assert_ne!(other["dedup_key"], trigger["dedup_key"]);
    let summary = other["payload"]["summary"].as_str().expect("text");
    assert_eq!(summary.chars().count(), 1024);
}
