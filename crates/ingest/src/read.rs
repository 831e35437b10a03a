//! Reading, until there is nothing more, or as long as there is.

mod lines;
mod topics;

pub(crate) use self::{
    lines::read_lines,
    topics::{TopicReader, read_topics},
};

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// At the end of the file.
    Complete,
    /// At the end of a file that was followed and whose name another file has now.
    Replaced,
    /// Before the end, which topics do not have: cancelled, or nobody takes what is read.
    Stopped,
}
