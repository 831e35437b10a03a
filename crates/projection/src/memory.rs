//! Where a fold's memory is read.

use std::{marker::PhantomData, sync::Arc};

use deltafold_event::{Position, Timestamp};

/// A row of a view from a moment on, until the next version of its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The moment.
    pub valid_from: Timestamp,
    /// The position from which it is believed.
    pub recorded_from: Position,
    /// The row, a JSON object of canonical values; none: absent.
    pub row: Option<Arc<str>>,
}

/// A key of a fold's memory with its value.
pub type Pair = (Box<[u8]>, Box<[u8]>);

/// What a fold has remembered and shown until now: what all changes before the ones that are being folded made of it.
///
/// What a fold remembers is a map from bytes to bytes, in the order of the bytes. What it shows are the versions of each
/// key, by the moment they are valid from, of which no two that follow one another are of the same row.
pub trait Memory {
    /// Why a read failed.
    type Error;

    /// What is remembered under a key.
    ///
    /// # Errors
    /// When the store fails; so do all others.
    fn get(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, Self::Error>;

    /// What is remembered from one key until before another, in order.
    fn range(&self, from: &[u8], until: &[u8]) -> Box<dyn Iterator<Item = Result<Pair, Self::Error>> + '_>;

    /// The last that is remembered from one key until before another.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn last_in(&self, from: &[u8], until: &[u8]) -> Result<Option<Pair>, Self::Error>;

    /// The newest version of a key.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn newest(&self, key: &str) -> Result<Option<Version>, Self::Error>;

    /// The newest version of a key that is valid from before a moment.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn version_before(&self, key: &str, moment: Timestamp) -> Result<Option<Version>, Self::Error>;

    /// The versions of a key that are valid from a moment or later, in order.
    fn versions_from(
        &self,
        key: &str,
        moment: Timestamp,
    ) -> Box<dyn Iterator<Item = Result<Version, Self::Error>> + '_>;
}

/// The memory of what was never folded.
pub struct NoMemory<E>(PhantomData<E>);

impl<E> Default for NoMemory<E> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E> Memory for NoMemory<E> {
    type Error = E;

    fn get(&self, _: &[u8]) -> Result<Option<Box<[u8]>>, Self::Error> {
        Ok(None)
    }

    fn range(&self, _: &[u8], _: &[u8]) -> Box<dyn Iterator<Item = Result<Pair, Self::Error>> + '_> {
        Box::new(std::iter::empty())
    }

    fn last_in(&self, _: &[u8], _: &[u8]) -> Result<Option<Pair>, Self::Error> {
        Ok(None)
    }

    fn newest(&self, _: &str) -> Result<Option<Version>, Self::Error> {
        Ok(None)
    }

    fn version_before(&self, _: &str, _: Timestamp) -> Result<Option<Version>, Self::Error> {
        Ok(None)
    }

    fn versions_from(&self, _: &str, _: Timestamp) -> Box<dyn Iterator<Item = Result<Version, Self::Error>> + '_> {
        Box::new(std::iter::empty())
    }
}
