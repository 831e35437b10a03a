//! Arrangements: what joins remember of relations by what has to be equal, once for all views that need the same of it.
//!
//! Each is a view of its own in the index, of which only what is remembered is used. A build makes its own, since it is
//! folded at its own pace. When its view is shown and another one has the same, which is folded until the same position,
//! that one is used from then on. All views that use one remember the same in it, and each puts it: it is written once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use deltafold_projection::Arrangement;
use deltafold_view::{Mirror, ViewStore, WriteError};
use serde::{Deserialize, Serialize};

use super::{
    Projection, Projections,
    generation::{Generation, Live},
    plan::Plan,
};
use crate::ProjectorError;

/// Where an arrangement is: the generation that it was built for, and what remembered it there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    projection: Arc<str>,
    generation: u32,
    operator: u16,
}

impl Place {
    /// The view in the index. No projection has such a name: it is that of a file.
    fn view_name(&self) -> String {
        format!("{}/{}", self.projection, self.operator)
    }

    fn of_view(name: &str, generation: u32) -> Option<Self> {
        let (projection, operator) = name.rsplit_once('/')?;
        Some(Self { projection: projection.into(), generation, operator: operator.parse().ok()? })
    }
}

/// The arrangements of a generation, by operator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Arranged {
    places: BTreeMap<u16, Place>,
    /// Whether any of them is another's too, or was: it goes on while this generation is not folded.
    is_shared: bool,
}

impl Arranged {
    /// Those that a generation has for itself.
    pub(crate) fn own(projection: &Arc<str>, generation: u32, plan: &Plan) -> Self {
        let all = plan.fold.arrangements();
        let place = |arrangement: &Arrangement| {
            // Of the same of several operators there is one.
            let first = all.iter().find(|there| there.of == arrangement.of).unwrap_or(arrangement);
            (arrangement.operator, Place { projection: Arc::clone(projection), generation, operator: first.operator })
        };
        Self { places: all.iter().map(place).collect(), is_shared: false }
    }

    /// Whether a generation that was not folded for some time can be folded on.
    pub(crate) fn stays(&self) -> bool {
        !self.is_shared
    }

    /// Those of a generation that is not folded any more.
    pub(crate) fn ended(self) -> Self {
        if self.is_shared { Self { places: BTreeMap::new(), ..self } } else { self }
    }

    /// Where they are in an index.
    pub(crate) fn views(&self, views: &ViewStore) -> Result<BTreeMap<u16, Mirror>, WriteError> {
        let view = |(operator, place): (&u16, &Place)| {
            Ok((*operator, views.generation(&place.view_name(), place.generation)?))
        };
        self.places.iter().map(view).collect()
    }
}

impl Projections {
    /// Has a generation that is about to be shown use what others have arranged. Everything that was committed is folded in
    /// all of them.
    pub(super) fn share(
        &mut self,
        name: &str,
        generation: &mut Generation,
        live: &mut Live,
    ) -> Result<(), ProjectorError> {
        let mut taken = BTreeSet::new();
        for arrangement in live.plan.fold.arrangements() {
            let others = self.by_name.iter().filter(|(other, _)| ***other != *name);
            let mut there = others.flat_map(|(_, other)| other.folded());
            let found = there.find_map(|(live, other)| {
                let mut of_other = live.plan.fold.arrangements().iter();
                let same = of_other.find(|there| there.of == arrangement.of && other.skipped == generation.skipped)?;
                other.arranged.places.get(&same.operator).cloned()
            });
            if let Some(place) = found {
                generation.arranged.places.insert(arrangement.operator, place.clone());
                generation.arranged.is_shared = true;
                taken.insert(place);
            }
        }
        for projection in self.by_name.values_mut() {
            for of in projection.record.serving.iter_mut().chain(&mut projection.record.ready) {
                if !of.arranged.is_shared && of.arranged.places.values().any(|place| taken.contains(place)) {
                    of.arranged.is_shared = true;
                    projection.is_changed = true;
                }
            }
        }
        live.arrange(generation.arranged.views(&self.views)?);
        self.are_swept = false;
        Ok(())
    }

    /// Removes the arrangements that nothing needs.
    pub(super) fn sweep(&mut self) -> Result<(), ProjectorError> {
        if self.are_swept {
            return Ok(());
        }
        let records = self.by_name.values().map(|projection| &projection.record);
        let generations = records.flat_map(|record| {
            [&record.serving, &record.ready, &record.building, &record.previous].into_iter().flatten()
        });
        let needed: BTreeSet<Place> = generations.flat_map(|of| of.arranged.places.values().cloned()).collect();
        self.are_swept = true;
        for (name, generation) in self.views.generations() {
            let Some(place) = Place::of_view(&name, generation) else { continue };
            let is_built = self.by_name.get(&place.projection).is_some_and(|owner| owner.build.is_some());
            match needed.contains(&place) {
                true => {}
                // A build may be about to end.
                false if is_built => self.are_swept = false,
                false => self.views.drop_generation(&name, generation)?,
            }
        }
        Ok(())
    }
}

impl Projection {
    /// What of it is folded.
    fn folded(&self) -> impl Iterator<Item = (&Live, &Generation)> {
        let shown = self.live.as_ref().zip(self.record.serving.as_ref());
        shown.into_iter().chain(self.ready.as_ref().zip(self.record.ready.as_ref()))
    }
}
