//! The tasks that tail, fold and checkpoint.
