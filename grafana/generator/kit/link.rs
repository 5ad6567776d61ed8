//! Ways from one dashboard to the next.

use serde_json::{Value, json};

/// From every dashboard to all others, with what is chosen and the time range.
pub(super) fn others() -> Value {
    json!({
        "asDropdown": true,
        "icon": "external link",
        "includeVars": true,
        "keepTime": true,
        "tags": ["hotspare"],
        "targetBlank": false,
        "title": "Hotspare",
        "tooltip": "",
        "type": "dashboards",
        "url": "",
    })
}

/// From a value to a dashboard, with what every dashboard lets choose; `choices` are the variables there, each with what it is to be.
pub(super) fn to(title: &str, dashboard: &str, choices: &[(&str, &str)]) -> Value {
    let choices = choices
        .iter()
        .fold(String::new(), |choices, (name, value)| {
            choices + "var-" + name + "=" + value + "&"
        });
    json!({
        "targetBlank": false,
        "title": title,
        "url": format!(
            "/d/{dashboard}?${{datasource:queryparam}}&${{job:queryparam}}&${{instance:queryparam}}&{choices}${{__url_time_range}}"
        ),
    })
}

/// From the name of an alert to what to do about it.
pub(super) fn runbook() -> Value {
    json!({
        "targetBlank": true,
        "title": "Runbook of ${__value.text}",
        "url": "https://github.com/hotspare/hotspare/blob/main/docs/runbooks/${__value.text}.md",
    })
}
