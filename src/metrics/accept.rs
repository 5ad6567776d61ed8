//! Which format and coding a scraper asks for.

use super::Format;

/// The format that a client with this `Accept` header likes best.
///
/// The quality of a format is that of the most exact range that covers it. Between equals the one
/// that was named more exactly wins, then the one named first. A client that names nothing we have
/// gets the text format, as one that sends no header at all: a page it may not read is still more
/// use than an error.
pub fn negotiate(accept: Option<&str>) -> Format {
    let ranges: Vec<Range<'_>> = accept
        .unwrap_or("*/*")
        .split(',')
        .enumerate()
        .filter_map(|(position, text)| Range::read(position, text))
        .collect();
    let liking = |format| {
        let fits = ranges.iter().filter_map(|range| {
            let exactness = range.covers(format)?;
            Some((exactness, std::cmp::Reverse(range.position), range.quality))
        });
        fits.max()
            .filter(|(_, _, quality)| *quality > 0)
            .map(|(exactness, position, quality)| (quality, exactness, position))
    };
    match (liking(Format::Text), liking(Format::OpenMetrics)) {
        (text, Some(open)) if text.is_none_or(|text| open > text) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

/// Whether a client with this `Accept-Encoding` header reads gzip.
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let quality_of = |wanted: &[&str]| {
        let codings = accept_encoding.unwrap_or_default().split(',');
        codings
            .map(split_quality)
            .find(|(name, _)| wanted.iter().any(|w| name.eq_ignore_ascii_case(w)))
            .map(|(_, quality)| quality)
    };
    quality_of(&["gzip", "x-gzip"])
        .or_else(|| quality_of(&["*"]))
        .is_some_and(|quality| quality > 0)
}

/// One media range of an `Accept` header.
struct Range<'a> {
    position: usize,
    /// In thousandths.
    quality: u16,
    media: &'a str,
    version: Option<&'a str>,
}

impl<'a> Range<'a> {
    fn read(position: usize, text: &'a str) -> Option<Self> {
        let (media, quality) = split_quality(text);
        let version = parameters(text)
            .find(|(name, _)| name.eq_ignore_ascii_case("version"))
            .map(|(_, value)| value);
        (!media.is_empty()).then_some(Self {
            position,
            quality,
            media,
            version,
        })
    }

    /// How exactly the range names the format, if it covers it.
    fn covers(&self, format: Format) -> Option<u8> {
        let (media, version) = match format {
            Format::Text => ("text/plain", "0.0.4"),
            Format::OpenMetrics => ("application/openmetrics-text", "1.0.0"),
        };
        if self.media.eq_ignore_ascii_case(media) {
            return match self.version {
                Some(asked) if asked == version => Some(3),
                Some(_) => None,
                None => Some(2),
            };
        }
        // A range of everything means the format that everything reads.
        let wide = format == Format::Text
            && (self.media.eq_ignore_ascii_case("text/*") || self.media == "*/*");
        wide.then_some(u8::from(self.media != "*/*"))
    }
}

/// The part before the first parameter, and the quality in thousandths (1000 unless said).
fn split_quality(text: &str) -> (&str, u16) {
    let name = text.split(';').next().unwrap_or_default().trim();
    let quality = parameters(text)
        .find(|(name, _)| name.eq_ignore_ascii_case("q"))
        .map_or(1_000, |(_, value)| thousandths(value));
    (name, quality)
}

/// A quality that cannot be read is none.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 1000"
        )]
        Ok(quality) if (0.0..=1.0).contains(&quality) => (quality * 1_000.0).round() as u16,
        _ => 0,
    }
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(';').skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTOBUF: &str = "application/vnd.google.protobuf;\
        proto=io.prometheus.client.MetricFamily;encoding=delimited";

    #[test]
    fn real_scrapers_get_what_they_prefer() {
        use Format::{OpenMetrics, Text};
        for (accept, expected) in [
            // Prometheus 2.42.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                 version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            // Prometheus 2.42 with native histograms.
            (
                &format!(
                    "{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,\
                     application/openmetrics-text;version=0.0.1;q=0.75,\
                     text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
                ),
                OpenMetrics,
            ),
            // Prometheus 2.53.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
                 version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            // Prometheus 3.5.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            // Prometheus 3.5 told to prefer the text format.
            (
                "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 text/plain;version=0.0.4;q=0.5,\
                 application/openmetrics-text;version=1.0.0;q=0.4,*/*;q=0.2",
                Text,
            ),
            // curl and browsers.
            ("*/*", Text),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Text,
            ),
            ("text/plain", Text),
        ] {
            assert_eq!(negotiate(Some(accept)), expected, "{accept}");
        }
        assert_eq!(negotiate(None), Text);
    }

    #[test]
    fn the_rules_of_quality_hold() {
        use Format::{OpenMetrics, Text};
        for (accept, expected) in [
            ("application/openmetrics-text", OpenMetrics),
            (
                "Application/OpenMetrics-Text; Version=\"1.0.0\"",
                OpenMetrics,
            ),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=0.000", Text),
            ("application/openmetrics-text;q=nonsense", Text),
            (
                "text/plain;q=0,application/openmetrics-text;q=0.1",
                OpenMetrics,
            ),
            ("text/*;q=0.3,application/openmetrics-text;q=0.2", Text),
            ("*/*,application/openmetrics-text", OpenMetrics),
            ("text/plain,application/openmetrics-text", Text),
            ("application/openmetrics-text,text/plain", OpenMetrics),
            (
                "text/plain;version=0.0.4;q=0.1,*/*;q=0.9,application/openmetrics-text;q=0.5",
                OpenMetrics,
            ),
            ("image/png", Text),
            ("", Text),
            (",;,q=", Text),
        ] {
            assert_eq!(negotiate(Some(accept)), expected, "{accept}");
        }
    }

    #[test]
    fn gzip_is_used_where_it_is_read() {
        for (header, expected) in [
            (Some("gzip"), true),
            (Some("deflate, gzip;q=0.5"), true),
            (Some("GZIP"), true),
            (Some("*"), true),
            (Some("gzip;q=0"), false),
            (Some("gzip;q=0, *"), false),
            (Some("identity"), false),
            (Some("br"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(accepts_gzip(header), expected, "{header:?}");
        }
    }
}
