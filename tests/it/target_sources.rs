//! Targets that are found in files, over HTTP and in DNS, and what becomes of them.

mod daemon;
mod files;
mod lists;
mod planned;
mod services;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotspare::config::{Document, Overrides, Plan, Problems, Shared};
use hotspare::discover::{Discovery, SourceFigures, Which};
use hotspare::files::Named;
use hotspare::model::Epoch;
use hotspare::net::{Icmp, Names, Resolver, Roots};
use tempfile::TempDir;

use crate::process::PATIENCE;

const HEAD: &str = "region: a\nregions: [{ name: a }, { name: b }, { name: c }]\n";

/// A file of three regions with one probe, which has these keys.
fn with_probe(keys: &str) -> String {
    format!("{HEAD}probes:\n  - name: p\n    check: {{ tcp: }}\n    {keys}\n")
}

/// A configuration in a folder of its own, and its sources.
struct Fleet {
    folder: TempDir,
    shared: Shared,
    document: Document,
    discovery: Discovery,
}

impl Fleet {
    /// Reads the configuration, once `prepare` has put more files beside it. Nothing has been asked yet.
    fn new(config: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::resolving(config, Names::at([]), prepare)
    }

    fn resolving(config: &str, names: Names, prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("hotspare.yaml");
        std::fs::write(&path, config).expect("write");
        prepare(folder.path());
        let shared = Shared {
            icmp: Arc::new(Icmp::new()),
            resolver: Arc::new(Resolver::new(names)),
            roots: Arc::new(Roots::default()),
            epoch: Epoch(1),
            credentials: None,
            named: Named::default(),
        };
        let document = Document::read(&path, &Overrides::default());
        let discovery = Discovery::new(document.sources(&shared));
        Self {
            folder,
            shared,
            document,
            discovery,
        }
    }

    async fn first(mut self) -> Self {
        self.discovery.first(Which::All).await;
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn replan(&self) -> Result<Plan, Problems> {
        self.document
            .plan(&self.shared, &self.discovery.discovered(), None)
    }

    fn plan(&self) -> Plan {
        self.replan()
            .unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// The planned targets: region, name and address.
    fn targets(&self) -> Vec<String> {
        let plan = self.plan();
        let targets = plan.targets.iter().map(|of| &of.target);
        let targets = targets.map(|of| format!("{} {} {}", of.target_region, of.name, of.address));
        targets.collect()
    }

    /// What is told of the only source.
    fn figures(&self) -> SourceFigures {
        let mut all = self.discovery.figures().all();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn fault(&self) -> String {
        self.figures().fault.unwrap_or_default()
    }

    /// Waits for the next change, and gives the targets then.
    async fn changed(&mut self) -> Vec<String> {
        let changed = tokio::time::timeout(PATIENCE, self.discovery.changed());
        changed.await.expect("a change");
        self.targets()
    }

    /// Asks again and again until the source is as wanted; what it gave must stay the same.
    async fn until(&mut self, what: &str, wanted: impl Fn(&SourceFigures) -> bool) {
        let figures = self.discovery.figures();
        let reached = async {
            while !wanted(&figures.all()[0]) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = self.discovery.changed() => panic!("changed before: {what}"),
            reached = tokio::time::timeout(PATIENCE, reached) => reached.expect(what),
        }
    }
}
