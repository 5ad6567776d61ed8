//! What a query asks for: its selectors with what stands around them.
//!
//! Only queries that Prometheus can read are looked at (`parse` has `promtool` say so), hence no
//! grammar: of a right query, its words tell enough.

use regex::Regex;

/// What a query is made of.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) selectors: Vec<Selector>,
    /// The labels of `by`, `without`, `on`, `ignoring` and `group_left` and `group_right`.
    pub(super) labels: Vec<String>,
    /// Labels that the query makes.
    pub(super) made: Vec<String>,
}

/// One selector of series.
#[derive(Debug, Default)]
pub(super) struct Selector {
    pub(super) name: String,
    /// Label, operator, value.
    pub(super) matchers: Vec<(String, String, String)>,
    /// What stands in the brackets after it.
    pub(super) range: Option<String>,
    /// The functions and aggregations around it, the nearest last; nothing for mere parentheses.
    pub(super) within: Vec<String>,
    /// Whether it is in a subquery.
    pub(super) in_subquery: bool,
}

/// Whether the name is one that a rule records.
pub(super) fn is_record(name: &str) -> bool {
    name.contains(':')
}

impl Selector {
    /// The function of which it is an argument.
    pub(super) fn function(&self) -> &str {
        self.within.last().map_or("", String::as_str)
    }

    pub(super) fn has(&self, label: &str, operator: &str, value: &str) -> bool {
        let mut matchers = self.matchers.iter();
        matchers.any(|(l, o, v)| (&**l, &**o, &**v) == (label, operator, value))
    }
}

const AGGREGATIONS: [&str; 12] = [
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
];
const LABEL_LISTS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];
const WORDS: [&str; 9] = [
    "bool", "and", "or", "unless", "offset", "atan2", "inf", "nan", "start",
];

struct Reader {
    tokens: Vec<String>,
    at: usize,
    query: Query,
    /// The function of each open parenthesis, with how many selectors there were before it.
    open: Vec<(String, usize)>,
    /// An aggregation whose parenthesis comes after its labels.
    pending: Option<String>,
}

impl Query {
    pub(super) fn read(expr: &str) -> Self {
        let tokens = r#""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\$\{[^}]*\}|[A-Za-z_:$][A-Za-z0-9_:$]*|[0-9][0-9A-Za-z_.]*|[=!]~|[=!<>]=|\S"#;
        let tokens = Regex::new(tokens).expect("an expression");
        let tokens = tokens
            .find_iter(expr)
            .map(|found| found.as_str().to_owned());
        let mut reader = Reader {
            tokens: tokens.collect(),
            at: 0,
            query: Self::default(),
            open: Vec::new(),
            pending: None,
        };
        while let Some(token) = reader.next() {
            reader.take(&token);
        }
        assert!(reader.open.is_empty(), "{expr}");
        reader.query
    }
}

impl Reader {
    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        Some(token)
    }

    fn follows(&self, token: &str) -> bool {
        self.tokens.get(self.at).is_some_and(|next| next == token)
    }

    fn take(&mut self, token: &str) {
        match token {
            "(" => {
                let function = self.pending.take().unwrap_or_default();
                self.open.push((function, self.query.selectors.len()));
            }
            ")" => {
                let (function, before) = self.open.pop().expect("a parenthesis that is open");
                if self.follows("[") {
                    let inner = &mut self.query.selectors[before..];
                    for selector in inner {
                        selector.in_subquery = true;
                    }
                }
                if ["label_replace", "label_join", "count_values"].contains(&function.as_str()) {
                    self.label_made();
                }
            }
            "{" => self.selector(String::new()),
            "[" => drop(self.until("]")),
            word if word.starts_with(|c: char| c.is_ascii_alphabetic() || "_:".contains(c)) => {
                self.word(word);
            }
            _ => {}
        }
    }

    fn word(&mut self, word: &str) {
        if LABEL_LISTS.contains(&word) {
            if self.follows("(") {
                let list = self.until(")");
                let labels = list
                    .into_iter()
                    .filter(|token| token != "," && token != "(");
                self.query.labels.extend(labels);
            }
        } else if self.follows("(") || AGGREGATIONS.contains(&word) {
            self.pending = Some(word.to_owned());
        } else if !WORDS.contains(&word.to_lowercase().as_str()) {
            self.selector(word.to_owned());
        }
    }

    /// A selector, after its name or the brace that stands for it.
    fn selector(&mut self, name: String) {
        let mut selector = Selector {
            within: self
                .open
                .iter()
                .map(|(function, _)| function.clone())
                .collect(),
            ..Selector::default()
        };
        if name.is_empty() || self.follows("{") {
            let braces = self.until("}");
            let tokens: Vec<_> = braces
                .iter()
                .filter(|t| !["{", ","].contains(&t.as_str()))
                .collect();
            for matcher in tokens.chunks(3) {
                let [label, operator, value] = matcher else {
                    panic!("no matcher: {matcher:?}");
                };
                let value = value.trim_matches(['"', '\'']);
                selector
                    .matchers
                    .push(((*label).clone(), (*operator).clone(), value.to_owned()));
            }
        }
        if self.follows("[") {
            let range: String = self.until("]").concat();
            let range = range.trim_start_matches('[').to_owned();
            selector.in_subquery = range.contains(':');
            selector.range = Some(range);
        }
        selector.name = name;
        self.query.selectors.push(selector);
    }

    /// The label that a call which just ended has made: the first text that it was given.
    fn label_made(&mut self) {
        let (mut depth, mut in_braces) = (0, false);
        let mut first = None;
        for token in self.tokens[..self.at].iter().rev() {
            match token.as_str() {
                ")" => depth += 1,
                "(" => depth -= 1,
                "}" | "{" => in_braces = token == "}",
                text if depth == 1 && !in_braces && text.starts_with('"') => first = Some(text),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        let made = first.expect("the label that is made");
        self.query.made.push(made.trim_matches('"').to_owned());
    }

    /// The tokens up to this one, which is left out.
    fn until(&mut self, end: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        while let Some(token) = self.next() {
            if token == end {
                return tokens;
            }
            tokens.push(token);
        }
        panic!("no {end} after {tokens:?}");
    }
}

mod tests {
    use super::*;

    #[test]
    fn a_query_is_read() {
        let query = Query::read(
            "histogram_quantile(0.9, sum by (le, kind) (rate(a_bucket{job=~\"$job\",x!=\"(}\"}[$__rate_interval]))) \
             / on (kind) group_left (x) (b:c:d offset 1d) > bool ${limit:raw} \
             or label_replace(d{e=\"f\"} or max_over_time((time() - d{e=\"f\"})[1h:1m]), \"made\", \"$1\", \"e\", \"(.*)\") \
             + sum(g[2m:]) by (le) and vector(Inf)",
        );
        let names: Vec<_> = query.selectors.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["a_bucket", "b:c:d", "d", "d", "g"]);
        let [bucket, record, _, d, g] = &query.selectors[..] else {
            panic!("{query:?}");
        };
        assert!(bucket.has("job", "=~", "$job") && bucket.has("x", "!=", "(}"));
        assert_eq!(bucket.range.as_deref(), Some("$__rate_interval"));
        assert_eq!(bucket.within, ["histogram_quantile", "sum", "rate"]);
        assert!(!bucket.in_subquery && d.in_subquery && g.in_subquery);
        assert!(is_record(&record.name) && record.function().is_empty());
        assert_eq!(query.labels, ["le", "kind", "kind", "x", "le"]);
        assert_eq!(query.made, ["made"]);
    }
}
