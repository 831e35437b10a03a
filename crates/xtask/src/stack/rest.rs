//! Kafka Connect's REST interface, as far as it is needed: one request per connection.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A request may take as long as the workers' agreement on something new.
const LIMIT: Duration = Duration::from_secs(90);

/// An answer's status and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

/// Asks the server at `port` of this machine. In HTTP/1.0, whose answers are whole when the connection ends.
pub(super) fn request(port: u16, method: &str, path: &str, body: Option<&Value>) -> Result<Answer> {
    let what = || format!("{method} 127.0.0.1:{port}{path}");
    let exchange = || -> Result<Answer> {
        let mut socket = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        socket.set_read_timeout(Some(LIMIT))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        socket.write_all(
            format!("{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        parse(&answer)
    };
    exchange().with_context(what)
}

fn parse(answer: &str) -> Result<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status in {head}"))?;
    let body = if body.trim().is_empty() {
        Value::Null
    } else {
        serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))
    };
    Ok(Answer { status, body })
}

impl Answer {
    /// The body; a status that is not one of success is an error.
    pub(super) fn success(self) -> Result<Value> {
        match self.status {
            200..=299 => Ok(self.body),
            status => bail!("{status}: {}", self.body["message"].as_str().unwrap_or(&self.body.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_a_status_and_a_body_or_none() {
        let answer = parse("HTTP/1.1 409 Conflict\r\nServer: x\r\n\r\n{\"message\":\"busy\"}").unwrap();
        assert_eq!(answer.status, 409);
        assert_eq!(answer.success().unwrap_err().to_string(), "409: busy");
        assert_eq!(parse("HTTP/1.1 204 No Content\r\n\r\n").unwrap().success().unwrap(), Value::Null);
        assert!(parse("").is_err());
    }
}
