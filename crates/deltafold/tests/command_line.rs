//! The command line as its users meet it: what it prints, and how it ends.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod command_line {
    mod commands;
    mod metrics;
    mod place;
    mod tokens;
}
