//! What a page of metrics costs, and what one observation does.
//!
//! `cargo bench --bench exposition`
#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot go on may panic"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use divan::Bencher;
use hotspare::config::buckets::{DURATION, PHASE};
use hotspare::metrics::{Buckets, Format, Own, Store, Terms, encode};
use hotspare::model::{
    FactSet, Facts, HttpFacts, Laps, Phase, PhaseSet, Reason, ReasonSet, Reply, Sample, Shape,
    Target, TargetKey,
};
use tokio::time::Instant;

const TARGETS: u32 = 5_000;

fn main() {
    report();
    divan::main();
}

/// A kind with nothing but its duration: the case that is compared with other exporters.
const BARE: Shape = Shape {
    phases: PhaseSet::of(&[]),
    reasons: ReasonSet::of(&[]),
    facts: FactSet {
        version: false,
        addresses: false,
        ping: false,
        http: false,
        tls: false,
        dns: false,
        database: false,
        replication: false,
        tls_unverified: false,
        value: false,
        manager: false,
    },
};

/// What an HTTP probe of a name brings.
const HTTP: Shape = Shape {
    phases: PhaseSet::of(&[
        Phase::Resolve,
        Phase::Connect,
        Phase::Tls,
        Phase::Processing,
        Phase::Transfer,
    ]),
    reasons: ReasonSet::RESOLVE
        .and(ReasonSet::CONNECT)
        .and(ReasonSet::TLS)
        .and(ReasonSet::of(&[
            Reason::Protocol,
            Reason::TooLarge,
            Reason::TimeoutProcessing,
            Reason::TimeoutTransfer,
            Reason::Status,
            Reason::Header,
            Reason::Body,
            Reason::Redirect,
        ])),
    facts: FactSet {
        addresses: true,
        http: true,
        tls: true,
        ..BARE.facts
    },
};

/// A store in which every target has been probed a few times.
fn store(shape: &Shape) -> Store {
    let store = Store::new();
    let buckets = |bounds: &[f64]| Arc::new(Buckets::new(bounds).expect("valid"));
    let (durations, phases) = (buckets(&DURATION), buckets(&PHASE));
    for i in 0..TARGETS {
        let target = Target {
            probe: "checkout".into(),
            kind: "http",
            source_region: "eu-west".into(),
            target_region: "us-east".into(),
            name: format!("node-{i:05}").into(),
            address: format!("https://10.3.{}.{}/healthz", i / 250, i % 250).into(),
            labels: BTreeMap::new(),
        };
        let terms = Terms {
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            objective: None,
        };
        let (durations, phases) = (Arc::clone(&durations), Arc::clone(&phases));
        let key = TargetKey(i);
        store
            .insert(key, &target, shape, durations, phases, terms)
            .expect("inserted");
        for micros in [80, 950, 40_000, 41_000, 120_000] {
            assert!(store.observe_sample(&sample(key, shape, micros)));
        }
    }
    store
}

fn sample(target: TargetKey, shape: &Shape, micros: u64) -> Sample {
    let due = Instant::now().into_std();
    let took = Duration::from_micros(micros);
    let mut laps = Laps::default();
    for phase in shape.phases.iter() {
        laps.add(phase, took / 5);
    }
    let http = HttpFacts {
        status: 200,
        version: "1.1",
        body_bytes: 512,
        redirects: 0,
    };
    Sample {
        target,
        due,
        started: due,
        ended: due + took,
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
        laps,
        outcome: Ok(Reply {
            latencies: [took].into_iter().collect(),
            facts: Facts {
                http: shape.facts.http.then_some(http),
                ..Facts::default()
            },
        }),
    }
}

fn own() -> Own {
    Own::new("0.0.0", "bench", SystemTime::UNIX_EPOCH).expect("declared right")
}

/// Sizes, which tell what the times are for.
#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn report() {
    // All stores before any page, whose memory would blur theirs.
    let stores = [("durations", &BARE), ("http", &HTTP)].map(|(name, shape)| {
        let before = resident();
        let store = store(shape);
        let grown = resident().saturating_sub(before);
        (name, store, grown / u64::from(TARGETS))
    });
    for (name, store, bytes) in stores {
        let size = |gzip| {
            let parts = encode(&store, &own(), Format::Text, gzip, Vec::new()).expect("encoded");
            parts.iter().map(bytes::Bytes::len).sum::<usize>() / 1_000
        };
        let (plain, packed) = (size(false), size(true));
        println!(
            "{name}: {TARGETS} targets of {bytes} B resident; page of {} series, {plain} kB, \
             gzip {packed} kB",
            store.series(),
        );
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[divan::bench(args = [(Format::Text, false), (Format::OpenMetrics, false), (Format::Text, true)])]
fn page_of_durations(bencher: Bencher<'_, '_>, (format, gzip): (Format, bool)) {
    page(bencher, &BARE, format, gzip);
}

#[divan::bench(args = [false, true])]
fn page_of_http_targets(bencher: Bencher<'_, '_>, gzip: bool) {
    page(bencher, &HTTP, Format::Text, gzip);
}

/// One page after the other, each in the memory of the one before, as the daemon does it.
fn page(bencher: Bencher<'_, '_>, shape: &Shape, format: Format, gzip: bool) {
    let (store, own) = (store(shape), own());
    let mut page = Vec::new();
    bencher.bench_local(|| {
        let old = std::mem::take(&mut page);
        page = encode(&store, &own, format, gzip, old).expect("encoded");
    });
}

#[divan::bench]
fn one_observation(bencher: Bencher<'_, '_>) {
    let store = store(&HTTP);
    let samples: Vec<_> = (0..TARGETS)
        .map(|i| sample(TargetKey(i), &HTTP, 40_000))
        .collect();
    let mut next = samples.iter().cycle();
    bencher.bench_local(|| next.next().map(|sample| store.observe_sample(sample)));
}
