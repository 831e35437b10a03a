//! What the API is compared with: an axum handler that reads a JSON body and answers with a row it has in memory.

use anyhow::{Context, Result};
use axum::{Json, Router, routing::post};
use serde_json::{Value, json};

/// The word that makes this program the bare server.
pub(crate) const NAME: &str = "bare-server";

/// Serves until killed; says where on stderr, as deltafold does.
pub(crate) fn serve() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("listen")?;
        eprintln!("listening on http://{}", listener.local_addr()?);
        axum::serve(listener, Router::new().route("/graphql", post(answer))).await.context("serve")
    })
}

async fn answer(Json(request): Json<Value>) -> Json<Value> {
    let id = request["variables"]["id"].clone();
    Json(json!({"data": {"ordersByKey": {
        "id": id, "customerId": "4711", "status": "shipped", "total": "123.40", "email": "customer.4711@example.com",
        "updatedAt": "1767225600000000"
    }}}))
}
