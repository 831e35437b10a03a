//! Views of random definitions: folded change by change, and run by DataFusion over the rows of the naive fold.

mod batch;
mod grammar;
mod meets;
mod projected;
mod remembered;
pub mod shop;

pub use batch::{Batch, Table, difference};
pub use grammar::{JOINS, Joined, Operator, Written, declared, operators, relations, write};
pub use meets::{Meets, meets};
pub use projected::{Projected, Span, at_moment};
