//! The architecture, held: a module imports only from lower layers, and a kind never sees a
//! sibling kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hotspare::probe::Check;

/// The layer of each top-level module; the crate's documentation has the same table.
const LAYERS: [(&str, u8); 19] = [
    ("model", 0),
    ("files", 1),
    ("net", 1),
    ("metrics", 1),
    ("store", 1),
    ("probe", 2),
    ("readiness", 2),
    ("notify", 2),
    ("discover", 3),
    ("rule", 3),
    ("config", 4),
    ("schedule", 4),
    ("evaluate", 4),
    ("deliver", 4),
    ("server", 4),
    ("app", 5),
    ("demo", 6),
    ("cli", 7),
    ("main", 8),
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("UTF-8");
                files.push((path.strip_prefix(&root).expect("below").to_owned(), text));
            }
        }
    }
    files
}

/// The top-level module that a file belongs to.
fn module_of(path: &Path) -> String {
    let first = path.components().next().expect("not empty");
    let name = first.as_os_str().to_string_lossy();
    name.trim_end_matches(".rs").to_owned()
}

/// The names that follow `prefix` in the code, comments left out.
fn names_after(text: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices(prefix) {
            let rest = &line[at + prefix.len()..];
            for item in rest.trim_start_matches('{').split(',') {
                let name: String = item
                    .trim()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                names.push(name);
                if !rest.starts_with('{') {
                    break;
                }
            }
        }
    }
    names
}

#[test]
fn modules_import_only_from_lower_layers() {
    let layers: BTreeMap<_, _> = LAYERS.into_iter().collect();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let own = layers
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{module} has no layer: add it to LAYERS and to lib.rs"));
        for name in names_after(&text, "crate::") {
            if let Some(layer) = layers.get(name.as_str())
                && layer >= own
                && name != module
            {
                wrong.push(format!("{}: {module} imports {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_layer_in_the_table_is_a_module_and_documented() {
    let files = sources();
    let lib = &files
        .iter()
        .find(|(p, _)| p == Path::new("lib.rs"))
        .expect("lib.rs")
        .1;
    for (module, _) in LAYERS {
        assert!(
            files.iter().any(|(path, _)| module_of(path) == module),
            "no module {module}"
        );
        assert!(
            module == "main" || lib.contains(&format!("[`{module}`]")),
            "lib.rs: {module}"
        );
    }
}

#[test]
fn a_kind_is_known_to_its_parent_only() {
    let mut wrong = Vec::new();
    let files = sources();
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("probe")) {
        let own = path.components().nth(1).expect("below").as_os_str();
        let own = own.to_string_lossy();
        let own = own.trim_end_matches(".rs");
        for prefix in ["super::super::", "super::", "crate::probe::"] {
            for name in names_after(text, prefix) {
                if Check::KINDS.contains(&&*name) && name != own {
                    wrong.push(format!("{}: sees {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn layer_zero_does_no_io() {
    for (path, text) in sources() {
        if module_of(&path) == "model" {
            let code: Vec<_> = text
                .lines()
                .filter(|l| !l.trim_start().starts_with("//"))
                .collect();
            for banned in ["tokio", "std::fs", "std::net::Tcp", "std::net::Udp"] {
                let found = code.iter().find(|line| line.contains(banned));
                assert_eq!(found, None, "{}", path.display());
            }
        }
    }
}

#[test]
fn the_reader_of_imports_sees_groups_and_skips_comments() {
    assert_eq!(
        names_after("use crate::{net, model};", "crate::"),
        ["net", "model"]
    );
    assert_eq!(
        names_after("// use crate::app;", "crate::"),
        Vec::<String>::new()
    );
    assert_eq!(
        names_after("let x = crate::probe::Check;", "crate::"),
        ["probe"]
    );
}
