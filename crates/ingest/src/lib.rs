//! The loop from source to store.
