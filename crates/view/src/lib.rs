//! Versioned rows on disk.
