//! The arrows between crates: those of the table in the architecture page, and no others.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use xtask::command::{cargo, output};

/// One line of the architecture's crate table.
struct Crate {
    name: &'static str,
    may_use: MayUse,
    /// External crates that no other crate of the product may use directly.
    sole_user_of: &'static [&'static str],
    /// No I/O and no async anywhere below it.
    pure: bool,
}

enum MayUse {
    Only(&'static [&'static str]),
    All,
}
use MayUse::{All, Only};

const fn product(name: &'static str, may_use: MayUse, sole_user_of: &'static [&'static str]) -> Crate {
    Crate { name, may_use, sole_user_of, pure: false }
}

const fn pure(name: &'static str, may_use: MayUse, sole_user_of: &'static [&'static str]) -> Crate {
    Crate { name, may_use, sole_user_of, pure: true }
}

const TABLE: &[Crate] = &[
    pure("deltafold-event", Only(&[]), &[]),
    pure("deltafold-cdc", Only(&["deltafold-event"]), &["apache-avro", "sonic-rs"]),
    product("deltafold-source", Only(&["deltafold-event"]), &["rdkafka"]),
    product(
        "deltafold-ingest",
        Only(&["deltafold-event", "deltafold-cdc", "deltafold-source", "deltafold-store"]),
        &[],
    ),
    product("deltafold-store", Only(&["deltafold-event"]), &["deltalake"]),
    pure("deltafold-relation", Only(&["deltafold-event"]), &[]),
    product("deltafold-projection", Only(&["deltafold-event", "deltafold-relation"]), &[]),
    product("deltafold-view", Only(&["deltafold-event"]), &["fjall"]),
    product(
        "deltafold-projector",
        Only(&["deltafold-event", "deltafold-store", "deltafold-relation", "deltafold-projection", "deltafold-view"]),
        &[],
    ),
    product(
        "deltafold-api",
        Only(&["deltafold-event", "deltafold-store", "deltafold-projection", "deltafold-view", "deltafold-projector"]),
        &["async-graphql", "axum", "jsonwebtoken"],
    ),
    product("deltafold", All, &["clap", "metrics-exporter-prometheus"]),
];

/// Not part of the product: they may use everything, for they measure and attack it.
const TOOLS: &[&str] = &["xtask", "deltafold-tests"];

/// What does I/O, or async, and so cannot lie below a pure crate.
const IO: &[&str] = &[
    "async-trait",
    "deltalake",
    "fjall",
    "futures",
    "hyper",
    "mio",
    "object_store",
    "rdkafka",
    "reqwest",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
];

/// Compares `cargo metadata` with the table.
pub(crate) fn check() -> Result<()> {
    let text = output("cargo metadata", cargo().args(["metadata", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text).context("parse cargo metadata")?;
    let complaints = complaints(&metadata)?;
    if complaints.is_empty() {
        eprintln!("xtask: crate arrows: as in the table");
        return Ok(());
    }
    bail!("crate arrows (the table is in crates/xtask/src/check/arrows.rs):\n  {}", complaints.join("\n  "));
}

fn complaints(metadata: &Value) -> Result<Vec<String>> {
    let members: BTreeSet<&str> = array(metadata, "workspace_members")?.iter().filter_map(Value::as_str).collect();
    let packages: BTreeMap<&str, &Value> =
        array(metadata, "packages")?.iter().filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let ours: BTreeSet<&str> = members.iter().filter_map(|id| packages.get(id)?["name"].as_str()).collect();
    let below = normal_edges(metadata)?;

    let mut complaints = Vec::new();
    for id in &members {
        let package = packages.get(id).with_context(|| format!("no package {id} in cargo metadata"))?;
        let name = package["name"].as_str().context("a package without a name")?;
        if TOOLS.contains(&name) {
            continue;
        }
        let Some(row) = TABLE.iter().find(|row| row.name == name) else {
            complaints.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in array(package, "dependencies")?.iter().filter_map(|dependency| dependency["name"].as_str()) {
            complaints.extend(arrow_complaint(row, dependency, &ours));
        }
        if row.pure {
            let reached = reachable(id, &below);
            for dependency in reached.iter().filter_map(|id| packages.get(id)?["name"].as_str()) {
                if IO.contains(&dependency) {
                    complaints.push(format!(
                        "{name} is pure, but {dependency} lies below it (cargo tree -p {name} -i {dependency})"
                    ));
                }
            }
        }
    }
    Ok(complaints)
}

/// Development dependencies count too: a test that needs another crate belongs in `tests/`.
fn arrow_complaint(row: &Crate, dependency: &str, ours: &BTreeSet<&str>) -> Option<String> {
    if ours.contains(dependency) {
        let allowed = match row.may_use {
            All => true,
            Only(names) => dependency == row.name || names.contains(&dependency),
        };
        return (!allowed).then(|| format!("{} may not use {dependency}", row.name));
    }
    let owner = TABLE.iter().find(|other| other.sole_user_of.contains(&dependency))?;
    (owner.name != row.name).then(|| format!("{} uses {dependency}, whose sole user is {}", row.name, owner.name))
}

/// Package id → the ids it is built from (normal and build dependencies).
fn normal_edges(metadata: &Value) -> Result<BTreeMap<&str, Vec<&str>>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no resolve.nodes")?;
    let mut edges = BTreeMap::new();
    for node in nodes {
        let id = node["id"].as_str().context("a node without an id")?;
        let built_from =
            array(node, "deps")?.iter().filter(|dep| is_built_from(dep)).filter_map(|dep| dep["pkg"].as_str());
        edges.insert(id, built_from.collect());
    }
    Ok(edges)
}

fn is_built_from(dependency: &Value) -> bool {
    dependency["dep_kinds"]
        .as_array()
        .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].as_str() != Some("dev")))
}

fn reachable<'a>(from: &'a str, edges: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut pending = vec![from];
    while let Some(id) = pending.pop() {
        for &next in edges.get(id).into_iter().flatten() {
            if reached.insert(next) {
                pending.push(next);
            }
        }
    }
    reached
}

fn array<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    value[name].as_array().with_context(|| format!("cargo metadata has no array {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Metadata of a workspace with these members (name, dependencies) and external crates that need nothing.
    fn metadata(members: &[(&str, &[&str])]) -> Value {
        let mut names: BTreeSet<&str> = members.iter().map(|(name, _)| *name).collect();
        names.extend(members.iter().flat_map(|(_, needs)| needs.iter().copied()));
        let needs =
            |name: &str| members.iter().find(|(member, _)| *member == name).map_or(&[][..], |(_, needs)| *needs);
        let packages: Vec<Value> = names
            .iter()
            .map(|name| json!({"id": name, "name": name, "dependencies": needs(name).iter().map(|need| json!({"name": need})).collect::<Vec<_>>()}))
            .collect();
        let nodes: Vec<Value> = names
            .iter()
            .map(|name| json!({"id": name, "deps": needs(name).iter().map(|need| json!({"pkg": need, "dep_kinds": [{"kind": null}]})).collect::<Vec<_>>()}))
            .collect();
        json!({"workspace_members": members.iter().map(|(name, _)| name).collect::<Vec<_>>(), "packages": packages, "resolve": {"nodes": nodes}})
    }

    #[test]
    fn arrows_of_the_table_pass() {
        let metadata =
            metadata(&[("deltafold-event", &["serde"]), ("deltafold-cdc", &["deltafold-event", "sonic-rs"])]);
        assert_eq!(complaints(&metadata).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_arrow_that_the_table_lacks_is_named() {
        let metadata = metadata(&[
            ("deltafold-event", &[]),
            ("deltafold-store", &["deltafold-event", "deltafold-cdc"]),
            ("deltafold-cdc", &[]),
        ]);
        assert_eq!(complaints(&metadata).unwrap(), ["deltafold-store may not use deltafold-cdc"]);
    }

    #[test]
    fn a_second_user_of_an_owned_crate_is_named() {
        let metadata = metadata(&[("deltafold-api", &["fjall"])]);
        assert_eq!(complaints(&metadata).unwrap(), ["deltafold-api uses fjall, whose sole user is deltafold-view"]);
    }

    #[test]
    fn io_below_a_pure_crate_is_found_at_any_depth() {
        let mut metadata = metadata(&[("deltafold-event", &["helper"])]);
        let nodes = metadata["resolve"]["nodes"].as_array_mut().unwrap();
        nodes.retain(|node| node["id"] != "helper");
        nodes.push(json!({"id": "helper", "deps": [{"pkg": "tokio", "dep_kinds": [{"kind": null}]}]}));
        metadata["packages"].as_array_mut().unwrap().push(json!({"id": "tokio", "name": "tokio", "dependencies": []}));
        let found = complaints(&metadata).unwrap();
        assert!(found[0].starts_with("deltafold-event is pure, but tokio lies below it"), "{found:?}");
    }

    #[test]
    fn a_crate_outside_the_table_is_named() {
        assert_eq!(complaints(&metadata(&[("deltafold-misc", &[])])).unwrap(), ["deltafold-misc is not in the table"]);
    }
}
