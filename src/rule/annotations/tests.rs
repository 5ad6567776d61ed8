use super::*;

fn templates(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, text)| ((*name).into(), (*text).to_owned()))
        .collect()
}

fn labels() -> Labels {
    Labels::from([
        ("target_region".into(), "north".into()),
        ("probe".into(), "net".into()),
    ])
}

fn values(labels: &Labels) -> Values<'_> {
    Values {
        rule: "InterRegionLatencyHigh",
        severity: "warning",
        what: "the p95 latency over 5m",
        about: "net to north".to_owned(),
        labels,
        value: Some(0.212_34),
        threshold: Some(0.15),
        beyond: Beyond::Above,
        unit: Some(Unit::Seconds),
        source_region: "south",
        detail: None,
        since: 1_795_277_100.5,
    }
}

/// What a template says.
fn said(template: &str, values: &Values<'_>) -> String {
    let annotations = Annotations::new(templates(&[("a", template)])).expect("a template");
    annotations.of(values)["a"].to_string()
}

/// Why something is no template.
fn refused(template: &str) -> String {
    let faults = Annotations::new(templates(&[("a", template)])).expect_err("refused");
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].1.clone()
}

#[test]
fn without_templates_it_says_what_where_since_when_and_from_where() {
    let labels = labels();
    let none = Annotations::new(BTreeMap::new()).expect("none");
    let mut values = values(&labels);
    let said = none.of(&values);
    let names: Vec<_> = said.keys().map(|name| &**name).collect();
    assert_eq!(names, ["description", "source_region", "summary", "value"]);
    let summary = "net to north: the p95 latency over 5m is 212.3ms (threshold: above 150ms)";
    assert_eq!(&*said["summary"], summary);
    assert_eq!(&*said["value"], "212.3ms");
    assert_eq!(&*said["source_region"], "south");
    let since = "As seen from south, this is so since 2026-11-21 16:05:00 UTC.";
    assert_eq!(*said["description"], format!("{summary}. {since}"));

    values.value = None;
    values.about = "standby north of shop".to_owned();
    values.what = "not ready";
    values.detail = Some("not ready: link: silent".to_owned());
    let said = none.of(&values);
    assert_eq!(&*said["summary"], "standby north of shop: not ready");
    assert!(said["description"].ends_with(" UTC. not ready: link: silent."));
    assert!(!said.contains_key("value"));
}

#[test]
fn a_template_speaks_of_the_alerts_own_values() {
    let labels = labels();
    let values = values(&labels);
    for (template, text) in [
        (
            "p95 to {{ labels.target_region }} is {{ value | seconds }}",
            "p95 to north is 212.3ms",
        ),
        (
            "{{ threshold | seconds }} {{ rule }} {{ severity }}",
            "150ms InterRegionLatencyHigh warning",
        ),
        (
            "{{ what }} of {{ about }} from {{ source_region }}",
            "the p95 latency over 5m of net to north from south",
        ),
        (
            "{{ 0.0517 | percent }} {{ 3145728 | bytes }} {{ 5400 | seconds }}",
            "5.17% 3MiB 1h30m",
        ),
        ("{{ since | timestamp }}", "2026-11-21 16:05:00 UTC"),
        ("{% if value > threshold %}over{% endif %}", "over"),
        ("<{{ labels.probe | upper }}>", "<NET>"),
    ] {
        assert_eq!(said(template, &values), text, "{template}");
    }
}

#[test]
fn what_is_missing_or_no_number_is_text() {
    let labels = labels();
    let mut values = values(&labels);
    values.value = None;
    values.threshold = Some(f64::NAN);
    for (template, text) in [
        (
            "{{ value }} {{ value | seconds }} {{ threshold | bytes }}",
            "unknown unknown unknown",
        ),
        (
            "{{ labels.nope }} {{ labels.nope.more }} {{ detail }}",
            "unknown unknown unknown",
        ),
        (
            "{{ rule | seconds }} {{ labels | percent }}",
            "InterRegionLatencyHigh unknown",
        ),
        (
            "{{ 1e300 | timestamp }} {{ -1 | timestamp }}",
            "unknown 1969-12-31 23:59:59 UTC",
        ),
        ("{{ detail | default('nothing', true) }}", "nothing"),
    ] {
        assert_eq!(said(template, &values), text, "{template}");
    }
    // It worked with the values of the example.
    let text = said("{{ value * 1000 }} ms", &values);
    assert!(text.starts_with("cannot be written: "), "{text}");
}

#[test]
fn what_is_no_template_is_found_when_the_configuration_is_read() {
    for (template, part) in [
        ("{{ value", "syntax error"),
        (
            "{{ vaule }}",
            "there is no `vaule`: a template knows about, detail, labels,",
        ),
        ("{{ value | second }}", "second"),
        ("{% include 'other' %}", ""),
        ("{{ value.foo() }}", "foo"),
        ("{% for i in range(100000) %}{{ i }}{% endfor %}", "fuel"),
    ] {
        let why = refused(template);
        assert!(why.contains(part), "{template}: {why}");
    }
    let bad = templates(&[("run-book", "x"), ("1st", "x"), ("ok", "x"), ("sum", "{{")]);
    let faults = Annotations::new(bad).expect_err("refused");
    let names: Vec<_> = faults.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["1st", "run-book", "sum"]);
    let many = (0..33).map(|n| (format!("a{n:02}").into(), String::new()));
    let faults = Annotations::new(many.collect()).expect_err("refused");
    assert_eq!(faults.len(), 1);
}

#[test]
fn what_is_too_long_is_cut_between_two_characters() {
    let labels = labels();
    let mut values = values(&labels);
    let text = said("{% for i in range(3000) %}ü{% endfor %}", &values);
    assert_eq!(text.len(), MAX_LENGTH - 1);
    assert!(text.ends_with("ü…"));
    let whole = "x".repeat(MAX_LENGTH);
    assert_eq!(said(&whole, &values), whole);
    values.detail = Some("ü".repeat(3_000));
    let none = Annotations::new(BTreeMap::new()).expect("none");
    assert!(none.of(&values)["description"].len() <= MAX_LENGTH);
}

#[test]
fn the_rules_own_words_come_before_ours() {
    let labels = labels();
    let own = templates(&[
        ("summary", "slow"),
        ("value", "v"),
        ("runbook_url", "https://x/"),
    ]);
    let said = Annotations::new(own)
        .expect("templates")
        .of(&values(&labels));
    assert_eq!(&*said["summary"], "slow");
    assert_eq!(&*said["value"], "v");
    assert_eq!(&*said["runbook_url"], "https://x/");
    assert!(said.contains_key("description"));
}
