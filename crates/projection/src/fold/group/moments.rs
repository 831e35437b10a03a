//! The moments that a group remembers, several in one record.
//!
//! Where one record ends and the next begins hangs on what is in them alone, not on how it came there: so what is
//! remembered is the same after a rebuild.

use std::{collections::BTreeMap, hash::BuildHasher};

use foldhash::quality::FixedState;
use smallvec::SmallVec;

use super::{entry::Entry, keys};
use crate::{
    fold::{Writes, error::Fault},
    memory::Memory,
};

/// Moments that follow one another, with their entries, as they are remembered.
///
/// | bytes | what |
/// |---|---|
/// | 8, … | of each moment, in their order: the moment, as in keys, and its entry, in [postcard] |
/// | 4 | the length of what it says of the last of them, big-endian |
///
/// [postcard]: https://postcard.jamesmunns.com/wire-format
#[derive(Clone, Default, PartialEq, Eq)]
struct Record(Vec<u8>);

/// How long records are, about: the newest of a group is written again whenever the group changes. A moment that takes
/// as much is the last in its record.
const TYPICAL_BYTES: usize = 256;
/// How long the longest are, but for the last moment in them: whoever says when events happened could see to it that no
/// record ends by chance.
const MOST_BYTES: usize = 16 * TYPICAL_BYTES;
const LENGTH_BYTES: usize = 4;
const MOMENT_BYTES: usize = 8;

impl Record {
    fn push(&mut self, at: i64, entry: &Entry) {
        let Self(bytes) = self;
        let start = bytes.len().saturating_sub(LENGTH_BYTES);
        bytes.truncate(start);
        // Mostly there is room for it without an allocation that grows.
        let mut room = [0; TYPICAL_BYTES];
        let longer;
        let entry = match postcard::to_slice(entry, &mut room) {
            Ok(entry) => &*entry,
            Err(_) => {
                longer = postcard::to_allocvec(entry).expect("all of it can be written");
                &longer
            }
        };
        bytes.reserve(MOMENT_BYTES + entry.len() + LENGTH_BYTES);
        bytes.extend_from_slice(&keys::at_bytes(at));
        bytes.extend_from_slice(entry);
        let len = u32::try_from(bytes.len() - start).expect("an entry is no longer than the rows of a batch");
        bytes.extend_from_slice(&len.to_be_bytes());
    }

    /// Whether it takes no more: by chance after a moment, the likelier the more that takes, or because it is long.
    fn is_over(&self) -> bool {
        let ends_with = |bytes: &[u8]| {
            let chance = FixedState::with_seed(0).hash_one(bytes.first_chunk::<MOMENT_BYTES>());
            chance % TYPICAL_BYTES as u64 <= bytes.len() as u64
        };
        self.0.len() >= MOST_BYTES || self.last_bytes().is_some_and(ends_with)
    }

    fn first_moment(&self) -> Option<i64> {
        self.0.first_chunk().map(|bytes| keys::at(*bytes))
    }

    /// The last moment and its entry; none: the record is damaged, as in [`Self::entries`].
    fn last(&self) -> Option<(i64, Entry)> {
        next(&mut self.last_bytes()?)
    }

    fn last_bytes(&self) -> Option<&[u8]> {
        let (entries, len) = self.0.split_last_chunk::<LENGTH_BYTES>()?;
        let start = entries.len().checked_sub(u32::from_be_bytes(*len).try_into().ok()?)?;
        Some(&entries[start..])
    }

    fn entries(&self) -> Option<Vec<(i64, Entry)>> {
        let (mut rest, _) = self.0.split_last_chunk::<LENGTH_BYTES>()?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            entries.push(next(&mut rest)?);
        }
        Some(entries)
    }
}

fn next(rest: &mut &[u8]) -> Option<(i64, Entry)> {
    let (at, entry) = rest.split_first_chunk()?;
    let (entry, after) = postcard::take_from_bytes(entry).ok()?;
    *rest = after;
    Some((keys::at(*at), entry))
}

/// Puts moments that follow one another into records.
#[derive(Default)]
struct Records {
    over: Vec<Record>,
    /// What takes more.
    open: Record,
}

impl Records {
    fn go_on(record: Record) -> Self {
        let mut records = Self { over: Vec::new(), open: record };
        records.end();
        records
    }

    fn push(&mut self, at: i64, entry: &Entry) {
        self.open.push(at, entry);
        self.end();
    }

    fn end(&mut self) {
        if self.open.is_over() {
            self.over.push(std::mem::take(&mut self.open));
        }
    }

    fn is_open(&self) -> bool {
        self.open != Record::default()
    }
}

/// What a group remembers, as far as changes from a moment on need it.
pub(crate) struct Stand {
    /// The key of the newest of them.
    key: Vec<u8>,
    /// In their order, up to the newest. Of none the group is new.
    records: SmallVec<[Record; 1]>,
    /// How many moments are in each of them; nothing where the newest alone was looked at, and of that the last moment.
    lens: Vec<usize>,
    /// What comes before [`Self::base`] in its record.
    before: Vec<(i64, Entry)>,
    /// The entry before the moment.
    pub(crate) base: Option<(i64, Entry)>,
    /// Those from the moment on.
    pub(crate) tail: Vec<(i64, Entry)>,
}

impl Stand {
    pub(crate) fn read<M: Memory>(operator: u16, group: &[u8], from: i64, memory: &M) -> Result<Self, Fault<M::Error>> {
        let key = keys::newest(operator, group);
        let Some(newest) = memory.get(&key).map_err(Fault::Memory)? else {
            return Ok(Self::of_new(key));
        };
        let newest = Record(newest.into());
        let (at, entry) = newest.last().ok_or(Fault::Damaged)?;
        if at < from {
            return Ok(Self { records: [newest].into(), base: Some((at, entry)), ..Self::of_new(key) });
        }
        let mut records = SmallVec::new();
        if newest.first_moment() >= Some(from) {
            let moments = keys::moments(operator, group);
            let start = keys::moment(operator, group, from);
            let before = memory.last_in(&moments, &start).map_err(Fault::Memory)?;
            records.extend(before.map(|(_, record)| Record(record.into())));
            for pair in memory.range(&start, &keys::end(&moments)) {
                records.push(Record(pair.map_err(Fault::Memory)?.1.into()));
            }
        }
        records.push(newest);
        let of_records: Option<Vec<_>> = records.iter().map(Record::entries).collect();
        let of_records = of_records.ok_or(Fault::Damaged)?;
        let lens = of_records.iter().map(Vec::len).collect();
        let mut before: Vec<_> = of_records.into_iter().flatten().collect();
        let tail = before.split_off(before.partition_point(|(at, _)| *at < from));
        let base = before.pop();
        Ok(Self { key, records, lens, before, base, tail })
    }

    fn of_new(key: Vec<u8>) -> Self {
        Self { key, records: SmallVec::new(), lens: Vec::new(), before: Vec::new(), base: None, tail: Vec::new() }
    }

    /// Whether nothing is remembered of the group.
    pub(super) fn is_of_new(&self) -> bool {
        self.records.is_empty()
    }

    /// Writes what there is from the moment on: `entries`, and the last `as_before` of the tail, which stay.
    pub(super) fn write<E>(
        self,
        operator: u16,
        group: &[u8],
        entries: &[(i64, Entry)],
        as_before: usize,
        writes: &mut Writes,
    ) -> Result<(), Fault<E>> {
        let Self { key: of_newest, mut records, mut lens, before, base, tail } = self;
        let mut made = Records::default();
        if !tail.is_empty() {
            before.iter().chain(&base).for_each(|(at, entry)| made.push(*at, entry));
        } else if entries.is_empty() {
            return Ok(());
        } else {
            made = Records::go_on(records.pop().unwrap_or_default());
        }
        // Records of which all moments stay, the newest first.
        let (mut after, mut stay) = (Vec::new(), as_before);
        while let Some(len) = lens.pop_if(|len| *len <= stay) {
            stay -= len;
            after.extend(records.pop().map(|record| (record, len)));
        }
        entries.iter().for_each(|(at, entry)| made.push(*at, entry));
        let mut stays = tail[tail.len() - as_before..].iter();
        stays.by_ref().take(stay).for_each(|(at, entry)| made.push(*at, entry));
        // Where what comes before the next record is not the end of one, that goes on; mostly one ends where it did.
        while made.is_open()
            && let Some((record, len)) = after.pop()
        {
            stays.by_ref().take(len).for_each(|(at, entry)| made.push(*at, entry));
            records.push(record);
        }

        let has_newest = after.is_empty();
        let Records { mut over, open } = made;
        if open != Record::default() {
            over.push(open);
        }
        if has_newest {
            let (last, newest) = (over.pop().unwrap_or_default(), if tail.is_empty() { None } else { records.pop() });
            if newest.as_ref() != Some(&last) {
                let is_left = last != Record::default();
                writes.put(of_newest, is_left.then_some(last.0));
            }
        }
        let key = |record: &Record| match record.first_moment() {
            Some(at) => Ok(keys::moment(operator, group, at)),
            None => Err(Fault::Damaged),
        };
        let mut there = BTreeMap::new();
        for record in records {
            there.insert(key(&record)?, record);
        }
        for record in over {
            let key = key(&record)?;
            if there.remove(&key).as_ref() != Some(&record) {
                writes.put(key, Some(record.0));
            }
        }
        there.into_keys().for_each(|key| writes.put(key, None));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::Arc};

    use deltafold_event::Timestamp;
    use proptest::{collection, prelude::*};

    use super::{super::entry::Content, *};
    use crate::memory::{Pair, Version};

    const GROUP: &[u8] = b"group";

    #[derive(Default)]
    struct Map(BTreeMap<Box<[u8]>, Box<[u8]>>);

    impl Map {
        fn write(&mut self, stand: Stand, entries: &[(i64, Entry)], as_before: usize) {
            let mut writes = Writes::default();
            stand.write::<Infallible>(0, GROUP, entries, as_before, &mut writes).expect("all of it was read");
            for (key, value) in writes.kept {
                match value {
                    Some(value) => _ = self.0.insert(key.into(), value.into()),
                    None => assert!(self.0.remove(&*key).is_some(), "what is not there need not be removed"),
                }
            }
        }

        fn read(&self, from: i64) -> Stand {
            Stand::read(0, GROUP, from, self).expect("all of it was written")
        }
    }

    impl Memory for Map {
        type Error = Infallible;

        fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, Self::Error> {
            Ok(self.0.get(key).cloned())
        }

        fn range(&self, from: &[u8], until: &[u8]) -> Box<dyn Iterator<Item = Result<Pair, Self::Error>> + '_> {
            let range = self.0.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(until)));
            Box::new(range.map(|(key, value)| Ok((key.clone(), value.clone()))).collect::<Vec<_>>().into_iter())
        }

        fn last_in(&self, from: &[u8], until: &[u8]) -> Result<Option<Pair>, Self::Error> {
            self.range(from, until).last().transpose()
        }

        fn newest(&self, _: &str) -> Result<Option<Version>, Self::Error> {
            unreachable!("groups do not read what is shown")
        }

        fn version_before(&self, _: &str, _: Timestamp) -> Result<Option<Version>, Self::Error> {
            unreachable!("groups do not read what is shown")
        }

        fn versions_from(&self, _: &str, _: Timestamp) -> Box<dyn Iterator<Item = Result<Version, Self::Error>> + '_> {
            unreachable!("groups do not read what is shown")
        }
    }

    fn entry(rows: i64, element_bytes: usize) -> Entry {
        let content = Arc::new(Content { rows, partials: vec![], cells: vec![] });
        Entry { content, elements: vec![((0, vec![7; element_bytes].into()), 1)] }
    }

    /// What becomes of the moments of a group: from which on they are looked at, how many that are there are, and what
    /// comes in place of those, by how much later.
    type Step = (i64, usize, BTreeMap<i64, (i64, usize)>);

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let bytes = prop_oneof![8 => 0..40_usize, 1 => 200..600_usize];
        let come = collection::btree_map(0..12_i64, (any::<i64>(), bytes), 0..12);
        collection::vec((-80..80_i64, 0..20_usize, come), 1..30)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_from_any_moment_on_and_is_the_same_however_it_came(steps in steps()) {
            let (mut memory, mut model) = (Map::default(), BTreeMap::new());
            for (from, looked_at, come) in steps {
                let stand = memory.read(from);
                prop_assert_eq!(stand.is_of_new(), model.is_empty());
                let tail = model.split_off(&from);
                prop_assert_eq!(&stand.base, &model.iter().next_back().map(|(at, entry): (&i64, &Entry)| (*at, entry.clone())));
                prop_assert_eq!(&stand.tail, &tail.clone().into_iter().collect::<Vec<_>>());

                let stay: Vec<(i64, Entry)> = tail.into_iter().skip(looked_at).collect();
                let until = stay.first().map_or(i64::MAX, |(at, _)| *at);
                let come = come.into_iter().map(|(later, (rows, bytes))| (from + later, entry(rows, bytes)));
                let come: Vec<(i64, Entry)> = come.filter(|(at, _)| *at < until).collect();
                memory.write(stand, &come, stay.len());
                model.extend(come.into_iter().chain(stay));

                let whole = memory.read(i64::MIN);
                prop_assert_eq!(&whole.tail, &model.clone().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(whole.records.len(), memory.0.len(), "there is nothing else");
                let mut anew = Map::default();
                anew.write(anew.read(i64::MIN), &whole.tail, 0);
                prop_assert_eq!(&anew.0, &memory.0, "it is the same as if it came at once");
            }
        }
    }

    #[test]
    fn a_moment_that_is_added_costs_one_record_and_now_and_then_another() {
        let mut memory = Map::default();
        let mut written = 0;
        for at in 0..1_000 {
            let stand = memory.read(at);
            let mut writes = Writes::default();
            stand.write::<Infallible>(0, GROUP, &[(at, entry(at, 5))], 0, &mut writes).expect("it was read");
            written += writes.kept.len();
            memory
                .0
                .extend(writes.kept.into_iter().map(|(key, value)| (key.into(), value.expect("nothing goes").into())));
        }
        let records = memory.read(i64::MIN).records;
        let (_, over) = records.split_last().expect("there are many");
        assert!(over.iter().all(Record::is_over));
        assert_eq!(written, 1_000 + over.len());
        assert!((50..150).contains(&over.len()), "{}", over.len());
    }

    #[test]
    fn moments_chosen_so_that_no_record_ends_by_chance_do_not_make_one_grow() {
        let does_not_end = |at: &i64| {
            let mut record = Record::default();
            record.push(*at, &entry(*at, 5));
            !record.is_over()
        };
        let chosen: Vec<(i64, Entry)> = (1..).filter(does_not_end).map(|at| (at, entry(at, 5))).take(2_000).collect();
        let mut memory = Map::default();
        for (at, entry) in &chosen {
            memory.write(memory.read(*at), &[(*at, entry.clone())], 0);
        }
        let records = memory.read(i64::MIN).records;
        assert!(records.iter().all(|record| record.0.len() < MOST_BYTES + TYPICAL_BYTES));
        // One that comes before all of them moves the end of every record.
        memory.write(memory.read(0), &[(0, entry(0, 5))], chosen.len());
        let mut anew = Map::default();
        anew.write(anew.read(0), &[vec![(0, entry(0, 5))], chosen].concat(), 0);
        assert_eq!(memory.0, anew.0);
    }

    #[test]
    fn a_record_that_was_cut_is_damaged() {
        let mut record = Record::default();
        record.push(1, &entry(1, 5));
        record.push(2, &entry(2, 5));
        for cut in 0..record.0.len() {
            let cut = Record(record.0[..cut].to_vec());
            assert!(cut.last().is_none() || cut.entries().is_none(), "{:?}", cut.0);
        }
    }
}
