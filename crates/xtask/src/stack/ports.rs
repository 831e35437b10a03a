//! Ports of this machine that nobody listens at.

use super::compose::Compose;
use anyhow::{Context, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below what the kernel gives to outgoing connections. One of those could take the port of a broker that is stopped for a while; even a
/// client's attempt to reach that very broker, which would then talk to itself.
const FIRST: u16 = 15_000;
const COUNT: u16 = 15_000;

/// A port that is free now. Processes begin at places far apart, and no process gets a port twice.
pub(super) fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(u64::from(std::process::id()) * 101 % u64::from(COUNT)).context("it is below COUNT")?;
    (0..COUNT)
        .map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no port of this machine is free")
}

/// The port that the compose file gives a service. That somebody listens there already is an error: we would take it for our part.
pub(super) fn of_compose(compose: &Compose, service: &str) -> Result<u16> {
    let port = compose.port(service)?;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("{service}: port {port} (docker-compose.yml names the variable that moves it)"))?;
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..50).map(|_| free().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
    }
}
