//! Making Debezium send again what it has sent: the duplicates that come after a crash, at will.

use super::Stack;
use super::part::wait;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// How far a connector had read at some moment, and what its database needs to start there once more.
#[derive(Debug, Clone)]
pub struct Bookmark {
    connector: String,
    offsets: Value,
    /// PostgreSQL: the connector's slot, and a copy of it.
    slot: Option<(String, String)>,
}

impl Stack {
    /// Remembers how far a connector has read; waits until it has read anything.
    pub fn bookmark(&self, connector: &str) -> Result<Bookmark> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let connect = self.connect()?;
        let name = connect.config(connector)?["slot.name"].as_str().map(str::to_owned);
        let offsets = || {
            wait(&format!("{connector} has written how far it is"), LIMIT, || {
                let offsets = connect.offsets(connector)?;
                let is_there = offsets["offsets"].as_array().is_some_and(|offsets| !offsets.is_empty());
                ensure!(is_there, "{offsets}");
                Ok(offsets)
            })
        };
        offsets()?;
        // The slot first: it must not be ahead of the offsets, or what lies between would be lost.
        let slot = match name {
            None => None,
            Some(slot) => {
                let copy = format!("{slot}_copy_{}", COUNT.fetch_add(1, Ordering::Relaxed));
                self.postgres()?.sql(&format!("SELECT pg_copy_logical_replication_slot('{slot}', '{copy}')"))?;
                Some((slot, copy))
            }
        };
        Ok(Bookmark { connector: connector.to_owned(), offsets: offsets()?, slot })
    }

    /// Lets the connector send again what it has sent since the bookmark. The bookmark can be used again.
    pub fn send_again(&self, bookmark: &Bookmark) -> Result<()> {
        let connect = self.connect()?;
        connect.stop_connector(&bookmark.connector)?;
        if let Some((slot, copy)) = &bookmark.slot {
            let postgres = self.postgres()?;
            // Its last reader may not have gone yet.
            wait(&format!("slot {slot} is free"), LIMIT, || {
                postgres.sql(&format!(
                    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{slot}'"
                ))
            })?;
            postgres
                .sql(&format!("SELECT pg_copy_logical_replication_slot('{copy}', '{slot}')"))
                .with_context(|| format!("put slot {slot} back"))?;
        }
        connect.set_offsets(&bookmark.connector, &bookmark.offsets)?;
        connect.resume_connector(&bookmark.connector)
    }
}
