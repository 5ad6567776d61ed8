//! Where the daemons are, for Prometheus to find them.

use std::collections::BTreeMap;

use url::Url;

use super::Region;
use crate::model::TargetGroup;

/// A target group for each region whose daemon's URL is known, in the order of the regions.
pub fn target_groups(regions: &[Region]) -> Vec<TargetGroup> {
    let groups = regions
        .iter()
        .filter_map(|region| target_group(&region.name, region.daemon.as_ref()?));
    groups.collect()
}

/// `None` only of a URL that the configuration refuses. What Prometheus assumes by itself is left out.
fn target_group(region: &str, daemon: &Url) -> Option<TargetGroup> {
    let address = format!("{}:{}", daemon.host_str()?, daemon.port_or_known_default()?);
    let mut labels = BTreeMap::from([("__meta_hotspare_region", region.to_owned())]);
    if daemon.scheme() != "http" {
        labels.insert("__scheme__", daemon.scheme().to_owned());
    }
    let prefix = daemon.path().trim_end_matches('/');
    if !prefix.is_empty() {
        labels.insert("__metrics_path__", format!("{prefix}/metrics"));
    }
    Some(TargetGroup {
        targets: [address],
        labels,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(daemons: &[(&str, Option<&str>)]) -> String {
        let regions = daemons.iter().map(|(name, daemon)| Region {
            name: (*name).into(),
            jurisdiction: None,
            daemon: daemon.map(|url| Url::parse(url).expect("a URL")),
        });
        let groups = target_groups(&regions.collect::<Vec<_>>());
        serde_json::to_string(&groups).expect("JSON")
    }

    #[test]
    fn only_what_prometheus_does_not_assume_is_said() {
        for (url, group) in [
            (
                "http://10.1.0.5:9887",
                r#"{"targets":["10.1.0.5:9887"],"labels":{"__meta_hotspare_region":"a"}}"#,
            ),
            (
                "http://hotspare.example.com/",
                r#"{"targets":["hotspare.example.com:80"],"labels":{"__meta_hotspare_region":"a"}}"#,
            ),
            (
                "https://[2001:db8::5]/hotspare/a/",
                r#"{"targets":["[2001:db8::5]:443"],"labels":{"__meta_hotspare_region":"a","__metrics_path__":"/hotspare/a/metrics","__scheme__":"https"}}"#,
            ),
        ] {
            assert_eq!(json(&[("a", Some(url))]), format!("[{group}]"));
        }
    }

    #[test]
    fn regions_keep_their_order_and_those_without_a_daemon_are_left_out() {
        let all = [
            ("z", Some("http://h:1")),
            ("m", None),
            ("a", Some("http://h:2")),
        ];
        let list = json(&all);
        let z = list.find(r#""h:1""#).expect("the first");
        let a = list.find(r#""h:2""#).expect("the last");
        assert!(z < a && !list.contains(r#""m""#), "{list}");
        assert_eq!(json(&[("m", None)]), "[]");
    }
}
