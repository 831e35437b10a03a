//! What is configured of single views: `[views.VIEW]`.

use std::collections::BTreeMap;

use deltafold_api::DeclaredRelation;
use serde::Deserialize;

/// `[views.VIEW]`
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct View {
    #[serde(default)]
    indexes: Vec<IndexColumns>,
    #[serde(default)]
    relations: BTreeMap<String, ViewRelation>,
}

/// `[views.VIEW.relations.NAME]`
#[derive(Debug, Clone, Deserialize)]
struct ViewRelation {
    to: String,
    by: Vec<String>,
    inverse: Option<String>,
}

/// The columns of an index, or the one that there is.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "invalid index: expected the name of a column, or a list of names")]
enum IndexColumns {
    One(String),
    Several(Vec<String>),
}

impl View {
    /// The columns of each index.
    pub(super) fn indexes(&self) -> Vec<Vec<String>> {
        let columns = |index: &IndexColumns| match index {
            IndexColumns::One(column) => vec![column.clone()],
            IndexColumns::Several(columns) => columns.clone(),
        };
        self.indexes.iter().map(columns).collect()
    }

    /// Its relations.
    pub(super) fn declared(&self, view: &str) -> Vec<DeclaredRelation> {
        let declared = |(name, relation): (&String, &ViewRelation)| {
            let ViewRelation { to, by, inverse } = relation.clone();
            DeclaredRelation { view: view.to_owned(), name: name.clone(), to, by, inverse }
        };
        self.relations.iter().map(declared).collect()
    }

    /// What is wrong with it, by key.
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (name, relation) in &self.relations {
            let key = format!("relations.{name}");
            for field in [Some(name), relation.inverse.as_ref()].into_iter().flatten() {
                let is_name = field.starts_with(|first: char| first.is_ascii_alphabetic())
                    && field.chars().all(|other| other.is_ascii_alphanumeric() || other == '_');
                if !is_name {
                    let what = "expected a name that GraphQL allows: letters, digits and _, a letter first";
                    problems.push((key.clone(), format!("\"{field}\": {what}")));
                }
            }
            if relation.by.is_empty() {
                problems.push((format!("{key}.by"), "a relation goes by one column at least".to_owned()));
            }
        }
        let problem = |columns: Vec<String>| {
            let twice = columns.iter().enumerate().find(|(at, name)| columns[..*at].contains(name));
            match twice {
                _ if columns.is_empty() => Some("an index has no columns".to_owned()),
                _ if columns.len() > MOST_INDEX_COLUMNS => {
                    Some(format!("an index has {} columns, at most {MOST_INDEX_COLUMNS} are possible", columns.len()))
                }
                Some((_, name)) => Some(format!("an index names {name} twice")),
                None => None,
            }
        };
        problems.extend(self.indexes().into_iter().filter_map(problem).map(|problem| ("indexes".to_owned(), problem)));
        problems
    }
}

/// As many columns an index can have: what tells rows apart comes after them.
const MOST_INDEX_COLUMNS: usize = 8;
