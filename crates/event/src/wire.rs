//! How values are written on the wire.

/// How a column's values are written on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// As they are shown.
    Plain,
}
