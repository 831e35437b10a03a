//! What the decoder makes of whole records.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

mod decoding {
    mod arbitrary;
    mod bad_input;
    mod changes;
    mod frozen_ids;
    mod keys;
    mod moves;
    mod recorded;
    mod support;
    mod wrapped;
}
