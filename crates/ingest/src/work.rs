//! What came of decoding, on its way into the store.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_cdc::Ignored;
use deltafold_event::{Coordinates, Event, TransactionEnd};
use deltafold_source::Mark;
use deltafold_store::DeadLetter;

/// What came of a chunk, or of several.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// In the order of arrival, control events among them.
    pub(crate) events: Vec<Event>,
    /// How many of them came from records.
    pub(crate) from_records: u64,
    pub(crate) letters: Vec<DeadLetter>,
    pub(crate) ignored: BTreeMap<Ignored, u64>,
    /// The transactions of which the records say that they ended.
    pub(crate) ended: Vec<TransactionEnd>,
    /// Where the last of them was read.
    pub(crate) ended_at: Option<Coordinates>,
    /// By app id: what is taken care of of each input.
    pub(crate) reached: BTreeMap<Arc<str>, Reached>,
    /// Bytes of records.
    pub(crate) bytes: u64,
}

/// What is taken care of of one input: a file, or a partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// What the store must say of it before; none where it has not seen it.
    pub(crate) from: Option<i64>,
    /// What the store says of it afterwards; none where nothing moves.
    pub(crate) to: Option<i64>,
    /// Of a file: the place that this is.
    pub(crate) mark: Option<Mark>,
    /// How many of the dead letters are its own.
    pub(crate) letters: u64,
    /// Up to where its dead letters were recorded when it was begun.
    pub(crate) letters_from: Option<i64>,
    /// Up to where they are once `letters` are.
    pub(crate) letters_to: i64,
}

impl Work {
    /// Whether what `next` holds of each input goes on where this ends: else the two cannot be one commit.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        next.reached
            .iter()
            .all(|(app_id, next)| self.reached.get(app_id).is_none_or(|before| before.to.or(before.from) == next.from))
    }

    /// Adds what came next.
    pub(crate) fn append(&mut self, next: Self) {
        self.events.extend(next.events);
        self.from_records += next.from_records;
        self.letters.extend(next.letters);
        for (kind, count) in next.ignored {
            *self.ignored.entry(kind).or_default() += count;
        }
        self.ended.extend(next.ended);
        self.ended_at = next.ended_at.or(self.ended_at.take());
        for (app_id, next) in next.reached {
            self.reached.entry(app_id).and_modify(|before| before.extend(next)).or_insert(next);
        }
        self.bytes += next.bytes;
    }
}

impl Reached {
    fn extend(&mut self, next: Self) {
        self.to = next.to.or(self.to);
        self.mark = next.mark.or(self.mark);
        self.letters += next.letters;
        self.letters_to = self.letters_to.max(next.letters_to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(from: Option<i64>, to: Option<i64>) -> Work {
        let reached = Reached { from, to, mark: None, letters: 0, letters_from: None, letters_to: 0 };
        Work { reached: BTreeMap::from([("shop/orders/0".into(), reached)]), ..Work::default() }
    }

    #[test]
    fn only_what_goes_on_is_one_commit() {
        let first = work(None, Some(10));
        assert!(first.is_followed_by(&work(Some(10), Some(20))));
        assert!(first.is_followed_by(&Work::default()));
        // Another instance had the partition in between.
        assert!(!first.is_followed_by(&work(Some(15), Some(20))));
        let mut both = first;
        both.append(work(Some(10), Some(20)));
        assert_eq!((both.reached["shop/orders/0"].from, both.reached["shop/orders/0"].to), (None, Some(20)));
    }
}
