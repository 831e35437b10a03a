//! A fold's memory that looks at all that is written.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
};

use deltafold_event::Timestamp;
use deltafold_projection::{Kept, Memory, Newest, Pair, Shown, Version};

/// What one fold has written.
#[derive(Debug, Clone, Default)]
pub(super) struct Remembered {
    pairs: BTreeMap<Box<[u8]>, Box<[u8]>>,
    pub(super) versions: BTreeMap<Arc<str>, BTreeMap<Timestamp, Version>>,
    newest: BTreeMap<Arc<str>, Version>,
}

impl Remembered {
    /// Writes what was folded.
    ///
    /// # Panics
    /// When it does not fit what was written before.
    pub(super) fn apply(&mut self, memory: Vec<Kept>, shown: Shown) {
        for (key, value) in memory {
            match value {
                Some(value) => drop(self.pairs.insert(key.into(), value.into())),
                None => drop(self.pairs.remove(&*key)),
            }
        }
        let mut superseded = shown.superseded.into_iter();
        let mut touched: Vec<Arc<str>> = Vec::new();
        for (key, valid_from) in shown.removals {
            let removed = self.versions.entry(key.clone()).or_default().remove(&valid_from);
            let removed = removed.unwrap_or_else(|| panic!("{key}: there is no version of {valid_from} to remove"));
            assert!(superseded.any(|(of, version)| of == key && version == removed), "{key}: {removed:?}");
            touched.push(key);
        }
        for (key, version) in shown.puts {
            self.versions.entry(key.clone()).or_default().insert(version.valid_from, version);
            touched.push(key);
        }
        for Newest { key, before, now } in shown.newest {
            let was = match now {
                Some(now) => self.newest.insert(key, now),
                None => self.newest.remove(&key),
            };
            assert_eq!(before, was.map(|was| was.valid_from), "where the newest stood before");
        }
        touched.sort();
        touched.dedup();
        for key in touched {
            let versions = &self.versions[&key];
            assert_eq!(versions.values().next_back(), self.newest.get(&key), "the newest of {key}");
            let rows: Vec<_> = versions.values().map(|version| version.row.as_deref()).collect();
            assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "{key}: one version in two: {versions:#?}");
            assert_ne!(rows.first(), Some(&None), "{key}: it begins with nothing: {versions:#?}");
            if versions.is_empty() {
                self.versions.remove(&key);
            }
        }
    }

    /// How many pairs are remembered.
    pub(super) fn pairs(&self) -> usize {
        self.pairs.len()
    }
}

impl Memory for Remembered {
    type Error = Infallible;

    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, Infallible> {
        Ok(self.pairs.get(key).cloned())
    }

    fn range(&self, from: &[u8], until: &[u8]) -> Box<dyn Iterator<Item = Result<Pair, Infallible>> + '_> {
        let pairs = self.pairs.range::<[u8], _>((std::ops::Bound::Included(from), Excluded(until)));
        Box::new(pairs.map(|(key, value)| Ok((key.clone(), value.clone()))).collect::<Vec<_>>().into_iter())
    }

    fn last_in(&self, from: &[u8], until: &[u8]) -> Result<Option<Pair>, Infallible> {
        let pairs = self.pairs.range::<[u8], _>((std::ops::Bound::Included(from), Excluded(until)));
        Ok(pairs.last().map(|(key, value)| (key.clone(), value.clone())))
    }

    fn newest(&self, key: &str) -> Result<Option<Version>, Infallible> {
        Ok(self.newest.get(key).cloned())
    }

    fn version_before(&self, key: &str, moment: Timestamp) -> Result<Option<Version>, Infallible> {
        let versions = self.versions.get(key);
        Ok(versions.and_then(|versions| versions.range(..moment).next_back()).map(|(_, version)| version.clone()))
    }

    fn versions_from(
        &self,
        key: &str,
        moment: Timestamp,
    ) -> Box<dyn Iterator<Item = Result<Version, Infallible>> + '_> {
        let versions = self.versions.get(key);
        let from = versions
            .into_iter()
            .flat_map(move |versions| versions.range((std::ops::Bound::Included(moment), Unbounded)));
        Box::new(from.map(|(_, version)| Ok(version.clone())))
    }
}
