//! What keeps people from being told that an alert fires.

use std::time::SystemTime;

use super::{Maintenance, Silences};
use crate::model::{Alert, Labels, Mute, agrees, timestamp_seconds};

/// The maintenance windows of the configuration, and the silences.
#[derive(Clone, Debug)]
pub struct Mutes {
    windows: Vec<Maintenance>,
    silences: Silences,
}

/// What mutes alerts at one moment.
#[derive(Debug, Default, PartialEq)]
pub struct Muting(Vec<(Labels, Mute)>);

impl Mutes {
    /// These windows and silences.
    pub fn new(windows: Vec<Maintenance>, silences: Silences) -> Self {
        Self { windows, silences }
    }

    /// Other windows from now on.
    pub fn plan(&mut self, windows: Vec<Maintenance>) {
        self.windows = windows;
    }

    /// What holds at this moment of the wall clock.
    pub fn at(&self, today: SystemTime) -> Muting {
        let open = self.windows.iter().filter(|window| window.is_open(today));
        let open = open.map(|window| {
            let mute = Mute::Maintenance(window.name.clone());
            (window.matches.clone(), mute)
        });
        let silences = self.silences.holding(timestamp_seconds(today)).into_iter();
        let silences = silences.map(|silence| {
            let mute = Mute::Silence(silence.id.into());
            (silence.matches, mute)
        });
        Muting(open.chain(silences).collect())
    }
}

impl Muting {
    /// What mutes this alert: the windows first, in their order.
    pub fn of(&self, alert: &Alert) -> Option<&Mute> {
        let mut all = self.0.iter();
        all.find_map(|(matches, mute)| agrees(matches, &alert.labels).then_some(mute))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{AlertState, SilenceOrder, SilenceStart};
    use crate::store::Store;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter();
        pairs.map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn alert(labels: Labels) -> Alert {
        Alert {
            rule: "A".into(),
            labels,
            annotations: std::collections::BTreeMap::new(),
            state: AlertState::Firing,
            active_timestamp_seconds: 0.0,
            start_timestamp_seconds: Some(0.0),
            end_timestamp_seconds: None,
            value: None,
            threshold: None,
            shared: true,
            receivers: None,
            muted: None,
        }
    }

    #[test]
    fn an_alert_is_muted_by_what_names_only_labels_that_it_has() {
        let hour = Duration::from_hours(1);
        let shop = labels(&[("group", "shop")]);
        let window = Maintenance::new("patching".into(), "0 2 * * *", hour, "UTC", shop.clone());
        let silences = Silences::kept_in(&Store::in_memory());
        let start = SilenceStart {
            id: "x".to_owned(),
            matches: labels(&[("group", "shop"), ("standby", "b")]),
            note: None,
            for_seconds: 7200.0,
        };
        silences
            .order(&SilenceOrder::Start(start), 7200.0)
            .expect("ordered");
        let mutes = Mutes::new(vec![window.expect("good")], silences);
        let both = alert(labels(&[("group", "shop"), ("standby", "b")]));
        let one = alert(shop);
        let neither = alert(labels(&[("standby", "b")]));
        let at = |hours| mutes.at(SystemTime::UNIX_EPOCH + Duration::from_hours(hours));
        let window = Mute::Maintenance("patching".into());
        let silence = Mute::Silence("x".into());
        for (hours, of_both, of_one) in [
            (1, None, None),
            (2, Some(&window), Some(&window)),
            (3, Some(&silence), None),
            (4, None, None),
        ] {
            assert_eq!(at(hours).of(&both), of_both, "{hours}");
            assert_eq!(at(hours).of(&one), of_one, "{hours}");
            assert_eq!(at(hours).of(&neither), None, "{hours}");
        }
    }
}
