//! What readers are told of projections and their views.

use std::sync::Arc;

use deltafold_event::Column;

use super::{Projection, Projections, build::Build, generation::Generation};
use crate::{Catalog, ViewInfo, catalog::ProjectionInfo};

impl Projections {
    /// A catalog with them.
    pub(crate) fn in_catalog(&self, mut catalog: Catalog) -> Catalog {
        catalog.views.extend(self.views());
        catalog.views.sort_by(|one, other| one.name.cmp(&other.name));
        catalog.projections = self.infos();
        catalog
    }

    /// The views that are shown.
    fn views(&self) -> Vec<Arc<ViewInfo>> {
        let info = |(name, projection): (&Arc<str>, &Projection)| {
            let serving = projection.record.serving.as_ref()?;
            let over = self.relations.iter().filter(|mirror| serving.is_over(&mirror.name));
            let mut info = serving.info(name, over.filter_map(|mirror| mirror.history_start).max());
            info.removed = projection.record.removed;
            info.leaving = projection.leaving(serving);
            Some(Arc::new(info))
        };
        self.by_name.iter().filter_map(info).collect()
    }

    /// What there is to say of each.
    fn infos(&self) -> Vec<Arc<ProjectionInfo>> {
        let info = |(name, projection): (&Arc<str>, &Projection)| {
            let record = &projection.record;
            Some(Arc::new(ProjectionInfo {
                name: Arc::clone(name),
                sql: record.sql.as_deref()?.into(),
                generation: record.serving.as_ref().map(|serving| serving.number),
                ready: projection.ready.as_ref().and(record.ready.as_ref()).map(|ready| ready.number),
                previous: record.previous.as_ref().map(|previous| previous.number),
                building: projection.build.as_ref().map(Build::building),
                removed: record.removed,
                is_paused: record.is_paused,
                is_live: projection.live.is_some(),
                problem: record.failed.as_ref().map(ToString::to_string).or(projection.plan.as_ref().err().cloned()),
            }))
        };
        self.by_name.iter().filter_map(info).collect()
    }
}

impl Projection {
    /// The columns that the next build, if there is to be one, does not have as they are.
    fn leaving(&self, serving: &Generation) -> Vec<String> {
        let Ok(plan) = &self.plan else { return Vec::new() };
        let is_there = |column: &&Column| {
            plan.columns.iter().any(|next| next.name == column.name && next.column_type == column.column_type)
        };
        serving.columns.iter().filter(|column| !is_there(column)).map(|column| column.name.clone()).collect()
    }
}
