//! Values as Arrow holds them, from their canonical JSON and back.

mod json;
mod parse;
mod types;
mod values;

pub use json::write_json;
pub use parse::{decimal128, scale};
pub use types::{DECIMAL128_DIGITS, data_type};
pub use values::{Values, unquoted};
