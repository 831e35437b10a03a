//! What the API answers, over a real store and real views.

mod errors;
mod events;
mod history;
mod http;
mod limits;
mod lists;
mod rows;
mod schema;
mod shop;
mod status;
