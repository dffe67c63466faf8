//! Manifest edges: who depends on whom, and on what from outside.
//!
//! Deliberately absent: versions and licences, which are `deny.toml`'s.

use std::collections::BTreeSet;

use crate::refuse;
use crate::tree;

/// A crate that users build, with everything it may depend on.
struct Library {
    directory: &'static str,
    /// Our own crates it depends on.
    ours: &'static [&'static str],
    /// Crates of others.
    external: &'static [&'static str],
}

/// The layers, lowest first. A new name here is an architecture change with its own reason.
const LIBRARIES: [Library; 4] = [
    Library {
        directory: "engine",
        ours: &[],
        external: &[
            "bytes",
            "crossbeam-utils",
            "io-uring",
            "libc",
            "loom",
            "rustix",
            "socket2",
            "thiserror",
        ],
    },
    Library { directory: "transports/zmtp", ours: &[], external: &["bytes", "thiserror"] },
    Library {
        directory: "transports",
        ours: &["zring-engine", "zring-zmtp"],
        external: &[
            "bytes",
            "crossbeam-utils",
            "fastrand",
            "if-addrs",
            "nix",
            "rustc-hash",
            "rustix",
            "slab",
            "smallvec",
            "socket2",
            "thiserror",
        ],
    },
    Library {
        directory: "sockets",
        ours: &["zring-engine", "zring-transports", "zring-zmtp"],
        external: &["bytes", "core_affinity", "fastrand", "nix", "rustc-hash", "slab", "thiserror"],
    },
];

/// What sees the libraries and is seen by none of them.
const OBSERVERS: [&str; 5] = ["benches", "perf", "tests", "xtask", "fuzz"];

/// One `[dependencies]` entry.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Edge {
    name: String,
    /// A crate of this workspace.
    is_ours: bool,
    /// Only for its tests and benches.
    is_dev: bool,
}

#[test]
fn library_crates_depend_on_exactly_what_is_listed() {
    let mut problems = Vec::new();
    for library in &LIBRARIES {
        let edges = edges(library.directory);
        let mut compare = |what: &str, is_ours: bool, listed: &[&str]| {
            let listed: BTreeSet<_> = listed.iter().map(|name| (*name).to_owned()).collect();
            let found: BTreeSet<_> = edges
                .iter()
                .filter(|edge| edge.is_ours == is_ours && !edge.is_dev)
                .map(|edge| edge.name.clone())
                .collect();
            for name in found.symmetric_difference(&listed) {
                let fault = if found.contains(name) { "not listed" } else { "listed, not used" };
                problems
                    .push(format!("{}/Cargo.toml: {what} `{name}`: {fault}", library.directory));
            }
        };
        compare("our crate", true, library.ours);
        compare("external crate", false, library.external);
    }
    refuse(problems);
}

#[test]
fn tests_of_a_library_see_no_layer_above_it() {
    let mut problems = Vec::new();
    for library in &LIBRARIES {
        let above = edges(library.directory)
            .into_iter()
            .filter(|edge| edge.is_dev && edge.is_ours && !library.ours.contains(&&*edge.name));
        problems.extend(above.map(|edge| format!("{}: {}", library.directory, edge.name)));
    }
    refuse(problems);
}

#[test]
fn every_crate_is_a_library_or_an_observer() {
    let known: Vec<_> =
        LIBRARIES.iter().map(|library| library.directory).chain(OBSERVERS).collect();
    let manifests = tree::files("toml").into_iter();
    let unknown = manifests
        .filter_map(|path| path.strip_suffix("/Cargo.toml").map(str::to_owned))
        .filter(|directory| !known.contains(&directory.as_str()));
    refuse(unknown.map(|directory| format!("{directory}/Cargo.toml: in which layer is it?")));
}

/// Everything that the manifest in `directory` names, for whatever target.
fn edges(directory: &str) -> BTreeSet<Edge> {
    let manifest = manifest(&format!("{directory}/Cargo.toml"));
    let workspace = manifest_of_workspace();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables =
        targets.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table);
    let mut edges = BTreeSet::new();
    for table in tables.chain([&manifest]) {
        for (section, is_dev) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            let entries = table.get(section).and_then(toml::Value::as_table);
            for (name, value) in entries.into_iter().flatten() {
                let is_ours = [Some(value), workspace.get(name)]
                    .into_iter()
                    .flatten()
                    .any(|value| value.get("path").is_some());
                edges.insert(Edge { name: name.clone(), is_ours, is_dev });
            }
        }
    }
    edges
}

fn manifest_of_workspace() -> toml::Table {
    let manifest = manifest("Cargo.toml");
    let dependencies = manifest["workspace"]["dependencies"].as_table();
    dependencies.expect("a table of shared versions").clone()
}

fn manifest(path: &str) -> toml::Table {
    tree::read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}
