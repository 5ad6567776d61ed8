//! Writes lines of the two text formats. Sample lines are the same in both; what differs is how a
//! family is introduced and how the page ends.

use std::time::Duration;

use super::buckets::{Buckets, Histogram};

/// A way to write a page of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The text format 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.0.
    OpenMetrics,
}

impl Format {
    /// Both formats.
    pub const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// The value of `Content-Type`. Prometheus 3 refuses a page without it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The type of a family, which also decides what its samples' names end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Kind {
    /// What a sample's name has beyond the family's.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// A family: what its samples have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// The name without the ending that its kind adds.
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    pub(super) help: &'a str,
}

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Int(u64),
    Float(f64),
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(value)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

/// In seconds.
impl From<Duration> for Value {
    fn from(value: Duration) -> Self {
        Self::Float(value.as_secs_f64())
    }
}

/// Nothing known is NaN: the series is there, and no comparison with it holds.
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Float(f64::NAN), Into::into)
    }
}

/// A part of the page under way.
#[derive(Debug)]
pub(super) struct Page {
    format: Format,
    buf: Vec<u8>,
    rows: u64,
}

impl Page {
    /// Bytes after which a part is handed on: large enough to be worth a write, small enough that
    /// whoever waits for the store does not notice.
    pub(super) const FULL: usize = 64 * 1024;

    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            buf: Self::buffer(),
            rows: 0,
        }
    }

    /// Room for a part and the target that goes beyond it.
    pub(super) fn buffer() -> Vec<u8> {
        Vec::with_capacity(Self::FULL + Self::FULL / 8)
    }

    pub(super) fn is_full(&self) -> bool {
        self.buf.len() >= Self::FULL
    }

    /// Sample lines written so far, over all parts.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Hands the part on; `next` will hold the one after it.
    pub(super) fn swap(&mut self, next: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.buf, next)
    }

    /// Forgets the part.
    pub(super) fn clear(&mut self) {
        self.buf.clear();
    }

    /// Introduces a family.
    pub(super) fn head(&mut self, head: &Head<'_>) {
        let Head { name, kind, help } = *head;
        match self.format {
            Format::Text => {
                let suffix = kind.suffix();
                let kind = if kind == Kind::Info {
                    Kind::Gauge
                } else {
                    kind
                };
                self.words(&["# HELP ", name, suffix, " "]);
                escape(&mut self.buf, help, false);
                self.words(&["\n# TYPE ", name, suffix, " ", kind.as_str(), "\n"]);
            }
            Format::OpenMetrics => {
                self.words(&["# TYPE ", name, " ", kind.as_str(), "\n"]);
                if let Some(unit) = unit(name) {
                    self.words(&["# UNIT ", name, " ", unit, "\n"]);
                }
                self.words(&["# HELP ", name, " "]);
                escape(&mut self.buf, help, true);
                self.words(&["\n"]);
            }
        }
    }

    /// A line: name, labels as rendered before, and a value.
    pub(super) fn sample(&mut self, name: &[&str], labels: &[&str], value: Value) {
        self.words(name);
        if labels.iter().any(|part| !part.is_empty()) {
            self.words(&["{"]);
            self.words(labels);
            self.words(&["}"]);
        }
        self.words(&[" "]);
        self.value(value);
    }

    /// The lines of a histogram; `labels` are not empty.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[&str],
        buckets: &Buckets,
        histogram: &Histogram,
    ) {
        // Every bucket's line begins alike: written once, then copied from the line before.
        let start = self.buf.len();
        self.words(&[name, "_bucket{"]);
        self.words(labels);
        let prefix = start..self.buf.len();
        let mut total = 0;
        for (i, (le, count)) in buckets.labels().iter().zip(histogram.counts()).enumerate() {
            if i > 0 {
                self.buf.extend_from_within(prefix.clone());
            }
            total += count;
            self.words(&[le, "} "]);
            self.value(Value::Int(total));
        }
        self.sample(&[name, "_sum"], labels, histogram.seconds().into());
        self.sample(&[name, "_count"], labels, Value::Int(total));
    }

    /// Ends the page.
    pub(super) fn end(&mut self) {
        if self.format == Format::OpenMetrics {
            self.words(&["# EOF\n"]);
        }
    }

    fn value(&mut self, value: Value) {
        match value {
            Value::Int(int) => self
                .buf
                .extend_from_slice(itoa::Buffer::new().format(int).as_bytes()),
            Value::Float(float) => push_float(&mut self.buf, float),
        }
        self.buf.push(b'\n');
        self.rows += 1;
    }

    fn words(&mut self, words: &[&str]) {
        for word in words {
            self.buf.extend_from_slice(word.as_bytes());
        }
    }
}

/// The unit that a family's name ends with.
fn unit(name: &str) -> Option<&'static str> {
    ["seconds", "bytes"].into_iter().find(|unit| {
        name.strip_suffix(unit)
            .is_some_and(|rest| rest.ends_with('_'))
    })
}

fn push_float(buf: &mut Vec<u8>, float: f64) {
    // Below this every whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if float.is_nan() {
        buf.extend_from_slice(b"NaN");
    } else if float.is_infinite() {
        buf.extend_from_slice(if float > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if float.fract() == 0.0 && float.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
        let int = float as i64;
        buf.extend_from_slice(itoa::Buffer::new().format(int).as_bytes());
    } else {
        buf.extend_from_slice(ryu::Buffer::new().format_finite(float).as_bytes());
    }
}

/// Adds the text so that it stays on its line, and inside its quotes if it has any.
fn escape(buf: &mut Vec<u8>, text: &str, quotes: bool) {
    for byte in text.bytes() {
        match byte {
            b'\\' => buf.extend_from_slice(b"\\\\"),
            b'\n' => buf.extend_from_slice(b"\\n"),
            b'"' if quotes => buf.extend_from_slice(b"\\\""),
            other => buf.push(other),
        }
    }
}

/// Adds `name="value"`, after a comma unless it is the first.
pub(super) fn push_label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for c in value.chars() {
        match c {
            '\\' => labels.push_str("\\\\"),
            '\n' => labels.push_str("\\n"),
            '"' => labels.push_str("\\\""),
            other => labels.push(other),
        }
    }
    labels.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(Format::Text);
        write(&mut page);
        String::from_utf8(page.buf).expect("UTF-8")
    }

    #[test]
    fn values_are_spelled_as_parsers_read_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-3.0, "-3"),
            (0.000_05, "0.00005"),
            (1e-9, "1e-9"),
            (1_732_170_000.25, "1732170000.25"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut buf = Vec::new();
            push_float(&mut buf, value);
            assert_eq!(std::str::from_utf8(&buf), Ok(text));
        }
    }

    #[test]
    fn a_family_is_introduced_by_the_rules_of_each_format() {
        let heads = [
            ("jobs", Kind::Counter),
            ("busy_seconds", Kind::Counter),
            ("size_bytes", Kind::Gauge),
            ("build", Kind::Info),
        ];
        let page = |format| {
            let mut page = Page::new(format);
            for (name, kind) in heads {
                let help = "A \"b\" \\ c.";
                page.head(&Head { name, kind, help });
            }
            page.end();
            String::from_utf8(page.buf).expect("UTF-8")
        };
        assert_eq!(
            page(Format::Text),
            r#"# HELP jobs_total A "b" \\ c.
# TYPE jobs_total counter
# HELP busy_seconds_total A "b" \\ c.
# TYPE busy_seconds_total counter
# HELP size_bytes A "b" \\ c.
# TYPE size_bytes gauge
# HELP build_info A "b" \\ c.
# TYPE build_info gauge
"#
        );
        assert_eq!(
            page(Format::OpenMetrics),
            r#"# TYPE jobs counter
# HELP jobs A \"b\" \\ c.
# TYPE busy_seconds counter
# UNIT busy_seconds seconds
# HELP busy_seconds A \"b\" \\ c.
# TYPE size_bytes gauge
# UNIT size_bytes bytes
# HELP size_bytes A \"b\" \\ c.
# TYPE build info
# HELP build A \"b\" \\ c.
# EOF
"#
        );
    }

    #[test]
    fn a_histogram_is_cumulative() {
        let buckets = Buckets::new(&[0.001, 1.0]).expect("valid");
        let mut histogram = Histogram::new(&buckets);
        for millis in [1, 2, 2, 3_000] {
            histogram.observe(&buckets, std::time::Duration::from_millis(millis));
        }
        assert_eq!(
            written(|page| page.histogram("d", &["a=\"b\""], &buckets, &histogram)),
            "d_bucket{a=\"b\",le=\"0.001\"} 1\nd_bucket{a=\"b\",le=\"1.0\"} 3\n\
             d_bucket{a=\"b\",le=\"+Inf\"} 4\nd_sum{a=\"b\"} 3.005\nd_count{a=\"b\"} 4\n"
        );
    }

    #[test]
    fn a_sample_without_labels_has_no_braces() {
        assert_eq!(
            written(|page| page.sample(&["up", ""], &[""], true.into())),
            "up 1\n"
        );
    }
}
