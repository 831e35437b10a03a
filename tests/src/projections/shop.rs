//! The shop's projections, over what a real Debezium told of a real shop.

use std::{collections::BTreeMap, fs, path::Path};

use deltafold_event::{Column, StoredEvent};
use deltafold_projection::{self as projection, Definition, Relations, Statement};
use deltafold_projector::{Ordered, Said, ViewKind};

use crate::{
    kept::{Kept, OnDisk},
    recording::Recording,
};

/// The recording.
pub const SHOP: Recording = Recording { folder: "shop", stream: "shop", declared: "" };

/// All of `projections/`, folded as a server does: defined after the first commit, built beside what goes on.
pub struct Projected {
    /// Where.
    pub kept: OnDisk,
    /// What they are over, by name.
    pub mirrors: BTreeMap<String, Vec<Column>>,
    /// Their definitions, and what these select.
    pub definitions: Vec<(Definition, String)>,
}

/// Folds them over the events that count.
///
/// # Panics
/// When one cannot be folded.
pub fn projected(counts: impl Fn(&StoredEvent) -> bool) -> Projected {
    let (mut commits, schemas) = SHOP.commits(700);
    commits.iter_mut().for_each(|commit| commit.retain(&counts));
    let mut kept = OnDisk::new(&schemas);
    let texts = texts();
    for (number, commit) in commits.iter().enumerate() {
        let mut commit = commit.clone();
        if number == 1 {
            for (name, sql) in &texts {
                let order = ordered(name, Ordered::Defined { sql: sql.clone() }, &commit);
                commit.push(order);
            }
        }
        kept.fold(&commit);
    }
    kept.finish_building();
    let catalog = kept.catalog();
    let problems: Vec<_> = catalog.projections.iter().filter_map(|info| info.problem.as_ref()).collect();
    assert!(problems.is_empty() && texts.len() >= 13, "{problems:?} of {texts:?}");
    let mirrors: Vec<_> = catalog.views.iter().filter(|view| view.kind == ViewKind::Mirror).collect();
    let relations: Relations = mirrors
        .iter()
        .map(|mirror| (mirror.name.to_string(), projection::Relation::new(mirror.columns.clone(), mirror.key.clone())))
        .collect();
    let definition = |(name, sql): (&String, &String)| {
        let statement = Statement::parse(&format!("{name}.sql"), sql).expect("it is right");
        let query = sql[sql.find("SELECT").expect("it selects")..].trim_end().trim_end_matches(';').to_owned();
        (Definition::check(&statement, &relations).expect("it is right"), query)
    };
    Projected {
        definitions: texts.iter().map(definition).collect(),
        mirrors: mirrors.iter().map(|mirror| (mirror.name.to_string(), mirror.columns.clone())).collect(),
        kept,
    }
}

/// The files of `projections/`, by name.
fn texts() -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../projections");
    let files = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let text = |path: std::path::PathBuf| {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("names are UTF-8").to_owned();
        (name, fs::read_to_string(&path).expect("it can be read"))
    };
    files.map(text).collect()
}

/// What somebody orders of a projection behind a commit.
///
/// # Panics
/// When the commit has no events.
pub fn ordered(name: &str, ordered: Ordered, commit: &[StoredEvent]) -> StoredEvent {
    let last = commit.last().expect("a commit has events");
    let event = Said { ordered, by: "test".to_owned(), reason: None }.event(name, last.recorded_at);
    StoredEvent { position: last.position.next(), recorded_at: last.recorded_at, event }
}
