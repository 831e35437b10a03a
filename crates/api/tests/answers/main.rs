//! What the API answers, over a real store and real views.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

mod append;
mod auth;
mod consistent;
mod dead_letters;
mod errors;
mod events;
mod groups;
mod history;
mod http;
mod jwt;
mod limits;
mod lists;
mod origins;
mod projections;
mod relations;
mod rows;
mod schema;
mod server;
mod shop;
mod sockets;
mod status;
