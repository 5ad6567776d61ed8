//! Prometheus' form of a list of targets: groups of addresses with labels, in JSON or YAML.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use serde::Deserialize;
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// Targets that one source may give; more are a bad answer.
pub const MAX_TARGETS: usize = 200_000;
/// How deep a good list nests, with some room: what is deeper is none.
const MAX_DEPTH: usize = 8;
const EXPECTED: &str = "expected a list of groups like { \"targets\": [\"host:port\"], \"labels\": { \"name\": \"text\" } }";

/// A target as a source gives it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its address, in the source's words.
    pub address: Arc<str>,
    /// The labels of its group.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Where it is in the answer.
    pub at: At,
}

/// Where it is in an answer changes nothing of a target.
impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        (&self.address, &self.labels) == (&other.address, &other.labels)
    }
}

impl Eq for Found {}

/// Where a target is in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The file, the server or the name in DNS.
    pub list: Arc<str>,
    /// The group, from 0.
    pub group: usize,
    /// The target in the group, from 0.
    pub target: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            list,
            group,
            target,
        } = self;
        write!(f, "{list}: [{group}].targets[{target}]")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    #[serde(default)]
    targets: Option<Vec<Arc<str>>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// All targets of some lists, in an order of their own: that of the answers may be another each time.
pub(super) fn all<'a>(lists: impl IntoIterator<Item = &'a Arc<[Found]>>) -> Arc<[Found]> {
    let mut all: Vec<_> = lists
        .into_iter()
        .flat_map(|list| list.iter().cloned())
        .collect();
    all.sort_by(|a, b| (&a.address, &a.labels).cmp(&(&b.address, &b.labels)));
    all.into()
}

/// Reads JSON. The error does not repeat what was read, which may be private.
pub(super) fn json(bytes: &[u8], list: &Arc<str>) -> Result<Arc<[Found]>, String> {
    let groups: Vec<Group> = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = if error.is_data() {
            EXPECTED
        } else {
            "not JSON, or not all of it"
        };
        format!("line {line}, column {column}: {what}")
    })?;
    found(groups, list)
}

/// Reads YAML, with numbers and truth values as the text that they are written as. The error does not
/// repeat what was read.
pub(super) fn yaml(text: &str, list: &Arc<str>) -> Result<Arc<[Found]>, String> {
    let groups = match Reader::new(text).document()? {
        Node::Null => Vec::new(),
        Node::List(groups) => groups
            .iter()
            .map(group)
            .collect::<Option<_>>()
            .ok_or_else(|| EXPECTED.to_owned())?,
        _ => return Err(EXPECTED.to_owned()),
    };
    found(groups, list)
}

fn found(groups: Vec<Group>, list: &Arc<str>) -> Result<Arc<[Found]>, String> {
    let count: usize = groups
        .iter()
        .map(|group| group.targets.as_ref().map_or(0, Vec::len))
        .sum();
    if count > MAX_TARGETS {
        return Err(format!("more than {MAX_TARGETS} targets"));
    }
    let mut all = Vec::with_capacity(count);
    for (place, group) in groups.into_iter().enumerate() {
        let labels = Arc::new(group.labels.unwrap_or_default());
        let targets = group.targets.unwrap_or_default().into_iter().enumerate();
        all.extend(targets.map(|(target, address)| Found {
            address,
            labels: Arc::clone(&labels),
            at: At {
                list: Arc::clone(list),
                group: place,
                target,
            },
        }));
    }
    Ok(all.into())
}

/// A value of YAML. An alias costs nothing: it shares what it stands for.
#[derive(Clone)]
enum Node {
    Null,
    Text(Arc<str>),
    List(Rc<Vec<Node>>),
    Mapping(Rc<Vec<(Arc<str>, Node)>>),
}

fn group(node: &Node) -> Option<Group> {
    let Node::Mapping(entries) = node else {
        return None;
    };
    let mut group = Group {
        targets: None,
        labels: None,
    };
    for (key, value) in entries.iter() {
        match (&**key, value) {
            ("targets" | "labels", Node::Null) => {}
            ("targets", Node::List(targets)) if group.targets.is_none() => {
                // One more than there may be is enough to see that there are too many.
                let targets = targets.iter().take(MAX_TARGETS + 1);
                group.targets = Some(targets.map(text).collect::<Option<_>>()?);
            }
            ("labels", Node::Mapping(labels)) if group.labels.is_none() => {
                let labels = labels.iter();
                let labels = labels.map(|(name, value)| Some((name.to_string(), text(value)?)));
                let labels = labels.map(|label| label.map(|(name, text)| (name, text.to_string())));
                group.labels = Some(labels.collect::<Option<_>>()?);
            }
            _ => return None,
        }
    }
    Some(group)
}

fn text(node: &Node) -> Option<Arc<str>> {
    match node {
        Node::Text(text) => Some(Arc::clone(text)),
        _ => None,
    }
}

struct Reader<'a> {
    parser: Parser<std::str::Chars<'a>>,
    anchors: HashMap<usize, Node>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            parser: Parser::new_from_str(text),
            anchors: HashMap::new(),
        }
    }

    fn next(&mut self) -> Result<(Event, Marker), String> {
        self.parser.next_token().map_err(|error| {
            let mark = error.marker();
            let (line, column) = (mark.line(), mark.col() + 1);
            format!("line {line}, column {column}: not YAML, or not all of it")
        })
    }

    /// The one document; none is an empty one.
    fn document(&mut self) -> Result<Node, String> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root.unwrap_or(Node::Null)),
                (Event::StreamStart | Event::DocumentEnd | Event::Nothing, _) => {}
                (Event::DocumentStart, _) if root.is_some() => {
                    return Err("there is more than one document".to_owned());
                }
                (Event::DocumentStart, _) => {
                    let (event, mark) = self.next()?;
                    root = Some(self.node(event, mark, 0)?);
                }
                (_, mark) => return Err(unexpected(mark)),
            }
        }
    }

    fn node(&mut self, event: Event, mark: Marker, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(unexpected(mark));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, None) => {
                let null = style == TScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let node = if null {
                    Node::Null
                } else {
                    Node::Text(text.into())
                };
                (node, anchor)
            }
            Event::SequenceStart(anchor, None) => {
                let mut list = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, mark) => list.push(self.node(event, mark, depth + 1)?),
                    }
                }
                (Node::List(Rc::new(list)), anchor)
            }
            Event::MappingStart(anchor, None) => {
                let entries = self.entries(depth)?;
                (Node::Mapping(Rc::new(entries)), anchor)
            }
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                return known.ok_or_else(|| unexpected(mark));
            }
            _ => return Err(unexpected(mark)),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Arc<str>, Node)>, String> {
        let mut entries: Vec<(Arc<str>, Node)> = Vec::new();
        loop {
            match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(key, ..), mark) => {
                    // Few have many labels.
                    if entries.iter().any(|(known, _)| **known == *key) || entries.len() == 1000 {
                        return Err(unexpected(mark));
                    }
                    let (event, mark) = self.next()?;
                    entries.push((key.into(), self.node(event, mark, depth + 1)?));
                }
                (_, mark) => return Err(unexpected(mark)),
            }
        }
    }
}

fn unexpected(mark: Marker) -> String {
    let (line, column) = (mark.line(), mark.col() + 1);
    format!("line {line}, column {column}: {EXPECTED}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(found: &[Found]) -> Vec<String> {
        let shown = found.iter().map(|of| {
            let labels: Vec<_> = of.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{} {} {}", of.at, of.address, labels.join(","))
        });
        shown.collect()
    }

    const GROUPS: &str = "[{\"targets\": [\"a:1\", \"b:2\"], \"labels\": {\"region\": \"x\"}},\n\
                          \t{\"targets\": [], \"labels\": {}}, {\"labels\": null, \"targets\": [\"c\"]}]";

    #[test]
    fn json_and_yaml_say_the_same() {
        let expected = [
            "f: [0].targets[0] a:1 region=x",
            "f: [0].targets[1] b:2 region=x",
            "f: [2].targets[0] c ",
        ];
        let list = "f".into();
        let from_json = json(GROUPS.as_bytes(), &list).expect("good");
        assert_eq!(shown(&from_json), expected);
        let text = "# made by terraform\n- targets: ['a:1', b:2]\n  labels: &x { region: x }\n\
                    - {targets: []}\n- targets:\n  - c\n";
        assert_eq!(shown(&yaml(text, &list).expect("good")), expected);
        let aliases =
            "- {targets: [a], labels: &l {v: 1.10, on: yes}}\n- {targets: [b], labels: *l}";
        let found = yaml(aliases, &list).expect("good");
        assert_eq!(found[0].labels, found[1].labels);
        assert_eq!(found[0].labels["v"], "1.10");
        for empty in ["", "[]", "# none\n", "---\n[]\n..."] {
            assert_eq!(yaml(empty, &list).expect("good").len(), 0, "{empty}");
        }
        assert_eq!(json(b"[]", &list).expect("good").len(), 0);
    }

    #[test]
    fn what_is_no_list_of_groups_is_refused_without_repeating_it() {
        let list = "f".into();
        for text in [
            "{\"targets\": [\"hunter2\"]}",
            "[{\"targets\": \"hunter2\"}]",
            "[{\"targets\": [{\"hunter2\": 1}]}]",
            "[{\"targets\": [\"a\"], \"labels\": {\"hunter2\": [\"hunter2\"]}}]",
            "[{\"targets\": [\"a\"], \"hunter2\": 1}]",
            "[\"hunter2\"]",
            "[[[[[[[[[[[[\"hunter2\"]]]]]]]]]]]]",
        ] {
            for why in [json(text.as_bytes(), &list), yaml(text, &list)] {
                let why = why.expect_err(text);
                assert!(why.contains("expected a list of groups"), "{text}: {why}");
                assert!(!why.contains("hunter2"), "{why}");
            }
        }
        for half in ["", "[{\"targets\": [\"a", "[] []", "<html>"] {
            let why = json(half.as_bytes(), &list).expect_err(half);
            assert!(why.contains("not JSON"), "{half}: {why}");
        }
        for bad in [
            "- {targets: [a]}\n---\n[]",
            "- targets: [a",
            "[{targets: [a], targets: [b]}]",
            "- !x {targets: [a]}",
            "a: &a [*a]",
        ] {
            yaml(bad, &list).expect_err(bad);
        }
        assert!(json(b"[null]", &list).is_err());
    }

    #[test]
    fn aliases_cost_nothing_and_what_they_multiply_is_counted() {
        let many = "x, ".repeat(1000);
        let refs = "- { targets: *t }\n".repeat(1000);
        let text = format!("- {{ targets: &t [{many}] }}\n{refs}");
        let why = yaml(&text, &"f".into()).expect_err("a million");
        assert_eq!(why, "more than 200000 targets");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"([ \-\n:,\[\]{}&*!|>'"%@#?~a1.\t]|targets|é){0,60}"#) {
            let _ = yaml(&text, &"f".into());
            let _ = json(text.as_bytes(), &"f".into());
        }
    }
}
