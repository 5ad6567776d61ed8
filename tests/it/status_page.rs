//! The pages for people as they are served: nothing unknown looks good, and nobody pays for another.

use std::io::Read as _;

use hotspare::model::{CheckReport, GroupReport, ReadyState};

use crate::api::{group, lag, standby};
use crate::server::{Answer, Served};

/// The heading of a page, with the class that it is drawn in.
fn heading(page: &str) -> (String, String) {
    let (_, section) = page.split_once("<section class=\"answer ").expect("one");
    let (class, _) = section.split_once('"').expect("a class");
    let (_, heading) = section.split_once("<h1 id=\"answer\">").expect("one");
    let (heading, _) = heading.split_once("</h1>").expect("ended");
    (class.to_owned(), heading.to_owned())
}

async fn heading_of(served: &Served, path: &str) -> (String, String) {
    heading(&served.get(path, "").await.text())
}

#[tokio::test]
async fn targets_of_which_nothing_is_known_are_not_drawn_as_good_ones() {
    let served = Served::judging(Box::new(Vec::new));
    let unseen = heading_of(&served, "/targets").await;
    let says = "Not known whether 3 of 3 targets are up";
    assert_eq!(unseen, ("unknown".to_owned(), says.to_owned()));
    let none = heading_of(&served, "/targets?probe=nobody").await;
    let says = "There is no such target here";
    assert_eq!(none, ("none".to_owned(), says.to_owned()));
    served.stop().await;
}

#[tokio::test]
async fn groups_that_could_not_be_judged_are_not_said_to_be_none() {
    let served = Served::judging(Box::new(|| panic!("a mistake")));
    let page = served.get("/", "").await.text();
    assert_eq!(heading(&page).0, "unknown");
    assert!(!page.contains("nothing to take over"), "{page}");
    served.stop().await;
}

#[tokio::test]
async fn a_primary_is_not_said_to_be_seen_where_another_one_has_taken_over() {
    let served = Served::judging(Box::new(|| {
        let role = CheckReport {
            check: "role".into(),
            ..lag()
        };
        let promoted = standby("there", ReadyState::NotReady, vec![role]);
        let other = standby("elsewhere", ReadyState::Ready, Vec::new());
        vec![group("shop", "here", vec![other, promoted])]
    }));
    let page = served.get("/", "").await.text();
    let (_, primary) = page.split_once("<p class=\"primary\">").expect("one");
    let (primary, _) = primary.split_once("</p>").expect("ended");
    assert!(primary.contains("there is a primary now"), "{primary}");
    assert!(!primary.contains("seen"), "{primary}");
    served.stop().await;
}

/// 150 groups of which something is not known, and the last one has lost its primary.
fn one_lost_of_many() -> Vec<GroupReport> {
    let unknown = |n: usize| {
        let standby = standby("there", ReadyState::Unknown, vec![lag()]);
        group(&format!("group-{n:03}"), "here", vec![standby])
    };
    let lost = standby("there", ReadyState::PrimaryLost, Vec::new());
    let lost = group("the-lost-one", "here", vec![lost]);
    (0..150).map(unknown).chain([lost]).collect()
}

#[tokio::test]
async fn of_many_groups_in_trouble_the_worst_are_shown() {
    let served = Served::judging(Box::new(one_lost_of_many));
    let page = served.get("/", "").await.text();
    assert_eq!(heading(&page).1, "The primary of 1 group is lost");
    assert!(page.contains("data-key=\"group the-lost-one\""));
    let (_, links) = page.split_once("<ul class=\"lines\">").expect("lines");
    let (_, id) = links.split_once("href=\"#").expect("a link");
    let (id, _) = id.split_once('"').expect("ended");
    assert!(page.contains(&format!("id=\"{id}\"")), "{id} is not there");
    assert!(page.contains("51 more groups are not shown"));
    served.stop().await;
}

fn unzipped(answer: &Answer) -> String {
    let mut text = String::new();
    let mut coded = flate2::read::GzDecoder::new(&*answer.body);
    coded.read_to_string(&mut text).expect("gzip of text");
    text
}

#[tokio::test]
async fn pages_are_compressed_for_those_who_read_that() {
    let served = Served::judging(Box::new(one_lost_of_many));
    for path in ["/", "/?fragment", "/targets", "/targets/nobody/knows"] {
        let plain = served.get(path, "").await;
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        let coded = served.get(path, "accept-encoding: br, gzip\r\n").await;
        assert_eq!(coded.status, plain.status, "{path}");
        assert_eq!(coded.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(coded.header("vary"), Some("accept-encoding"), "{path}");
        let length = coded.header("content-length").map(str::parse);
        assert_eq!(length, Some(Ok(coded.body.len())));
        assert!(coded.body.len() < plain.body.len(), "{path}");
        assert!(unzipped(&coded).contains("id=\"answer\""), "{path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn a_question_that_is_too_long_is_refused_and_not_taken_for_another() {
    let served = Served::judging(Box::new(Vec::new));
    let name = "n".repeat(256);
    let long = format!("/targets?probe={name}&region={name}&group={name}");
    assert_eq!(heading_of(&served, &long).await.0, "none");
    let longer = format!("?probe={}", "n".repeat(5_000));
    for (path, kind) in [
        ("/", "text/plain; charset=utf-8"),
        ("/targets", "text/plain; charset=utf-8"),
        ("/api/v1/live", "application/problem+json"),
    ] {
        let refused = served.get(&format!("{path}{longer}"), "").await;
        assert_eq!(refused.status, 400, "{path}");
        assert_eq!(refused.header("content-type"), Some(kind), "{path}");
    }
    served.stop().await;
}

#[tokio::test]
async fn other_sites_learn_nothing_by_way_of_a_browser() {
    let served = Served::judging(Box::new(Vec::new));
    for path in ["/", "/api/v1/groups", "/sd", "/assets/page.js", "/nowhere"] {
        let answer = served.get(path, "").await;
        let resources = answer.header("cross-origin-resource-policy");
        assert_eq!(resources, Some("same-origin"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    served.stop().await;
}
