//! What is different between two readings of the same events.

use std::{collections::BTreeMap, fmt::Write};

use super::{Entry, Relation, Version};

/// The aggregates of which two readings say different things, with what each says; none where they agree.
pub fn difference(found: &BTreeMap<String, Vec<Version>>, expected: &BTreeMap<String, Vec<Version>>) -> Option<String> {
    compare(found, expected, |version| {
        let valid_to = version.valid_to.map_or("…".to_owned(), |valid_to| valid_to.to_string());
        format!("[{}, {valid_to}) by {}: {:?}", version.valid_from, version.event, version.content)
    })
}

impl Relation {
    /// As [`difference`], of everything that happened.
    pub fn difference(&self, expected: &Self) -> Option<String> {
        let entry =
            |entry: &Entry| format!("{} {:?} {}: {:?}", entry.valid_from, entry.revision, entry.event, entry.content);
        compare(&self.history, &expected.history, entry).or_else(|| difference(&self.versions, &expected.versions))
    }
}

fn compare<T: PartialEq>(
    found: &BTreeMap<String, Vec<T>>,
    expected: &BTreeMap<String, Vec<T>>,
    show: impl Fn(&T) -> String,
) -> Option<String> {
    let mut said = String::new();
    let ids = found.keys().chain(expected.keys().filter(|id| !found.contains_key(*id)));
    for id in ids.filter(|id| found.get(*id) != expected.get(*id)) {
        for (name, side) in [("found", found), ("expected", expected)] {
            writeln!(said, "{id}, {name}:").expect("writing to memory does not fail");
            for item in side.get(id).into_iter().flatten() {
                writeln!(said, "    {}", show(item)).expect("writing to memory does not fail");
            }
        }
    }
    (!said.is_empty()).then_some(said)
}
