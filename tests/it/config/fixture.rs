//! Files in a folder of their own, and what reading them says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hotspare::config::{Config, Overrides, Plan, Problems, Shared, load, load_and_plan};
use hotspare::net::{Icmp, Names, Resolver, Roots};
use tempfile::TempDir;

pub(super) struct Folder {
    folder: TempDir,
    pub(super) overrides: Overrides,
}

impl Folder {
    pub(super) fn with(text: &str) -> Self {
        let folder = Self {
            folder: tempfile::tempdir().expect("folder"),
            overrides: Overrides::default(),
        };
        folder.add("hotspare.yaml", text)
    }

    pub(super) fn add(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, text).expect("write");
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.overrides.env.insert(name.into(), value.into());
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn load(&self) -> Result<Config, Problems> {
        load(&self.path("hotspare.yaml"), &self.overrides)
    }

    pub(super) fn plan(&self) -> Result<Plan, Problems> {
        load_and_plan(
            &self.path("hotspare.yaml"),
            &self.overrides,
            &shared(),
            None,
        )
    }

    /// What is wrong, one line each, with the folder's name taken out.
    pub(super) fn problems(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        match self.plan() {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string().replace(&folder, ""),
        }
    }
}

pub(super) fn shared() -> Shared {
    Shared {
        icmp: Arc::new(Icmp::new()),
        resolver: Arc::new(Resolver::new(Names::at([]))),
        roots: Arc::new(Roots::default()),
        epoch: hotspare::model::Epoch(1),
        credentials: None,
        named: hotspare::files::Named::default(),
    }
}

/// Overrides with a region as `--region` gives it.
pub(super) fn region(name: &str) -> Overrides {
    Overrides {
        region: Some(name.to_owned()),
        env: BTreeMap::new(),
    }
}
