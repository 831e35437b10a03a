//! One keep-alive HTTP/1.1 connection, made for measuring: no more work than it takes, and reads that need not wait.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A connection to a server; requests on it follow each other.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    address: SocketAddr,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, address, received: Vec::with_capacity(4096) })
    }

    /// The bytes of a request.
    pub fn request(address: SocketAddr, path: &str, body: &str) -> Vec<u8> {
        let (method, length) = if body.is_empty() { ("GET", 0) } else { ("POST", body.len()) };
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
            .into_bytes()
    }

    /// Whether [`Self::receive`] waits for an answer; it does unless told otherwise.
    pub fn set_waiting(&self, waiting: bool) -> Result<()> {
        Ok(self.socket.set_nonblocking(!waiting)?)
    }

    /// Sends one request.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.received.clear();
        // A request fits in the socket's buffer, so this does not wait even where reading does not.
        self.socket.write_all(request).with_context(|| format!("send to {}", self.address))
    }

    /// The body, if all of it has come; of a connection that waits it always has.
    pub fn receive(&mut self) -> Result<Option<&[u8]>> {
        let mut buffer = [0; 64 * 1024];
        loop {
            if let Some(body) = body_range(&self.received)? {
                return Ok(Some(&self.received[body]));
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => bail!("{} closed the connection", self.address),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error).with_context(|| format!("receive from {}", self.address)),
            }
        }
    }

    /// Asks GraphQL and waits for the answer's `data`; an answer with errors is an error.
    pub fn graphql(&mut self, document: &str, variables: &Value) -> Result<Value> {
        let mut answer = self.ask(&serde_json::json!({"query": document, "variables": variables}))?;
        Ok(answer["data"].take())
    }

    /// Asks GraphQL and waits for all of the answer; one with errors is an error.
    pub fn ask(&mut self, request: &Value) -> Result<Value> {
        self.send(&Self::request(self.address, "/graphql", &request.to_string()))?;
        let answer = self.receive()?.context("the connection waits for its answers")?;
        let answer: Value = serde_json::from_slice(answer).context("the answer is JSON")?;
        if !answer["errors"].is_null() {
            bail!("{request}: {}", answer["errors"]);
        }
        Ok(answer)
    }
}

/// Where the body lies, once all of it is there.
fn body_range(received: &[u8]) -> Result<Option<std::ops::Range<usize>>> {
    let Some(head) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&received[..head]).context("the answer's head is text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, length)| length.trim().parse::<usize>())
        .with_context(|| format!("{status}: the answer says no content-length"))??;
    let body = head + 4..head + 4 + length;
    if received.len() < body.end {
        return Ok(None);
    }
    if !status.contains(" 200 ") {
        bail!("{status}: {}", String::from_utf8_lossy(&received[body]));
    }
    Ok(Some(body))
}
