//! Histories of a small database, as its connectors tell them, with every case that `fold.md` names, and counts of the
//! cases made. Resets are in histories of their own: some laws leave them out.
//!
//! A [`Script`] says what clients, an operator and the connectors do; every part of one is a script too, so that
//! a failing one can be made small. A [`Stream`] is what the connectors then send. A [`Delivery`] is an order in
//! which it arrives: partitions interleaved, records late, read again, delivered again.

mod case;
mod connector;
mod counting;
mod database;
mod delivery;
mod draft;
mod rearranged;
mod record;
mod step;
mod stream;
mod table;

pub use case::{Case, Counts};
pub use delivery::{Delivered, Delivery};
pub use record::{Arrival, Item, Record};
pub use step::{Script, Step, What, restored_scripts, scripts};
pub use stream::Stream;
pub use table::Row;
