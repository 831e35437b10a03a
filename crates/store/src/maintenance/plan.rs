//! Which files to merge.

use std::{ops::Range, sync::Arc};

use crate::table::file::DataFile;

/// What is worth merging.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// How many rows a merged file has at most.
    pub(super) rows: u64,
    /// How many bytes in memory.
    pub(super) raw_bytes: u64,
    /// How many files make a merge worth it that does not fill a file.
    pub(super) files: usize,
}

/// The first run of neighbours to merge into one file. Each row is rewritten about as often as the logarithm of its
/// file's growth: a run that does not fill a file is merged only if no file is larger than all others of it together.
pub(super) fn next_merge(files: &[Arc<DataFile>], plan: Plan) -> Option<Range<usize>> {
    let small = |file: &DataFile| file.rows * 2 < plan.rows && file.raw_bytes * 2 < plan.raw_bytes;
    let mut start = 0;
    while start < files.len() {
        let (mut rows, mut raw_bytes, mut largest, mut end) = (0, 0, 0, start);
        let mut full = false;
        while let Some(file) = files.get(end).filter(|file| !file.compacted || small(file)) {
            full = end > start && (rows + file.rows > plan.rows || raw_bytes + file.raw_bytes > plan.raw_bytes);
            if full {
                break;
            }
            rows += file.rows;
            raw_bytes += file.raw_bytes;
            largest = largest.max(file.rows);
            end += 1;
        }
        full |= rows * 2 >= plan.rows || raw_bytes * 2 >= plan.raw_bytes;
        let count = end - start;
        let worth = match count {
            0 => false,
            // It is only given its positions.
            1 => full && !files[start].compacted,
            _ => full || (count >= plan.files && (largest * 2 <= rows || plan.files <= 2)),
        };
        if worth {
            return Some(start..end);
        }
        start += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use deltafold_event::{Position, Timestamp};

    use super::*;

    const PLAN: Plan = Plan { rows: 1_000, raw_bytes: u64::MAX / 4, files: 8 };

    fn file(version: u64, rows: u64, compacted: bool) -> Arc<DataFile> {
        Arc::new(DataFile {
            path: String::new(),
            size: 1,
            rows,
            first: Position::new(version, 0).unwrap(),
            last: Position::new(version, 0).unwrap(),
            committed_at: Timestamp::default(),
            compacted,
            raw_bytes: rows,
            types: None,
            occurred: None,
            control: Vec::new(),
        })
    }

    #[test]
    fn few_files_wait_and_many_are_merged() {
        let files: Vec<_> = (0..7).map(|version| file(version, 10, false)).collect();
        assert_eq!(next_merge(&files, PLAN), None);
        let files: Vec<_> = (0..8).map(|version| file(version, 10, false)).collect();
        assert_eq!(next_merge(&files, PLAN), Some(0..8));
        let by_hand = Plan { files: 2, ..PLAN };
        assert_eq!(next_merge(&files[..2], by_hand), Some(0..2));
    }

    #[test]
    fn a_large_file_waits_until_its_neighbours_weigh_as_much() {
        let mut files = vec![file(0, 300, true)];
        files.extend((1..20).map(|version| file(version, 10, false)));
        assert_eq!(next_merge(&files, PLAN), Some(1..20));
        assert_eq!(next_merge(&[file(0, 600, true), file(1, 600, true)], PLAN), None);
    }

    #[test]
    fn a_full_commit_is_given_its_positions() {
        assert_eq!(next_merge(&[file(0, 2_000, false)], PLAN), Some(0..1));
        assert_eq!(next_merge(&[file(0, 2_000, true)], PLAN), None);
    }

    /// A store that takes small commits for a long time.
    #[test]
    fn rows_are_rewritten_a_few_times_only() {
        let (mut files, mut rewritten, plan) = (Vec::new(), 0, Plan { rows: 100_000, ..PLAN });
        for version in 0..10_000 {
            files.push(file(version, 10, false));
            while let Some(range) = next_merge(&files, plan) {
                let rows = files[range.clone()].iter().map(|file| file.rows).sum();
                rewritten += rows;
                let merged = file(files[range.start].first.version(), rows, true);
                files.splice(range, [merged]);
            }
        }
        assert!(rewritten < 10 * 100_000, "{rewritten} rows rewritten for 100000");
        assert!(files.len() < 40, "{} files are left", files.len());
    }
}
