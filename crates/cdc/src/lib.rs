//! Decoders: bytes of a change record to events.
