//! A family of series: what introduces it, and how its rows come onto the page.

use super::buckets::{Buckets, Histogram};
use super::page::{Head, Page, Value, push_label};

/// Who has series: a target, a set or a pair.
pub(super) trait Subject {
    /// The labels of each of its samples, rendered: `probe="…",kind="…",…`.
    fn labels(&self) -> &str;
}

/// A family, and how to write what one subject has in it.
pub(super) struct Family<S> {
    pub(super) head: Head<'static>,
    pub(super) rows: fn(&S, &mut Rows<'_>),
}

impl<S: Subject> Family<S> {
    /// Writes the subject's rows. `headed` tells whether the family was introduced before, so that
    /// one without rows is not on the page at all.
    pub(super) fn write(&self, subject: &S, headed: &mut bool, page: &mut Page) {
        let mut rows = Rows {
            head: &self.head,
            labels: subject.labels(),
            headed,
            page,
        };
        (self.rows)(subject, &mut rows);
    }
}

/// Where one subject's rows of one family go.
pub(super) struct Rows<'a> {
    head: &'a Head<'static>,
    labels: &'a str,
    headed: &'a mut bool,
    page: &'a mut Page,
}

impl Rows<'_> {
    pub(super) fn value(&mut self, value: impl Into<Value>) {
        self.more(&[], value);
    }

    /// A row with one more label, whose value needs no escaping.
    pub(super) fn with(&mut self, label: &str, of: &str, value: impl Into<Value>) {
        self.more(&[",", label, "=\"", of, "\""], value);
    }

    /// A row with more labels, rendered, with a comma before.
    pub(super) fn more(&mut self, more: &[&str], value: impl Into<Value>) {
        self.begin();
        let mut labels = [""; 8];
        labels[0] = self.labels;
        for (to, from) in labels[1..].iter_mut().zip(more) {
            *to = from;
        }
        let name = [self.head.name, self.head.kind.suffix()];
        self.page.sample(&name, &labels, value.into());
    }

    /// The row of an info family, whose values may come from a target.
    pub(super) fn info(&mut self, pairs: &[(&str, &str)]) {
        let mut more = String::from(",");
        let mut own = String::new();
        for (name, value) in pairs {
            push_label(&mut own, name, value);
        }
        more.push_str(&own);
        self.more(&[&more], 1u64);
    }

    /// The rows of a histogram; `more` are labels, rendered, with a comma before.
    pub(super) fn histogram(&mut self, more: &[&str], buckets: &Buckets, histogram: &Histogram) {
        self.begin();
        let mut labels = [""; 4];
        labels[0] = self.labels;
        for (to, from) in labels[1..].iter_mut().zip(more) {
            *to = from;
        }
        self.page
            .histogram(self.head.name, &labels, buckets, histogram);
    }

    fn begin(&mut self) {
        if !*self.headed {
            self.page.head(self.head);
            *self.headed = true;
        }
    }
}

/// The table of one kind of subject: `families! { of Series; /// Help. Kind name: rows; … }`.
macro_rules! families {
    (of $subject:ty; $($(#[doc = $help:literal])+ $kind:ident $name:ident: $rows:expr;)+) => {
        /// Every family of these series, in the order of the page.
        pub(super) const FAMILIES: &[$crate::metrics::rows::Family<$subject>] = &[$(
            $crate::metrics::rows::Family {
                head: $crate::metrics::page::Head {
                    name: concat!("hotspare_", stringify!($name)),
                    kind: $crate::metrics::page::Kind::$kind,
                    help: concat!($($help),+).trim_ascii(),
                },
                rows: $rows,
            },
        )+];
    };
}
pub(super) use families;
