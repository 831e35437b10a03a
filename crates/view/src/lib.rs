//! Versioned rows on disk: every version of every row of a mirror view, in an embedded LSM store (fjall).
//!
//! A mirror's content is a function of two times (`fold.md`): what was recorded at or before a position says what
//! was so at a moment. This crate keeps the entries that a relation keeper writes, in one atomic batch with the
//! keeper's state and its checkpoint, and answers: the row now, the row as of `(time, position)`, all rows as of
//! it, and SQL over them through DataFusion.
//!
//! It knows nothing of folding (`deltafold-relation`): what an entry means is the keeper's business. It does not
//! fsync: the event store is the log, and what was lost is folded again.
//!
//! ```
//! use deltafold_event::{Position, Timestamp};
//! use deltafold_view::{At, Entry, Options, Stored, ViewStore};
//!
//! # let dir = tempfile::tempdir().expect("a temporary directory");
//! let views = ViewStore::open(dir.path(), Options::default()).expect("opens");
//! let orders = views.mirror("orders").expect("registers");
//! let position = Position::new(1, 0).expect("in range");
//! let noon = Timestamp::from_micros(43_200_000_000);
//! let entry = Stored::new(&Entry { row: Some(r#"{"id":7}"#), ..Entry::absent(noon, b"order", position) });
//!
//! let mut batch = views.batch();
//! batch.put_entry(&orders, "7", &entry).expect("the key is short");
//! batch.put_current(&orders, "7", &entry).expect("the key is short");
//! batch.put_checkpoint("orders", position.next());
//! batch.commit().expect("written");
//!
//! let reader = views.snapshot().reader(&orders);
//! let version = reader.as_of("7", At::time(noon)).expect("readable").expect("there was one");
//! assert_eq!(version.row(), r#"{"id":7}"#);
//! ```
//!
//! | module | about |
//! |---|---|
//! | `store`, `options`, `error`, `fault` | opening, locking, mirrors by name; where tests make it fail |
//! | `key`, `entry`, `keyspaces` | the layout on disk |
//! | `batch`, `bulk`, `forget` | writing: atomic batches; sorted runs when catching up from nothing; what nobody asks for any more |
//! | `snapshot`, `reader`, `as_of`, `scan`, `timelines`, `cache` | reading, all of it at one moment |
//! | `index` | rows by the values of columns, now and as of any moment |
//! | `pending` | reading what is about to be written |
//! | `touched` | what commits change, for those who follow a view |
//! | `version` | what a read gives |
//! | `table` | the DataFusion table |

mod as_of;
mod batch;
mod bulk;
mod cache;
mod entry;
mod error;
mod fault;
mod forget;
mod index;
mod key;
mod keyspaces;
mod options;
mod pending;
mod reader;
mod room;
mod scan;
mod snapshot;
mod store;
mod table;
mod timelines;
mod touched;
mod version;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use bulk::SortedRuns;
pub use entry::{Entry, Stored};
pub use error::{OpenError, ReadError, WriteError};
pub use index::{Between, ByIndex, Direction, Index, Walk};
pub use options::Options;
pub use pending::{Memory, Pending, PendingReader};
pub use reader::{Entries, Keys, Reader, Superseded};
pub use scan::Versions;
pub use snapshot::Snapshot;
pub use store::{Mirror, ViewStore};
pub use table::{MirrorTable, hidden, literal};
pub use timelines::{Beliefs, Compared, Part, Timeline, Timelines};
pub use touched::Touched;
pub use version::{At, Version};
