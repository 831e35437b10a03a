//! What is written of transactions: one state per origin and one per transaction that is remembered, so that a batch
//! writes what it changed and no more.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_64;

use super::{Transactions, origin::Summary, transaction::Transaction};
use crate::StateError;

/// The first byte of each state.
const FORMAT: u8 = 1;

/// What an origin's state says.
#[derive(Serialize, Deserialize)]
struct Told {
    name: String,
    summary: Summary,
}

impl Transactions {
    /// What changed since it was asked for last: names of states with their bytes, none where the state is to be removed.
    pub fn take_changes(&mut self) -> Vec<(String, Option<Vec<u8>>)> {
        let mut changes = Vec::new();
        for origin in &mut self.origins {
            let name = &*origin.name;
            if origin.written.as_ref() != Some(&origin.summary) {
                let told = Told { name: name.to_string(), summary: origin.summary.clone() };
                changes.push((origin_name(name), Some(to_bytes(&told))));
                origin.written = Some(origin.summary.clone());
            }
            for id in origin.forgotten.drain(..).filter(|id| !origin.transactions.contains_key(id)) {
                changes.push((transaction_name(name, id), None));
            }
            for id in origin.unwritten.drain(..) {
                let Some(transaction) = origin.transactions.get_mut(&id) else { continue };
                if !std::mem::replace(&mut transaction.is_written, true) {
                    changes.push((transaction_name(name, id), Some(to_bytes(transaction))));
                }
            }
        }
        // Not in the order of a hash map.
        changes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        changes
    }

    /// From the states that [`Self::take_changes`] told of, under the same names.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn from_states(states: &[(String, Vec<u8>)]) -> Result<Self, StateError> {
        let mut found = Self::default();
        let mut servers = BTreeMap::new();
        let (origins, transactions): (Vec<_>, Vec<_>) = states.iter().partition(|(name, _)| name.len() == HASH_DIGITS);
        for (name, bytes) in origins {
            let Told { name: server, summary } = from_bytes(bytes)?;
            let origin = found.origin(&server);
            (origin.summary, origin.written) = (summary.clone(), Some(summary));
            servers.insert(name.as_str(), server);
        }
        for (name, bytes) in transactions {
            let damaged = || StateError::Damaged(format!("a transaction's state has the name {name}"));
            let (origin, id) = name.split_at_checked(HASH_DIGITS).ok_or_else(damaged)?;
            let origin = servers.get(origin).ok_or_else(damaged)?;
            let id = u64::from_str_radix(id, 16).map_err(|_| damaged())?;
            let mut transaction: Transaction = from_bytes(bytes)?;
            transaction.is_written = true;
            let origin = found.origin(origin);
            origin.transactions.insert(id, transaction);
            origin.note(id);
        }
        Ok(found)
    }
}

/// How long the part of a name is that stands for an origin.
const HASH_DIGITS: usize = 16;

fn origin_name(origin: &str) -> String {
    format!("{:016x}", xxh3_64(origin.as_bytes()))
}

fn transaction_name(origin: &str, id: u64) -> String {
    let mut name = origin_name(origin);
    write!(name, "{id:016x}").expect("a String takes all text");
    name
}

fn to_bytes(state: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(state, vec![FORMAT]).expect("writing to memory does not fail")
}

fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| StateError::Damaged(error.to_string())),
        Some((&other, _)) => Err(StateError::Format(other)),
        None => Err(StateError::Damaged("no bytes".to_owned())),
    }
}
