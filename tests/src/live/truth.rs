//! What a database says of itself.

use crate::recording::Moment;

/// From one line of JSON: `{"at": …, "tables": {…}}`, as in the recordings.
pub(super) fn moment(said: &str) -> Moment {
    Moment::parse(said.trim())
}
