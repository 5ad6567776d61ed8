//! Maintenance windows: times that come again, in which nobody is told of some alerts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::model::{Labels, duration};

/// 2026, in seconds since 1970: any moment will do.
const ANY_MOMENT: i64 = 1_767_225_600;

/// A window that opens at the times of a cron expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintenance {
    /// What names it.
    pub name: Arc<str>,
    /// The labels that an alert has to have, all of them and with these values; none: every alert.
    pub matches: Labels,
    starts: Cron,
    lasts: Duration,
    zone: TimeZone,
}

impl Maintenance {
    /// The longest window: a week. Who wants more should change the rule.
    pub const LONGEST: Duration = Duration::from_hours(7 * 24);

    /// A window that opens at the times of `starts` (minute, hour, day of month, month, day of week) on
    /// the clocks of `time_zone` (a name like `Europe/Berlin`), and closes `lasts` after.
    ///
    /// The error is the setting and what is wrong with it.
    pub fn new(
        name: Arc<str>,
        starts: &str,
        lasts: Duration,
        time_zone: &str,
        matches: Labels,
    ) -> Result<Self, (&'static str, String)> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(starts).map_err(|_| {
            let expected =
                "expected minute, hour, day of month, month and day of week, like `0 2 * * SUN`";
            ("starts", format!("`{starts}` is no time: {expected}"))
        })?;
        if lasts.is_zero() || lasts > Self::LONGEST {
            let longest = duration::display(Self::LONGEST);
            return Err(("lasts", format!("a window is open for up to {longest}")));
        }
        let zone = TimeZone::get(time_zone).map_err(|_| {
            let why =
                format!("there is no time zone `{time_zone}`; write it like Europe/Berlin or UTC");
            ("time_zone", why)
        })?;
        // Each look would search two thousand years for it.
        let comes = Timestamp::from_second(ANY_MOMENT).map(|at| Zoned::new(at, zone.clone()));
        if !comes.is_ok_and(|at| cron.find_previous_occurrence(&at, true).is_ok()) {
            return Err(("starts", format!("`{starts}` never comes")));
        }
        Ok(Self {
            name,
            matches,
            starts: cron,
            lasts,
            zone,
        })
    }

    /// Whether it is open at a moment of the wall clock. It lasts as long as was said also where the
    /// clocks are put forward or back meanwhile; one that would open in the hour that is left out
    /// opens when that is over.
    pub fn is_open(&self, at: SystemTime) -> bool {
        let Ok(at) = Timestamp::try_from(at) else {
            return false;
        };
        let now = Zoned::new(at, self.zone.clone());
        let opened = self.starts.find_previous_occurrence(&now, true);
        opened.is_ok_and(|opened| {
            let since = at.duration_since(opened.timestamp()).unsigned_abs();
            since < self.lasts
        })
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn window(starts: &str, hours: u64, zone: &str) -> Maintenance {
        let lasts = Duration::from_hours(hours);
        let window = Maintenance::new("w".into(), starts, lasts, zone, Labels::new());
        window.expect("good")
    }

    fn at(text: &str) -> SystemTime {
        Timestamp::from_str(text).expect("a time").into()
    }

    #[test]
    fn it_is_open_from_its_start_for_as_long_as_it_lasts() {
        let window = window("0 2 * * SUN", 2, "UTC");
        for (moment, open) in [
            ("2026-11-22T01:59:59.999Z", false),
            ("2026-11-22T02:00:00Z", true),
            ("2026-11-22T03:59:59Z", true),
            ("2026-11-22T04:00:00Z", false),
            ("2026-11-23T02:30:00Z", false),
            ("2026-11-29T02:30:00Z", true),
        ] {
            assert_eq!(window.is_open(at(moment)), open, "{moment}");
        }
    }

    #[test]
    fn it_goes_by_the_clocks_of_its_zone_over_midnight_and_summer_time() {
        let nightly = window("0 23 * * *", 3, "Europe/Berlin");
        for (moment, open) in [
            ("2026-07-01T20:59:00Z", false),
            ("2026-07-01T21:00:00Z", true),
            ("2026-07-01T23:59:00Z", true),
            ("2026-07-02T00:00:00Z", false),
            ("2026-12-01T21:30:00Z", false),
            ("2026-12-01T22:00:00Z", true),
        ] {
            assert_eq!(nightly.is_open(at(moment)), open, "{moment}");
        }
        // 02:30 is left out on 2026-03-29, and comes twice on 2026-10-25.
        let early = window("30 2 * * *", 1, "Europe/Berlin");
        for (moment, open) in [
            ("2026-03-28T01:30:00Z", true),
            ("2026-03-29T00:59:00Z", false),
            ("2026-03-29T01:00:00Z", true),
            ("2026-03-29T02:30:00Z", false),
            ("2026-10-25T00:30:00Z", true),
            ("2026-10-25T03:30:00Z", false),
        ] {
            assert_eq!(early.is_open(at(moment)), open, "{moment}");
        }
    }

    #[test]
    fn of_two_days_either_will_do() {
        let window = window("0 2 1 * SUN", 1, "UTC");
        for (moment, open) in [
            ("2026-11-22T02:00:00Z", true),
            ("2026-12-01T02:00:00Z", true),
            ("2026-12-02T02:00:00Z", false),
        ] {
            assert_eq!(window.is_open(at(moment)), open, "{moment}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_setting() {
        let new = |starts: &str, hours: u64, zone: &str| {
            let lasts = Duration::from_hours(hours);
            Maintenance::new("w".into(), starts, lasts, zone, Labels::new())
        };
        for (starts, hours, zone, field) in [
            ("sunday", 1, "UTC", "starts"),
            ("0 2 * *", 1, "UTC", "starts"),
            ("0 0 2 * * SUN", 1, "UTC", "starts"),
            ("0 25 * * *", 1, "UTC", "starts"),
            ("0 0 30 2 *", 1, "UTC", "starts"),
            ("0 0 31 4,6 *", 1, "Europe/Berlin", "starts"),
            ("0 2 * * *", 0, "UTC", "lasts"),
            ("0 2 * * *", 169, "UTC", "lasts"),
            ("0 2 * * *", 1, "Europe/Berlinn", "time_zone"),
        ] {
            let refused = new(starts, hours, zone).map_err(|(field, _)| field);
            assert_eq!(refused.map(|_| ()), Err(field), "{starts}");
        }
    }
}
