//! Connections: how many there may be, and for how long one is held that nothing is answered on.
//!
//! A connection costs a file and memory before anybody has said who they are, and hyper waits for a request as long as
//! it takes to come. So there are only so many, and one on which nothing was written for longer than any request may
//! take ends: whether a request comes byte by byte or not at all, its answer is not read, or it has nothing more to ask.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// The most connections at once: half of the files that a process may usually have open. Others wait to be accepted.
pub(super) const MOST: usize = 512;

/// Accepts as many connections as there may be.
pub(super) struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Connections {
    /// Ends connections after `patience` without an answer.
    pub(super) fn new(listener: TcpListener, most: usize, patience: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(most)), patience }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = self.places.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // An answer that waits for the acknowledgement of the one before it waits for the client's timer.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps small packets back");
        }
        let (patience, end) = (self.patience, Box::pin(sleep(self.patience)));
        (Connection { stream, patience, end, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One that takes up a place until it is dropped.
pub(super) struct Connection {
    stream: TcpStream,
    patience: Duration,
    /// When it ends unless something is written before.
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// What came of reading or writing; if that still waits, whether it may.
    fn or_ended<T>(&mut self, cx: &mut Context<'_>, came: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match came {
            Poll::Pending => self.end.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            came => came,
        }
    }

    fn written(&mut self, cx: &mut Context<'_>, came: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if came.is_ready() {
            self.end.as_mut().reset(Instant::now() + self.patience);
        }
        self.or_ended(cx, came)
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.or_ended(cx, came)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, came)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let came = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, came)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::{interval, timeout},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    async fn served(most: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Connections::new(listener, most, Duration::from_millis(300));
        let router = Router::new().route("/", get(async || "ok"));
        tokio::spawn(async { axum::serve(connections, router).await });
        address
    }

    /// Sends the beginning of something, and then more and more of it until the connection is closed.
    async fn sent_until_closed(address: SocketAddr, first: &str, more: &str) {
        let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        write.write_all(first.as_bytes()).await.unwrap();
        let mut pace = interval(Duration::from_millis(10));
        let dripping = async {
            while write.write_all(more.as_bytes()).await.is_ok() {
                pace.tick().await;
            }
        };
        let closed = async {
            let _ = read.read_to_end(&mut Vec::new()).await;
        };
        tokio::select! { () = dripping => {}, () = closed => {} }
    }

    #[tokio::test]
    async fn what_is_never_a_request_ends() {
        let address = served(MOST).await;
        let asked_once = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        for (first, more) in
            [("", ""), ("", "G"), ("PRI * HTTP/2.0\r\n", ""), ("GET / HTTP/1.1\r\n", "a: b\r\n"), (asked_once, "")]
        {
            timeout(LIMIT, sent_until_closed(address, first, more)).await.expect("it is closed");
        }
    }

    #[tokio::test]
    async fn whoever_finds_no_place_is_answered_when_one_is_left() {
        let address = served(1).await;
        let _idle = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut response = String::new();
        timeout(LIMIT, second.read_to_string(&mut response)).await.expect("it gets its place").unwrap();
        assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    }
}
