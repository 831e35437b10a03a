//! Views of random definitions: folded change by change, and run by DataFusion over the rows of the naive fold.

mod batch;
mod grammar;
mod projected;
mod remembered;

pub use batch::{Batch, difference};
pub use grammar::{Operator, Written, declared, relations, write};
pub use projected::{Projected, Span};
