//! A server on loopback, and requests as they go over the wire.

use deltafold_api::{HttpOptions, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::shop::Shop;

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) cancel: CancellationToken,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
    pub(crate) shop: Shop,
}

impl Server {
    /// Over the shop with its orders.
    pub(crate) async fn start(options: HttpOptions) -> Self {
        Self::over(Shop::with_orders().await, options).await
    }

    pub(crate) async fn over(shop: Shop, options: HttpOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cancel = CancellationToken::new();
        let task = tokio::spawn(serve(shop.api.clone(), listener, options, cancel.clone()));
        Self { port, cancel, task, shop }
    }

    /// The whole response to a request with these lines and this body.
    pub(crate) async fn send(&self, request: &str, headers: &[(&str, &str)], body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut text = format!("{request} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "host") {
            text.push_str(&format!("host: 127.0.0.1:{}\r\n", self.port));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{text}\r\n{body}").as_bytes()).await.unwrap();
        let mut response = Vec::new();
        // A server that refuses a body may close before it was read.
        let _ = stream.read_to_end(&mut response).await;
        String::from_utf8_lossy(&response).into_owned()
    }
}

/// What GraphQL is sent as.
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// The status of a response.
pub(crate) fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or_default()
}
