//! A dashboard: its frame, and where its panels are.

use serde_json::{Value, json};

use super::annotation::Annotation;
use super::link;
use super::panel::Panel;
use super::variable::Variable;

/// The last version of the classic model: what older Grafanas read, and newer ones translate.
/// Nothing needs an option that 10.4 does not have.
const SCHEMA: u32 = 42;

/// How many columns Grafana has.
const COLUMNS: u32 = 24;

/// What every query asks: the Prometheus that is chosen at the top.
pub(super) fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// One dashboard.
pub(crate) struct Dashboard {
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    variables: Vec<Variable>,
    annotations: Vec<Annotation>,
    rows: Vec<Row>,
}

/// Panels under a heading.
pub(crate) struct Row {
    title: &'static str,
    panels: Vec<Panel>,
    collapsed: bool,
}

/// Panels under a heading, from left to right and on the next line where there is no more room.
pub(crate) fn row(title: &'static str, panels: Vec<Panel>) -> Row {
    Row {
        title,
        panels,
        collapsed: false,
    }
}

/// The same, of which only the heading is seen until it is opened, and which asks nothing until then.
pub(crate) fn collapsed_row(title: &'static str, panels: Vec<Panel>) -> Row {
    Row {
        collapsed: true,
        ..row(title, panels)
    }
}

impl Dashboard {
    /// A dashboard with the name by which others lead to it.
    pub(crate) fn new(uid: &'static str, title: &'static str, description: &'static str) -> Self {
        Self {
            uid,
            title,
            description,
            variables: Variable::common(),
            annotations: vec![Annotation::alerts()],
            rows: Vec::new(),
        }
    }

    /// One more choice; it may build on those before it.
    pub(crate) fn chooses(mut self, variable: Variable) -> Self {
        self.variables.push(variable);
        self
    }

    /// One more kind of moments that are marked.
    pub(crate) fn marks(mut self, annotation: Annotation) -> Self {
        self.annotations.push(annotation);
        self
    }

    pub(crate) fn has(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    /// The name of its file.
    pub(crate) fn file(&self) -> String {
        format!("{}.json", self.uid)
    }

    /// Its file.
    pub(crate) fn text(&self) -> String {
        format!("{:#}\n", self.json())
    }

    fn json(&self) -> Value {
        let variables = self.variables.iter().map(Variable::json);
        let variables: Vec<_> = std::iter::once(Variable::source())
            .chain(variables)
            .collect();
        let annotations: Vec<_> = self.annotations.iter().map(Annotation::json).collect();
        json!({
            "annotations": { "list": annotations },
            "description": self.description,
            "editable": false,
            "fiscalYearStartMonth": 0,
            // One cross hair for all panels.
            "graphTooltip": 1,
            "links": [link::others()],
            "panels": self.panels(),
            "refresh": "30s",
            "schemaVersion": SCHEMA,
            "tags": ["hotspare"],
            "templating": { "list": variables },
            "time": { "from": "now-6h", "to": "now" },
            "timepicker": {},
            // Who looks at several regions has several clocks.
            "timezone": "utc",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
            "weekStart": "",
        })
    }

    fn panels(&self) -> Vec<Value> {
        let mut panels = Vec::new();
        let (mut id, mut y) = (1, 0);
        for row in &self.rows {
            let (placed, below) = row.place(id + 1, y + 1);
            let heading = (id, y);
            id += 1 + placed.len();
            if row.collapsed {
                panels.push(row.heading(heading, &placed));
                y += 1;
            } else {
                panels.push(row.heading(heading, &[]));
                panels.extend(placed);
                y = below;
            }
        }
        panels
    }
}

impl Row {
    /// The panels, numbered from `id` and placed from the line `y` on; and the line below them.
    fn place(&self, id: usize, mut y: u32) -> (Vec<Value>, u32) {
        let (mut x, mut tallest) = (0, 0);
        let mut placed = Vec::new();
        for (id, panel) in (id..).zip(&self.panels) {
            let (width, height) = panel.extent();
            if x + width > COLUMNS {
                y += tallest;
                (x, tallest) = (0, 0);
            }
            placed.push(panel.json(id, (x, y)));
            x += width;
            tallest = tallest.max(height);
        }
        (placed, y + tallest)
    }

    fn heading(&self, (id, y): (usize, u32), hidden: &[Value]) -> Value {
        json!({
            "collapsed": self.collapsed,
            "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": y },
            "id": id,
            "panels": hidden,
            "title": self.title,
            "type": "row",
        })
    }
}
