//! What the decoder makes of whole records.

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
