//! Texts that requests name rather than send.
//!
//! A text is known by the SHA-256 of its UTF-8, in lower-case hex: whoever sends both makes it known, as Apollo's
//! automatic persisted queries do (<https://www.apollographql.com/docs/apollo-server/performance/apq>). A list of
//! operations gives texts names of its own, and can be all that is answered.

use std::{collections::HashMap, fmt, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::{Weighter, sync::Cache};

use crate::errors::{ApiError, shortened};

/// The operations that a server answers, and no others: texts by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOperations {
    by_id: HashMap<String, Arc<str>>,
    /// By the hash of the text.
    by_hash: HashMap<String, Arc<str>>,
}

/// Why a list of operations cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("it is not a JSON object of texts by their ids, as {{\"id\": \"query …\"}}: {0}")]
pub struct AllowedOperationsError(serde_json::Error);

impl AllowedOperations {
    /// Reads the JSON object that code generators for clients write: texts by their ids, which are mostly hashes.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(json: &str) -> Result<Self, AllowedOperationsError> {
        let texts: HashMap<String, Arc<str>> = serde_json::from_str(json).map_err(AllowedOperationsError)?;
        let by_hash = texts.values().map(|text| (hash(text), text.clone())).collect();
        Ok(Self { by_id: texts, by_hash })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// What a request says to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A text.
    Text(String),
    /// A text that is known by a hash or an id.
    Known(String),
    /// A text, to be known by its hash from now on.
    Told(String, String),
}

impl Asked {
    /// The text, where nothing is known.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn into_text(self) -> Result<Arc<str>, ApiError> {
        match self {
            Self::Text(text) | Self::Told(_, text) => Ok(text.into()),
            Self::Known(_) => Err(ApiError::NotPersisted),
        }
    }
}

/// The texts that are known.
pub(crate) struct Persisted {
    allowed: Option<Arc<AllowedOperations>>,
    told: Cache<String, Arc<str>, Bytes>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<String, Arc<str>> for Bytes {
    fn weight(&self, hash: &String, text: &Arc<str>) -> u64 {
        (hash.len() + text.len()) as u64
    }
}

/// What is kept of texts that were told.
const MOST_BYTES: usize = 8 << 20;

/// They are mostly of about so many bytes.
const USUAL_BYTES: usize = 1_000;

impl Persisted {
    /// With a list, nothing else is answered.
    pub(crate) fn new(allowed: Option<Arc<AllowedOperations>>) -> Self {
        Self { allowed, told: Cache::with_weighter(MOST_BYTES / USUAL_BYTES, MOST_BYTES as u64, Bytes) }
    }

    /// The text that a request asks for.
    ///
    /// # Errors
    /// When it is not known, not allowed, or not what its hash says.
    pub(crate) fn text(&self, asked: Asked) -> Result<Arc<str>, ApiError> {
        if let Some(allowed) = &self.allowed {
            let found = match asked {
                Asked::Known(name) => allowed.by_id.get(&name).or_else(|| allowed.by_hash.get(&name)),
                Asked::Text(text) | Asked::Told(_, text) => allowed.by_hash.get(&hash(&text)),
            };
            return found.cloned().ok_or(ApiError::NotAllowed);
        }
        match asked {
            Asked::Text(text) => Ok(text.into()),
            Asked::Known(hash) => self.told.get(&hash).ok_or(ApiError::NotPersisted),
            Asked::Told(given, text) => {
                let found = hash(&text);
                if found != given {
                    let path = "extensions.persistedQuery.sha256Hash";
                    return Err(ApiError::input(path, format!("the query's hash, {found}"), shortened(&given)));
                }
                let text: Arc<str> = text.into();
                self.told.insert(given, text.clone());
                Ok(text)
            }
        }
    }
}

impl fmt::Debug for Persisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Persisted").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

fn hash(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '{a}' | sha256sum`
    const HASH: &str = "460c3a93211614ac783c0f1d1bbbcb45a6da87d6421b5c0771772588f1015ff8";

    #[test]
    fn what_was_told_is_known() {
        let persisted = Persisted::new(None);
        assert_eq!(persisted.text(Asked::Known(HASH.to_owned())), Err(ApiError::NotPersisted));
        let wrong = persisted.text(Asked::Told("a1".to_owned(), "{a}".to_owned())).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            format!("extensions.persistedQuery.sha256Hash: expected the query's hash, {HASH}, found a1")
        );
        assert!(persisted.text(Asked::Told(HASH.to_owned(), "{a}".to_owned())).is_ok());
        assert_eq!(persisted.text(Asked::Known(HASH.to_owned())), Ok("{a}".into()));
    }

    #[test]
    fn what_is_told_takes_no_more_than_its_bytes() {
        let persisted = Persisted::new(None);
        for number in 0..1_000 {
            let text = format!("{{a{number}{}}}", " ".repeat(20_000));
            persisted.text(Asked::Told(hash(&text), text)).unwrap();
        }
        let weight = persisted.told.weight();
        assert!((1..=MOST_BYTES as u64).contains(&weight), "{weight}");
    }

    #[test]
    fn a_list_is_all_there_is() {
        let operations = AllowedOperations::parse(r#"{"one": "{a}"}"#).unwrap();
        let persisted = Persisted::new(Some(Arc::new(operations)));
        for asked in [Asked::Text("{a}".into()), Asked::Known("one".into()), Asked::Known(hash("{a}"))] {
            assert_eq!(persisted.text(asked), Ok("{a}".into()));
        }
        for asked in [Asked::Text("{b}".into()), Asked::Known("two".into()), Asked::Told(hash("{b}"), "{b}".into())] {
            assert_eq!(persisted.text(asked), Err(ApiError::NotAllowed));
        }
        let wrong = AllowedOperations::parse("[1]").unwrap_err().to_string();
        assert!(wrong.starts_with("it is not a JSON object of texts by their ids"), "{wrong}");
    }
}
