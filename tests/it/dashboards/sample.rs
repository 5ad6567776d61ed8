//! A small dashboard without a fault, for the checks to find one in.

use serde_json::{Value, json};

use super::board::Board;

pub(super) fn board() -> Board {
    Board {
        file: "hotspare-sample".into(),
        json: json!({
            "uid": "hotspare-sample", "title": "Hotspare / Sample", "description": "A sample.",
            "tags": ["hotspare"], "editable": false, "schemaVersion": 42, "version": 1,
            "graphTooltip": 1, "refresh": "30s", "timezone": "utc",
            "time": { "from": "now-6h", "to": "now" },
            "links": [{
                "asDropdown": true, "icon": "external link", "includeVars": true, "keepTime": true,
                "tags": ["hotspare"], "targetBlank": false, "title": "Hotspare", "tooltip": "",
                "type": "dashboards", "url": ""
            }],
            "annotations": { "list": [{
                "datasource": source(), "enable": true, "iconColor": "red", "name": "Alerts",
                "target": { "refId": "Anno", "expr": "ALERTS{alertstate=\"firing\"}" },
                "titleFormat": "{{alertname}}"
            }] },
            "templating": { "list": [
                {
                    "type": "datasource", "name": "datasource", "label": "Data source",
                    "query": "prometheus", "multi": false, "includeAll": false
                },
                variable("job", "Job", "label_values(hotspare_build_info, job)"),
                variable("instance", "Instance", "label_values(hotspare_build_info{job=~\"$job\"}, instance)"),
            ] },
            "panels": [
                panel(1, "Runs", 0, &json!({
                    "datasource": source(), "refId": "A", "legendFormat": "{{kind}}", "range": true,
                    "expr": "sum by (kind) (rate(hotspare_probe_attempts_total{job=~\"$job\",instance=~\"$instance\"}[$__rate_interval]))"
                })),
                panel(2, "Up", 8, &json!({
                    "datasource": source(), "refId": "A", "legendFormat": "{{target}}", "range": true,
                    "expr": "min by (target) (hotspare_probe_up{job=~\"$job\",instance=~\"$instance\"})"
                })),
            ]
        }),
    }
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "type": "query", "name": name, "label": label, "datasource": source(), "refresh": 2,
        "multi": true, "includeAll": true, "allValue": ".+", "definition": query,
        "query": { "query": query, "refId": "Variable" },
        "current": { "text": ["All"], "value": ["$__all"] }
    })
}

fn panel(id: u64, title: &str, y: u64, target: &Value) -> Value {
    json!({
        "id": id, "type": "timeseries", "title": title, "description": "What it shows.",
        "datasource": source(), "gridPos": { "x": 0, "y": y, "w": 24, "h": 8 },
        "fieldConfig": {
            "defaults": { "unit": "ops", "custom": { "drawStyle": "line" }, "mappings": [{
                "type": "value", "options": { "1": { "text": "yes", "color": "green", "index": 0 } }
            }] },
            "overrides": []
        },
        "options": {
            "legend": { "displayMode": "table", "placement": "right", "showLegend": true, "calcs": ["mean"] },
            "tooltip": { "mode": "multi", "sort": "desc" }
        },
        "targets": [target]
    })
}
