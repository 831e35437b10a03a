//! Load on a server: from one thread that never sleeps, so that it adds no time of its own; or from some that do, so that
//! they take none from the server.

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

    /// As [`Self::paced`], from threads that sleep until a request is due. One that waits for the answer before it
    /// counts from when it was due; that a thread slept longer than it meant to does not count. At an infinite pace they
    /// send as many as are answered.
    pub(crate) fn paced_asleep(&self, per_second: f64, lasting: Duration) -> Result<Series> {
        let interval = Duration::from_secs_f64(1.0 / per_second);
        let connections = (0..CONNECTIONS).map(|_| Connection::open(self.address)).collect::<Result<Vec<_>>>()?;
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (first, connection) in connections.into_iter().enumerate() {
                let numbers = (first as u32..).step_by(CONNECTIONS);
                let dues = numbers.map(move |number| (number as usize, interval * number));
                // All that are due are sent, however late: a server that falls behind must not be spared its backlog.
                let dues = dues.take_while(move |(_, due)| {
                    let reached = if interval.is_zero() { begun.elapsed() } else { *due };
                    reached < lasting
                });
                threads.push(scope.spawn(move || self.send_when_due(connection, begun, dues)));
            }
            let mut latency_ms = Series::default();
            for thread in threads {
                latency_ms.extend(thread.join().expect("sending does not panic")?);
            }
            Ok(latency_ms)
        })
    }

    fn send_when_due(
        &self,
        mut connection: Connection,
        begun: Instant,
        dues: impl Iterator<Item = (usize, Duration)>,
    ) -> Result<Vec<f64>> {
        let mut latency_ms = Vec::new();
        for (number, due) in dues {
            let mut from = begun + due;
            if let Some(early) = from.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
                from = Instant::now();
            }
            connection.send(&self.requests[number % self.requests.len()])?;
            let body = connection.receive()?.context("the connection waits for its answers")?;
            latency_ms.push(from.elapsed().as_secs_f64() * 1e3);
            self.check(body)?;
        }
        Ok(latency_ms)
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
