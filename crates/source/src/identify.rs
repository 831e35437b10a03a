//! Which file is this, and how far was it read?

use std::io::{self, Read};

use crate::{
    AppId, Mark,
    app_id::first_line_digest,
    digest::{Digest, RollingDigest},
    reader::LINE_LIMIT_BYTES,
};

/// Bytes read at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// What a file turned out to be.
pub(crate) struct Identified {
    pub(crate) app_id: AppId,
    /// How far it was read before, and the digest that goes on from there; None of a new file.
    pub(crate) resume: Option<(Mark, RollingDigest)>,
    /// How many bytes of the content were read to find out.
    pub(crate) read: u64,
}

/// The digest of the first line, as far as [`LINE_LIMIT_BYTES`]; None of an empty file. `whole` says whether the line
/// has an end.
pub(crate) fn first_line(content: impl Read) -> io::Result<Option<(Digest, bool)>> {
    let mut content = io::BufReader::with_capacity(BLOCK_BYTES, content);
    let mut line = Vec::new();
    io::BufRead::read_until(&mut (&mut content).take(LINE_LIMIT_BYTES as u64), b'\n', &mut line)?;
    let whole = line.last() == Some(&b'\n');
    Ok((!line.is_empty()).then(|| (first_line_digest(&line), whole)))
}

/// Compares a file with the files whose first line is the same. `known` gives the marks of an app id, and none for an
/// id that no file has; `content` is read as far as the last mark at most.
///
/// The file is the known one whose last mark its content confirms. A file that ends before that mark but exactly
/// at an earlier one is an older copy: it is that file, and nothing of it is left to read. Any other is new.
pub(crate) fn identify(
    first_line: Digest,
    known: impl Fn(&AppId) -> Vec<Mark>,
    content: &mut impl Read,
) -> io::Result<Identified> {
    let mut places = Vec::new();
    let mut number = 1;
    let new = loop {
        let app_id = AppId::of(first_line, number);
        let marks = known(&app_id);
        let Some(last) = marks.iter().map(|mark| mark.bytes).max() else {
            break app_id;
        };
        places.extend(marks.into_iter().map(|mark| Place {
            app_id: app_id.clone(),
            mark,
            is_last: mark.bytes == last,
        }));
        number += 1;
    };
    places.sort_by_key(|place| place.mark.bytes);

    let mut found = None;
    let mut prefix = Prefix { bytes: 0, digest: RollingDigest::new() };
    let mut confirmed: Option<&Place> = None;
    for place in &places {
        if !prefix.extend_to(place.mark.bytes, content)? {
            if let Some(older) = confirmed.filter(|older| older.mark.bytes == prefix.bytes) {
                found = Some((older, prefix.digest.clone()));
            }
            break;
        }
        if prefix.digest.digest() == place.mark.digest {
            confirmed = Some(place);
            if place.is_last {
                found = Some((place, prefix.digest.clone()));
            }
        }
    }
    Ok(match found {
        Some((place, digest)) => {
            Identified { app_id: place.app_id.clone(), resume: Some((place.mark, digest)), read: prefix.bytes }
        }
        None => Identified { app_id: new, resume: None, read: prefix.bytes },
    })
}

/// A mark that a file may have.
struct Place {
    app_id: AppId,
    mark: Mark,
    is_last: bool,
}

/// The file's beginning, as far as it was read.
struct Prefix {
    bytes: u64,
    digest: RollingDigest,
}

impl Prefix {
    /// Reads on to `bytes`; false when the file ends before.
    fn extend_to(&mut self, bytes: u64, content: &mut impl Read) -> io::Result<bool> {
        let mut block = vec![0; BLOCK_BYTES];
        while self.bytes < bytes {
            let wanted = block.len().min(usize::try_from(bytes - self.bytes).unwrap_or(usize::MAX));
            let read = match content.read(&mut block[..wanted]) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A stream that is cut short is a file that ends there; reading it will say so.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error),
            };
            self.digest.update(&block[..read]);
            self.bytes += read as u64;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn mark(text: &str) -> Mark {
        let mut digest = RollingDigest::new();
        digest.update(text.as_bytes());
        Mark { bytes: text.len() as u64, digest: digest.digest(), lines: text.matches('\n').count() as u64 }
    }

    /// Which number the file gets, and at which byte it is resumed, after the files in `known` were read in the given steps.
    fn found(file: &str, known: &[&[&str]]) -> (AppId, Option<u64>) {
        let (digest, _) = first_line(file.as_bytes()).unwrap().unwrap();
        let known: BTreeMap<_, Vec<_>> = known
            .iter()
            .enumerate()
            .map(|(index, steps)| (AppId::of(digest, index as u32 + 1), steps.iter().map(|text| mark(text)).collect()))
            .collect();
        let found = identify(digest, |id| known.get(id).cloned().unwrap_or_default(), &mut file.as_bytes()).unwrap();
        (found.app_id, found.resume.map(|(mark, _)| mark.bytes))
    }

    fn id(number: u32) -> AppId {
        AppId::of(first_line_digest(b"a"), number)
    }

    #[test]
    fn a_file_that_has_grown_is_resumed_at_its_last_mark() {
        assert_eq!(found("a\nb\nc\n", &[&["a\n", "a\nb\n"]]), (id(1), Some(4)));
        assert_eq!(found("a\nb\n", &[&["a\n", "a\nb\n"]]), (id(1), Some(4)));
    }

    #[test]
    fn a_file_that_differs_later_is_another() {
        assert_eq!(found("a\nx\n", &[&["a\nb\n"]]), (id(2), None));
        assert_eq!(found("a\nx\ny\n", &[&["a\nb\n"], &["a\nx\n"]]), (id(2), Some(4)));
        assert_eq!(found("a\ny\n", &[&["a\nb\n"], &["a\nx\n"]]), (id(3), None));
    }

    #[test]
    fn an_older_copy_is_known_where_it_ends_at_a_mark() {
        assert_eq!(found("a\nb\n", &[&["a\n", "a\nb\n", "a\nb\nc\n"]]), (id(1), Some(4)));
        assert_eq!(found("a\nb\nc\n", &[&["a\n", "a\nb\nc\nd\n"]]), (id(2), None));
    }

    #[test]
    fn what_is_known_of_a_shorter_file_is_no_part_of_a_longer_one_that_differs() {
        // The second file had been read further than the first one, whose end it shares.
        assert_eq!(found("a\nb\nc\nd\n", &[&["a\nb\n"], &["a\nb\nc\n"]]), (id(2), Some(6)));
    }
}
