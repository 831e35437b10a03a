//! The query API: a GraphQL schema generated from the views, answered now or as of any moment, and the HTTP server
//! around it.
//!
//! It reads; it holds no state of its own but caches. What mutations do is handed in ([`Commands`]), and how sources are
//! doing ([`Sources`]). What a view means is `deltafold-relation`'s, where its rows
//! are is `deltafold-view`'s. Nothing else uses async-graphql or axum.
//!
//! ```no_run
//! # async fn example(store: deltafold_store::EventStore, views: deltafold_view::ViewStore,
//! #     projector: &deltafold_projector::Projector, commands: std::sync::Arc<dyn deltafold_api::Commands>) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use deltafold_api::{Api, Options};
//!
//! // This process reads no sources.
//! let sources = Arc::new(Vec::new());
//! let api = Api::new(store, views, projector.watch(), commands, sources, Options::default())?;
//! let response = api.execute(serde_json::json!({ "query": "{ projections { name } }" })).await;
//! println!("{response}");
//! # Ok(()) }
//! ```
//!
//! | module | about |
//! |---|---|
//! | `api`, `request`, `persisted`, `pinned`, `documents`, `permission`, `limits`, `inputs`, `shape`, `answer`, `errors` | from a request to a response |
//! | `model`, `names`, `schema`, `scalars`, `values` | from the catalog to a schema |
//! | `reading`, `as_of` | the moment that a response reads at |
//! | `row`, `by_key`, `list`, `filter`, `order`, `page`, `cursor`, `groups`, `tables`, `indexed`, `relations` | the views' rows |
//! | `history`, `entries`, `diff`, `differences`, `aggregate`, `events`, `log` | what happened |
//! | `subscriptions` | what is pushed to whoever waits for it |
//! | `status`, `sources`, `source_state`, `origins`, `dead_letters`, `readiness`, `measures` | what there is and how far it has come |
//! | `commands`, `mutations` | what can be changed, and who is asked to change it |
//! | `http`, `auth`, `console` | the server, and who may ask it |

mod aggregate;
mod answer;
mod api;
mod as_of;
mod auth;
mod by_key;
mod commands;
mod console;
mod cursor;
mod dead_letters;
mod diff;
mod differences;
mod documents;
mod entries;
mod errors;
mod events;
mod filter;
mod groups;
mod history;
mod http;
mod indexed;
mod inputs;
mod limits;
mod list;
mod log;
mod measures;
mod model;
mod mutations;
mod names;
mod order;
mod origins;
mod page;
mod permission;
mod persisted;
mod pinned;
mod projection_diff;
mod readiness;
mod reading;
mod relations;
mod request;
mod row;
mod scalars;
mod schema;
mod shape;
mod source_state;
mod sources;
mod status;
mod subscriptions;
mod tables;
mod values;
mod versions;

pub use api::{Api, BuildError, Options};
pub use auth::{Auth, AuthError, AuthOptions, JwtKey, JwtOptions, NewToken, Principal, Right, Rights, Secret};
pub use commands::{
    AppendEvents, CommandError, CommandResult, Commands, LetterChoice, LetterFailure, NewEvent, Settled,
};
pub use http::{HttpOptions, serve};
pub use limits::Limits;
pub use persisted::{AllowedOperations, AllowedOperationsError};
pub use readiness::Readiness;
pub use relations::DeclaredRelation;
pub use source_state::{PartitionState, SourceState, Sources};
