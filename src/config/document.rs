//! From YAML text to values with their places.
//!
//! The `config` crate's own reader gives no places, keeps the last of duplicate keys, and expands
//! aliases without a limit; so the parser's events are read here, and the crate gets the values.

use std::collections::HashMap;

use ::config::{Map, Value, ValueKind};
use yaml_rust2::Yaml;
use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{Marker, ScanError, TScalarStyle};

use super::place::{Path, Places, Source, Spot, Step};
use super::problem::{Problem, Problems};

/// How deep values may nest.
const MAX_DEPTH: usize = 32;
/// How many values a file may hold, aliases expanded.
const MAX_VALUES: usize = 500_000;

type Table = Map<String, Value>;

/// Reads one document. What can be told apart from the rest (a duplicate key) is a problem and
/// reading goes on; where the text is not YAML, there is no value.
pub(super) fn parse(
    text: &str,
    source: Source,
    places: &mut Places,
    problems: &mut Problems,
) -> Option<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        source,
        places,
        problems,
        open: Vec::new(),
        path: Path::default(),
        anchors: HashMap::new(),
        values: 0,
        root: None,
    };
    match reader.read(text) {
        Ok(()) => {
            let root = reader.root.take();
            Some(root.unwrap_or_else(|| places.value(source, Spot::default(), None, Table::new())))
        }
        Err(stop) => {
            let place = reader.places.place(source, stop.spot);
            let mut problem = Problem::new(place, &Path::default(), stop.message);
            problem.help = stop.help.map(str::to_owned);
            reader.problems.push(problem);
            None
        }
    }
}

/// Why reading cannot go on.
struct Stop {
    spot: Spot,
    message: String,
    help: Option<&'static str>,
}

impl Stop {
    fn new(mark: Marker, message: impl Into<String>) -> Self {
        Self {
            spot: spot(mark),
            message: message.into(),
            help: None,
        }
    }
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        let info = error.info();
        Self {
            help: info.contains("tab").then_some("indent with spaces"),
            ..Self::new(*error.marker(), format!("not valid YAML: {info}"))
        }
    }
}

/// A list or mapping whose end has not come yet.
struct Open {
    spot: Spot,
    anchor: usize,
    /// Values in it so far, for the expansion of aliases.
    values: usize,
    content: Content,
}

enum Content {
    List(Vec<Value>),
    Mapping(Table, Option<(String, Spot)>),
}

struct Reader<'a> {
    source: Source,
    places: &'a mut Places,
    problems: &'a mut Problems,
    open: Vec<Open>,
    path: Path,
    anchors: HashMap<usize, (Value, usize)>,
    values: usize,
    root: Option<Value>,
}

impl Reader<'_> {
    fn read(&mut self, text: &str) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        loop {
            let (event, mark) = parser.next_token()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Stop::new(
                            mark,
                            "a second document starts here, but a file holds one",
                        ));
                    }
                }
                event => self.event(event, mark)?,
            }
        }
    }

    fn event(&mut self, event: Event, mark: Marker) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_ref(), mark);
                self.scalar(text, style, anchor, mark)?;
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), mark);
                self.begin(Content::List(Vec::new()), anchor, mark)?;
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_ref(), mark);
                self.begin(Content::Mapping(Table::new(), None), anchor, mark)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(mark)?,
            Event::Alias(anchor) => self.alias(anchor, mark)?,
            _ => {}
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                content: Content::Mapping(_, None),
                ..
            })
        )
    }

    fn key(&mut self, text: String, mark: Marker) {
        self.path.push(Step::Key(text.as_str().into()));
        if let Some(Open {
            content: Content::Mapping(_, pending),
            ..
        }) = self.open.last_mut()
        {
            *pending = Some((text, spot(mark)));
        }
    }

    fn scalar(
        &mut self,
        text: String,
        style: TScalarStyle,
        anchor: usize,
        mark: Marker,
    ) -> Result<(), Stop> {
        if self.expects_key() {
            self.key(text, mark);
            return Ok(());
        }
        let kind = match style {
            TScalarStyle::Plain => plain(&text),
            _ => ValueKind::String(text.clone()),
        };
        let written = match kind {
            ValueKind::String(_) | ValueKind::Nil => None,
            _ => Some(text.as_str()),
        };
        let value = self.places.value(self.source, spot(mark), written, kind);
        self.complete(value, 1, anchor, mark)
    }

    fn begin(&mut self, content: Content, anchor: usize, mark: Marker) -> Result<(), Stop> {
        if self.expects_key() {
            return Err(Stop::new(mark, "a list or a mapping cannot be a key"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Stop::new(
                mark,
                format!("values are nested deeper than {MAX_DEPTH}"),
            ));
        }
        if let Content::List(_) = content {
            self.path.push(Step::Index(0));
        }
        self.open.push(Open {
            spot: spot(mark),
            anchor,
            values: 1,
            content,
        });
        Ok(())
    }

    fn end(&mut self, mark: Marker) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let kind = match open.content {
            Content::List(list) => {
                self.path.pop();
                ValueKind::Array(list)
            }
            Content::Mapping(table, _) => ValueKind::Table(table),
        };
        let value = self.places.value(self.source, open.spot, None, kind);
        self.complete(value, open.values, open.anchor, mark)
    }

    fn alias(&mut self, anchor: usize, mark: Marker) -> Result<(), Stop> {
        if self.expects_key() {
            return Err(Stop::new(mark, "an alias cannot be a key"));
        }
        let Some((value, values)) = self.anchors.get(&anchor) else {
            return Err(Stop::new(mark, "the alias stands inside its own anchor"));
        };
        if self.values + values > MAX_VALUES {
            return Err(too_many(mark));
        }
        // The alias itself is counted with every other value.
        self.values += values - 1;
        let (kind, values) = (value.kind.clone(), *values);
        let written = self.places.text(value).map(str::to_owned);
        let value = self
            .places
            .value(self.source, spot(mark), written.as_deref(), kind);
        self.complete(value, values, 0, mark)
    }

    /// Puts a value where it belongs.
    fn complete(
        &mut self,
        value: Value,
        values: usize,
        anchor: usize,
        mark: Marker,
    ) -> Result<(), Stop> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(too_many(mark));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), values));
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        parent.values += values;
        match &mut parent.content {
            Content::List(list) => {
                list.push(value);
                let next = list.len();
                self.path.pop();
                self.path.push(Step::Index(next));
            }
            Content::Mapping(table, pending) => {
                if let Some((key, at)) = pending.take() {
                    self.places.set_key(&value, at);
                    match table.get(&key) {
                        Some(first) => {
                            let first = self.places.of_key(first);
                            let place = self.places.place(self.source, at);
                            self.problems.push(Problem::new(
                                place,
                                &self.path,
                                format!("this key was given before, at {first}"),
                            ));
                        }
                        None => {
                            table.insert(key, value);
                        }
                    }
                }
                self.path.pop();
            }
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, mark: Marker) {
        if tag.is_some() {
            let place = self.places.place(self.source, spot(mark));
            self.problems.push(
                Problem::new(place, &self.path, "tags (`!…`) are not supported")
                    .help("put quotes around what is to be text"),
            );
        }
    }
}

fn too_many(mark: Marker) -> Stop {
    Stop::new(mark, format!("more than {MAX_VALUES} values"))
}

/// What a scalar without quotes is.
fn plain(text: &str) -> ValueKind {
    match Yaml::from_str(text) {
        Yaml::Integer(number) => ValueKind::I64(number),
        Yaml::Boolean(truth) => ValueKind::Boolean(truth),
        Yaml::Real(number) => ValueKind::Float(number.parse().unwrap_or(f64::NAN)),
        Yaml::Null => ValueKind::Nil,
        _ => ValueKind::String(text.to_owned()),
    }
}

fn spot(mark: Marker) -> Spot {
    Spot {
        line: mark.line(),
        column: mark.col() + 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::place::Lines;
    use super::*;

    fn read(text: &str) -> (Option<Value>, String) {
        let mut places = Places::default();
        let mut problems = Problems::default();
        let source = places.add_source("f", Lines::Shown);
        let value = parse(text, source, &mut places, &mut problems);
        (value, problems.to_string())
    }

    #[test]
    fn values_keep_their_types_and_aliases_are_expanded() {
        let (value, problems) =
            read("a: &x [1, '1', 1.5, true, ~, yes, 1.10]\nb: *x\nTeam: {k: v}\n");
        assert_eq!(problems, "");
        let Some(ValueKind::Table(table)) = value.map(|v| v.kind) else {
            panic!("a table");
        };
        let kinds = |key: &str| match &table[key].kind {
            ValueKind::Array(list) => list.iter().map(|v| v.kind.clone()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let expected = [
            ValueKind::I64(1),
            ValueKind::String("1".into()),
            ValueKind::Float(1.5),
            ValueKind::Boolean(true),
            ValueKind::Nil,
            ValueKind::String("yes".into()),
            ValueKind::Float(1.1),
        ];
        assert_eq!(kinds("a"), expected);
        assert_eq!(kinds("b"), expected);
        assert!(table.contains_key("Team"), "the case of keys is kept");
    }

    #[test]
    fn what_would_grow_without_bound_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(
                &[
                    "a",
                    &i.to_string(),
                    ": &a",
                    &i.to_string(),
                    " [",
                    &refs,
                    "]\n",
                ]
                .concat(),
            );
        }
        assert!(read(&bomb).1.contains("more than 500000 values"));
        assert!(read(&"[".repeat(100)).1.contains("nested deeper"));
        assert!(read(&"- ".repeat(100_000)).1.contains("nested deeper"));
        assert!(read("a: &x [*x]").1.contains("inside its own anchor"));
    }

    #[test]
    fn an_empty_file_is_an_empty_table() {
        for text in ["", "# nothing\n", "\u{feff}", "\n\n"] {
            let (value, problems) = read(text);
            assert_eq!(problems, "");
            assert_eq!(value.expect("a value").kind, ValueKind::Table(Map::new()));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"([ \-\n:,\[\]{}&*!|>'"%@#?~a1.\t]|é){0,60}"#) {
            read(&text);
        }
    }
}
