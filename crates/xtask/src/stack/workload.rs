//! The shop and the warehouse at work.

use super::mariadb::MariaDb;
use super::part::Part;
use super::postgres::Postgres;
use super::{Stack, files};
use anyhow::Result;
use rustix::process::Signal;
use std::path::Path;

/// The clients that change rows, one step a second.
#[derive(Debug)]
pub(super) struct Workload(Vec<Part>);

impl Workload {
    pub(super) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter()
    }
}

impl Stack {
    /// Starts the workload of each database that there is.
    pub fn start_workload(&mut self) -> Result<()> {
        let mut parts = Vec::new();
        if let Some(postgres) = &self.postgres {
            parts.push(shop(postgres, &self.dir)?);
        }
        if let Some(mariadb) = &self.mariadb {
            parts.push(warehouse(mariadb, &self.dir)?);
        }
        self.workload = Some(Workload(parts));
        Ok(())
    }

    /// Ends it, and waits until it has ended.
    pub fn stop_workload(&mut self) -> Result<()> {
        let parts = self.workload.take();
        parts.iter().flat_map(Workload::parts).try_for_each(Part::stop)
    }
}

fn shop(postgres: &Postgres, dir: &Path) -> Result<Part> {
    let part = Part::new("shop", dir, Signal::TERM);
    let mut psql = postgres.psql(&postgres.connection.database);
    part.start(psql.arg("--file").arg(files().join("postgres").join("workload.sql")))?;
    Ok(part)
}

fn warehouse(mariadb: &MariaDb, dir: &Path) -> Result<Part> {
    let part = Part::new("warehouse", dir, Signal::TERM);
    let source = format!("source {}", files().join("mariadb").join("workload.sql").display());
    part.start(mariadb.client().args(["--execute", &source]))?;
    Ok(part)
}
