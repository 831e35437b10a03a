//! The relation keepers with a memory that forgets nothing and looks at all that they write.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{Position, StoredEvent};
use deltafold_relation::{Keeper, KeeperState, Observed, Origins, RowChange, Schemas, Step};

use super::{Kept, shelf::Shelf};
use crate::naive::{self, Relation};

/// The keepers of a stream's types, with all they remember.
#[derive(Debug, Default)]
pub struct InMemory {
    types: BTreeMap<String, (Keeper, Shelf)>,
    schemas: Schemas,
    origins: Origins,
    /// All that was folded.
    log: Vec<StoredEvent>,
}

/// How many events are read again at once.
const AT_ONCE: usize = 5;

impl Kept for InMemory {
    const POSITIONS: usize = usize::MAX;
    const ONE_IN: u32 = 1;

    fn new(schemas: &naive::Schemas) -> Self {
        let mut kept = Self::default();
        for schema in schemas.values() {
            kept.schemas.insert(schema.clone().into());
        }
        kept
    }

    fn fold(&mut self, events: &[StoredEvent]) {
        self.log.extend_from_slice(events);
        for commit in events.chunk_by(|a, b| a.position.version() == b.position.version()) {
            let mut steps = Vec::new();
            for stored in commit {
                if stored.event.is_control() {
                    self.origins.control(stored);
                    self.read_again(&mut steps);
                    continue;
                }
                let observed = self.origins.observe(stored);
                self.read_again(&mut steps);
                let Observed::Given { place, completed } = observed else { continue };
                steps.extend(completed.into_iter().map(|(name, completed)| (name, Step::Complete(completed))));
                steps.push((stored.event.aggregate_type.clone(), Step::Event(stored, place)));
            }
            self.fold_steps(steps);
        }
    }

    fn restart(&mut self) {
        self.origins = Origins::from_bytes(&self.origins.to_bytes()).expect("it was just written");
        for (keeper, shelf) in self.types.values_mut() {
            *keeper = Keeper::new(shelf.state());
            shelf.reread();
        }
    }

    fn relation(&self, name: &str, at: Position, _: &Relation) -> Relation {
        self.types.get(name).map(|(_, shelf)| shelf.believed(at)).unwrap_or_default()
    }

    fn flaw(&self, name: &str) -> Option<String> {
        self.types.get(name).and_then(|(_, shelf)| shelf.flaw())
    }
}

impl InMemory {
    /// What has changed in the relations since this was asked last.
    pub fn take_changes(&mut self) -> BTreeMap<String, Vec<RowChange>> {
        let types = self.types.iter_mut();
        types.map(|(name, (_, shelf))| (name.clone(), std::mem::take(&mut shelf.changed))).collect()
    }

    /// What the relations show now, as changes from nothing.
    pub fn shown(&self) -> BTreeMap<String, Vec<RowChange>> {
        self.types.iter().map(|(name, (_, shelf))| (name.clone(), shelf.shown())).collect()
    }

    /// Folds what has to be read again because of a reset, after what came before.
    fn read_again(&mut self, steps: &mut Vec<(Arc<str>, Step<'_>)>) {
        if self.origins.replay().is_some() {
            self.fold_steps(std::mem::take(steps));
        }
        while let Some((from, until)) = self.origins.replay() {
            let there = self.log.iter().filter(|stored| (from..until).contains(&stored.position));
            let page: Vec<StoredEvent> = there.take(AT_ONCE).cloned().collect();
            let next = page.get(AT_ONCE - 1).map_or(until, |last| last.position.next());
            let steps = self.origins.replayed(&page, next);
            self.fold_steps(steps);
        }
    }

    fn fold_steps(&mut self, steps: Vec<(Arc<str>, Step<'_>)>) {
        let mut by_type: BTreeMap<Arc<str>, Vec<Step<'_>>> = BTreeMap::new();
        for (name, step) in steps {
            by_type.entry(name).or_default().push(step);
        }
        for (name, steps) in by_type {
            fold_type(&mut self.types, &self.schemas, &name, steps);
        }
    }
}

fn fold_type(types: &mut BTreeMap<String, (Keeper, Shelf)>, schemas: &Schemas, name: &str, steps: Vec<Step<'_>>) {
    let (keeper, shelf) =
        types.entry(name.to_owned()).or_insert_with(|| (Keeper::new(KeeperState::default()), Shelf::default()));
    shelf.taken_back |= steps.iter().any(|step| matches!(step, Step::TakeBack(..)));
    let changes = keeper.fold(steps, schemas, shelf).expect("memory does not fail");
    shelf.apply(changes);
}
