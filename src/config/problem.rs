//! What is wrong with a configuration: everything at once, each with its place.

use std::fmt;

use super::place::{Path, Place};

/// Something wrong: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is written.
    pub place: Place,
    /// The path to it in its file, as in `probes[1].check.http.url`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What was probably meant, or what to do.
    pub help: Option<String>,
}

impl Problem {
    pub(super) fn new(place: Place, path: &Path, message: impl Into<String>) -> Self {
        Self {
            place,
            path: path.to_string(),
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

/// Everything that is wrong, in the order in which it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The value if nothing is wrong.
    pub(super) fn or<T>(mut self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            return Ok(value);
        }
        self.sort();
        Err(self)
    }

    pub(super) fn sort(&mut self) {
        self.0.sort_by(|a, b| a.place.cmp(&b.place));
        self.0.dedup();
    }

    /// Whether one of those from the `first` on is at `path` or below it.
    pub(super) fn names(&self, first: usize, path: &Path) -> bool {
        let path = path.to_string();
        self.0[first..].iter().any(|problem| {
            problem
                .path
                .strip_prefix(&path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// The problems in order.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One line for each problem.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that was probably meant.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| {
            let edits = strsim::damerau_levenshtein(text, candidate);
            (candidate, edits, strsim::jaro_winkler(text, candidate))
        })
        .filter(|(candidate, edits, alike)| {
            let few = *edits <= 1 + candidate.len() / 5 && *edits * 2 <= text.len();
            few || *alike > 0.88
        })
        .min_by(|a, b| a.1.cmp(&b.1).then(b.2.total_cmp(&a.2)))
        .map(|(candidate, ..)| candidate)
}

/// What to say of a name that is not one of the valid ones.
pub(super) fn choices<'a>(
    text: &str,
    valid: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(name) = nearest(text, valid.clone()) {
        return Some(format!("did you mean `{name}`?"));
    }
    let names: Vec<_> = valid.into_iter().collect();
    (!names.is_empty()).then(|| format!("valid here: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_far_ones_are_not() {
        let names = ["url", "timeout", "interval", "password_file", "tcp"];
        for (typed, meant) in [
            ("urll", Some("url")),
            ("timout", Some("timeout")),
            ("intervall", Some("interval")),
            ("password", Some("password_file")),
            ("tpc", Some("tcp")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, names), meant, "{typed}");
        }
    }
}
