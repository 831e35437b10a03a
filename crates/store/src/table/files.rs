//! The data files of a table, found by position.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use deltafold_event::Position;

use super::file::DataFile;

/// The files that make up a version of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    by_first: BTreeMap<Position, Arc<DataFile>>,
    by_path: HashMap<String, Position>,
    /// Of each control aggregate, by type and id: where the newest file begins that has an event of it.
    control: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Position>>,
    rows: u64,
    raw_bytes: u64,
}

impl Files {
    pub(crate) fn insert(&mut self, file: DataFile) -> Result<(), String> {
        let before = self.by_first.range(..=file.last).next_back();
        if let Some((_, other)) = before.filter(|(_, other)| other.last >= file.first) {
            return Err(format!("{} and {} both hold positions from {} on", other.path, file.path, file.first));
        }
        for (aggregate_type, id) in &file.control {
            let newest = self.control.entry(aggregate_type.clone()).or_default().entry(id.clone()).or_default();
            // A merged file begins before the newest of those it replaces, and holds its events.
            if file.last >= *newest {
                *newest = file.first;
            }
        }
        self.rows += file.rows;
        self.raw_bytes += file.raw_bytes;
        self.by_path.insert(file.path.clone(), file.first);
        self.by_first.insert(file.first, Arc::new(file));
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Arc<DataFile>> {
        let removed = self.by_path.remove(path).and_then(|first| self.by_first.remove(&first))?;
        self.rows -= removed.rows;
        self.raw_bytes -= removed.raw_bytes;
        Some(removed)
    }

    pub(crate) fn has_path(&self, path: &str) -> bool {
        self.by_path.contains_key(path)
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// By position.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<DataFile>> + ExactSizeIterator {
        self.by_first.values()
    }

    /// The file that holds a position or, if none does, the next one.
    pub(crate) fn reaching(&self, position: Position) -> Option<&Arc<DataFile>> {
        let before = self.by_first.range(..=position).next_back().map(|(_, file)| file);
        before
            .filter(|file| file.last >= position)
            .or_else(|| self.by_first.range(position..).next().map(|(_, file)| file))
    }

    /// The newest file with an event of a control aggregate.
    pub(crate) fn newest_control(&self, aggregate_type: &str, id: &str) -> Option<&Arc<DataFile>> {
        let first = self.control.get(aggregate_type)?.get(id)?;
        self.reaching(*first)
    }

    pub(crate) fn has_control(&self, aggregate_type: &str, id: &str) -> bool {
        self.control.get(aggregate_type).is_some_and(|ids| ids.contains_key(id))
    }

    /// How many control aggregates of a type there are.
    pub(crate) fn control_count(&self, aggregate_type: &str) -> usize {
        self.control.get(aggregate_type).map_or(0, BTreeMap::len)
    }

    /// Every file with an event of a control type, by position.
    pub(crate) fn with_control(&self, aggregate_type: &str) -> Vec<Arc<DataFile>> {
        if !self.control.contains_key(aggregate_type) {
            return Vec::new();
        }
        self.iter().filter(|file| file.has_control(aggregate_type, None)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use deltafold_event::Timestamp;

    use super::*;

    fn file(path: &str, first: u64, last: u64, control: &[&str]) -> DataFile {
        DataFile {
            path: path.into(),
            size: 1,
            rows: 1,
            first: Position::new(first, 0).unwrap(),
            last: Position::new(last, 5).unwrap(),
            committed_at: Timestamp::default(),
            compacted: last > first,
            raw_bytes: 1,
            types: None,
            occurred: None,
            control: control.iter().map(|&id| ("$file".into(), id.into())).collect(),
        }
    }

    #[test]
    fn files_are_found_by_position_through_a_merge() {
        let mut files = Files::default();
        for version in [1, 2, 4] {
            files.insert(file(&format!("{version}"), version, version, &["a"])).unwrap();
        }
        let at = |version, ordinal| Position::new(version, ordinal).unwrap();
        let path = |files: &Files, position| files.reaching(position).map(|file| file.path.clone());
        assert_eq!(path(&files, Position::ZERO).unwrap(), "1");
        assert_eq!(path(&files, at(2, 6)).unwrap(), "4");
        assert_eq!(path(&files, at(4, 6)), None);
        assert_eq!(files.newest_control("$file", "a").unwrap().path, "4");
        files.remove("1");
        files.remove("2");
        files.insert(file("1-2", 1, 2, &["a"])).unwrap();
        assert_eq!(path(&files, at(2, 3)).unwrap(), "1-2");
        assert_eq!(files.newest_control("$file", "a").unwrap().path, "4");
        files.remove("4");
        files.remove("1-2");
        files.insert(file("1-4", 1, 4, &["a"])).unwrap();
        assert_eq!(files.newest_control("$file", "a").unwrap().path, "1-4");
        assert!(files.insert(file("again", 3, 3, &[])).is_err());
    }
}
