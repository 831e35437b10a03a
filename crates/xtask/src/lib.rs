//! What developer commands, benchmarks and tests share: the seeded generator of change events ([`generator`]), and the means to check
//! what became of them: a server as a child process ([`server`]), a connection to it ([`http`]), the rows it should answer with
//! ([`expected`]), and the store's files read by other code than its own (`audit`). The databases, Kafka and Debezium that a test
//! reads from are a [`stack`].
//!
//! The commands themselves are the binary `xtask`; measuring is the binary `bench`, behind the feature of that name, so that
//! `cargo xtask check` builds in seconds.

#[cfg(feature = "bench")]
pub mod audit;
pub mod command;
pub mod expected;
pub mod generator;
pub mod http;
pub mod node;
pub mod python;
pub mod server;
pub mod stack;
