//! Waiting until views hold a position.

use std::sync::Arc;

use deltafold_event::Position;
use deltafold_projector::Catalog;

use super::Api;
use crate::{errors::ApiError, reading::last_before};

impl Api {
    /// Waits until the views that a document may read hold a position, up to the limit.
    pub(super) async fn reached(&self, position: Position, document: &str) -> Result<Arc<Catalog>, ApiError> {
        let limit = self.inner.limits.min_position_wait;
        let mut catalog = self.inner.catalog.clone();
        let wait = async {
            loop {
                let found = catalog.wait_for(|catalog| catalog.checkpoint > position || catalog.failure.is_some());
                let found = found.await.map_err(|error| ApiError::internal("catalog", error))?.clone();
                // What is folded in pieces comes with a catalog of its own.
                if found.failure.is_some() || !self.is_earlier(&found, position, document)? {
                    return Ok::<_, ApiError>(found);
                }
                catalog.changed().await.map_err(|error| ApiError::internal("catalog", error))?;
            }
        };
        if let Ok(Ok(found)) = tokio::time::timeout(limit, wait).await
            && found.checkpoint > position
        {
            return Ok(found);
        }
        let reached = last_before(self.inner.catalog.borrow().checkpoint);
        Err(ApiError::NotReached { position, reached, waited_ms: limit.as_millis() as u64 })
    }

    /// Whether a view that a document may read is shown as it was before a position, though there is more.
    pub(super) fn is_earlier(
        &self,
        catalog: &Arc<Catalog>,
        position: Position,
        document: &str,
    ) -> Result<bool, ApiError> {
        let earlier = deltafold_projector::shown_earlier(&self.inner.views.snapshot());
        let earlier = earlier.map_err(|error| ApiError::internal("position", error))?;
        if earlier.values().all(|until| *until > position) {
            return Ok(false);
        }
        let model = &self.current(catalog)?.model;
        Ok(earlier.iter().any(|(name, until)| *until <= position && model.may_be_read(name, document)))
    }
}
