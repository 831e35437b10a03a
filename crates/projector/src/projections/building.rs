//! Which generations are being built: beginning with what is wanted and not there, and showing what has caught up.

use std::sync::Arc;

use deltafold_event::{Position, Timestamp};

use super::{
    Projections,
    build::{self, Build, Built},
    generation::{Generation, Left, Live},
    plan::Plan,
    record, unseen,
};
use crate::{Log, ProjectorError, indexing};

impl Projections {
    /// The generations that are to be built, and are not.
    pub(super) fn begin_generations(&mut self, checkpoint: Position) -> Vec<(Arc<str>, Arc<Plan>, Generation)> {
        let mut begun = Vec::new();
        for (name, projection) in &mut self.by_name {
            let (true, Ok(plan)) = (projection.can_be_built(), &projection.plan) else { continue };
            if projection.is_as_wanted() {
                projection.cancel_build();
                continue;
            }
            let record = &mut projection.record;
            let is_built = |build: &Build| build.plan().is_same(plan) && build.ordered() == record.build_wanted;
            if projection.build.as_ref().is_some_and(is_built) {
                continue;
            }
            if let Some(build) = projection.build.take() {
                build.cancel();
            }
            begun.push((Arc::clone(name), Arc::clone(plan), record.begin(name, plan, checkpoint)));
            projection.is_changed = true;
        }
        begun
    }

    pub(super) fn begin_builds(
        &mut self,
        begun: Vec<(Arc<str>, Arc<Plan>, Generation)>,
        checkpoint: Position,
        log: &dyn Log,
    ) -> Result<(), ProjectorError> {
        for (name, plan, generation) in begun {
            let view = self.views.generation(&name, generation.number)?;
            // From the start, so that they are whole when it is shown.
            let indexes = indexing::columns(&self.indexes, &generation.info(&name, None), |_, _| ());
            self.views.declare_indexes(&view, &indexes)?;
            let mut live = Live::new(plan, view, generation.skipped.clone());
            live.arrange(generation.arranged.views(&self.views)?);
            let wake = Arc::clone(&self.wake);
            let build = Build::begin(&name, live, generation, &self.means, log.share(), checkpoint, wake)?;
            self.by_name.get_mut(&name).expect("it was just there").build = Some(build);
        }
        Ok(())
    }

    /// Shows what was built, once it has caught up.
    pub(super) fn end_builds(
        &mut self,
        checkpoint: Position,
        recorded_at: Option<Timestamp>,
        log: &mut dyn Log,
    ) -> Result<(), ProjectorError> {
        let names: Vec<Arc<str>> = self.by_name.keys().cloned().collect();
        for name in &names {
            let projection = self.by_name.get_mut(name).expect("it was just there");
            let Some(build) = projection.build.take_if(|build| build.is_over()) else { continue };
            match build.end()? {
                Built::Whole(rest) if rest.has_much_left() => {
                    projection.build = Some(Build::go_on(rest, log.share(), Arc::clone(&self.wake))?);
                }
                Built::Whole(mut rest) => {
                    let mut write = self.views.batch();
                    match rest.catch_up(checkpoint, &self.views.written(), log, &mut write)? {
                        // What was folded last is to be seen when all of it is there.
                        Ok(Left::Some) => {
                            write.commit()?;
                            projection.build = Some(Build::go_on(rest, log.share(), Arc::clone(&self.wake))?);
                        }
                        Ok(Left::Nothing) => {
                            let number = rest.generation.number;
                            rest.generation.shown_from = Some(checkpoint);
                            self.share(name, &mut rest.generation, &mut rest.live)?;
                            let projection = self.by_name.get_mut(name).expect("it was just there");
                            // Where nothing is shown there is nothing to compare with.
                            let is_held = projection.record.is_held && projection.record.serving.is_some();
                            if is_held {
                                projection.record.hold(rest.generation);
                                projection.ready = Some(rest.live);
                            } else {
                                projection.record.show(rest.generation, projection.followed);
                                projection.live = Some(rest.live);
                                projection.ready = None;
                                projection.followed = checkpoint;
                            }
                            let of = if is_held { unseen::ready(name) } else { name.to_string() };
                            self.unseen.forget(&of);
                            projection.is_changed = true;
                            self.put(&mut write);
                            let followed = if is_held { record::READY } else { record::STATES };
                            write.put_checkpoint(&format!("{followed}{name}"), checkpoint);
                            write.put_end(checkpoint, recorded_at.unwrap_or(Timestamp::MIN));
                            write.remove_state(&format!("{}{name}", build::STATES));
                            write.commit()?;
                            tracing::info!(projection = &**name, generation = number, is_held, "it is built");
                        }
                        Err(failed) => projection.fail(name, failed),
                    }
                }
                Built::Failed(failed) => projection.fail(name, failed),
                Built::Cancelled => {}
            }
        }
        Ok(())
    }

    /// Whether nothing is being built, and nothing left of what was folded.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_whole() && self.by_name.values().all(|projection| projection.build.is_none())
    }

    /// Waits until builds have come as far as they can by themselves.
    pub(crate) fn wait_for_builds(&self) {
        self.by_name.values().filter_map(|projection| projection.build.as_ref()).for_each(Build::wait);
    }
}
