//! Texts that come again and again, shared.

use std::{collections::HashSet, sync::Arc};

use deltafold_event::SchemaId;

/// Gives equal texts the same allocation. One for a file: it is dropped before it can grow.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    texts: HashSet<Arc<str>>,
    schemas: Vec<SchemaId>,
    last_schema: usize,
}

impl Interner {
    /// The shared form of a text; `last` is a guess, the one given for the row before.
    pub(crate) fn text(&mut self, text: &str, last: &mut Option<Arc<str>>) -> Arc<str> {
        if let Some(last) = last.as_ref().filter(|last| &***last == text) {
            return last.clone();
        }
        let shared = match self.texts.get(text) {
            Some(shared) => shared.clone(),
            None => {
                let shared: Arc<str> = text.into();
                self.texts.insert(shared.clone());
                shared
            }
        };
        *last = Some(shared.clone());
        shared
    }

    /// The schema id with these digits; none if they are none.
    pub(crate) fn schema(&mut self, digits: &str) -> Option<SchemaId> {
        if let Some(last) = self.schemas.get(self.last_schema).filter(|last| last.as_str() == digits) {
            return Some(last.clone());
        }
        self.last_schema = match self.schemas.iter().position(|known| known.as_str() == digits) {
            Some(known) => known,
            None => {
                self.schemas.push(digits.parse().ok()?);
                self.schemas.len() - 1
            }
        };
        self.schemas.get(self.last_schema).cloned()
    }
}
