//! Load on a server, from one thread on a processor of its own: it never sleeps, so that it adds no time of its own.

use crate::numbers::Series;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use xtask::http::Connection;

/// Enough requests under way to keep one processor busy.
const CONNECTIONS: usize = 16;

/// Requests, prepared beforehand, sent in turn.
pub(crate) struct Load {
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    /// Every answer must hold this.
    must_hold: &'static [u8],
}

/// What a stretch of load saw.
pub(crate) struct Seen {
    pub(crate) per_second: f64,
    pub(crate) latency_ms: Series,
}

impl Load {
    pub(crate) fn new(address: SocketAddr, requests: Vec<Vec<u8>>, must_hold: &'static [u8]) -> Self {
        Self { address, requests, must_hold }
    }

    /// As many as the server answers.
    pub(crate) fn full(&self, lasting: Duration) -> Result<Seen> {
        self.run(lasting, None)
    }

    /// So many a second, evenly; latency counts from the moment at which a request was due.
    pub(crate) fn paced(&self, per_second: f64, lasting: Duration) -> Result<Seen> {
        self.run(lasting, Some(Duration::from_secs_f64(1.0 / per_second)))
    }

    fn run(&self, lasting: Duration, interval: Option<Duration>) -> Result<Seen> {
        let mut free = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = Connection::open(self.address)?;
            connection.set_waiting(false)?;
            free.push(connection);
        }
        let mut busy: Vec<(Connection, Instant)> = Vec::new();
        let (mut sent, mut latency_ms) = (0u32, Series::default());
        let begun = Instant::now();
        while begun.elapsed() < lasting || !busy.is_empty() {
            let due = interval.map_or_else(Instant::now, |interval| begun + interval * sent);
            if begun.elapsed() < lasting
                && due <= Instant::now()
                && let Some(mut connection) = free.pop()
            {
                connection.send(&self.requests[sent as usize % self.requests.len()])?;
                sent += 1;
                busy.push((connection, due));
            }
            let mut index = 0;
            while index < busy.len() {
                let (connection, due) = &mut busy[index];
                if let Some(body) = connection.receive()? {
                    latency_ms.push(due.elapsed().as_secs_f64() * 1e3);
                    self.check(body)?;
                    free.push(busy.swap_remove(index).0);
                } else {
                    index += 1;
                }
            }
        }
        Ok(Seen { per_second: f64::from(sent) / begun.elapsed().as_secs_f64(), latency_ms })
    }

    fn check(&self, body: &[u8]) -> Result<()> {
        let holds = body.windows(self.must_hold.len()).any(|window| window == self.must_hold);
        ensure!(holds, "an answer without what was asked for: {}", String::from_utf8_lossy(body));
        Ok(())
    }

    /// Sends some requests unmeasured, so that caches are as they will be.
    pub(crate) fn warm_up(&self) -> Result<()> {
        self.full(Duration::from_secs(1)).map(drop).context("warm up")
    }
}
