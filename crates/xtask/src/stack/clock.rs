//! The clock of a database, which a test moves: six weeks pass in seconds.

use super::debian::{Tool, tool};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// How far a clock is from the machine's own: a file that libfaketime reads at each look at the time.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
    /// Seconds ahead of the machine's clock.
    offset: Mutex<f64>,
}

fn library(name: &str) -> PathBuf {
    format!("/usr/lib/{}-linux-gnu/faketime/{name}", std::env::consts::ARCH).into()
}

impl Clock {
    pub(super) fn tool() -> Tool {
        tool(library("libfaketime.so.1"), "faketime")
    }

    /// A clock that goes with the machine's until it is moved.
    pub(super) fn new(dir: &Path) -> Result<Self> {
        let clock = Self { file: dir.join("clock"), offset: Mutex::new(0.0) };
        clock.set_offset(0.0)?;
        Ok(clock)
    }

    /// Puts a program under this clock. A program with threads needs libfaketime's `MT` form.
    pub(super) fn govern(&self, command: &mut Command, threads: bool) {
        let name = if threads { "libfaketimeMT.so.1" } else { "libfaketime.so.1" };
        command.env("LD_PRELOAD", library(name)).env("FAKETIME_TIMESTAMP_FILE", &self.file);
        // Waits are by the monotonic clock: they go on as usual.
        command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
    }

    fn offset(&self) -> std::sync::MutexGuard<'_, f64> {
        self.offset.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Moves it to so many seconds before (negative) or after the machine's time. It goes on from there at the usual pace.
    pub fn set_offset(&self, seconds: f64) -> Result<()> {
        let mut offset = self.offset();
        // Replaced as a whole: half a number would be another time.
        let partial = self.file.with_extension("new");
        std::fs::write(&partial, format!("{seconds:+.6}\n")).with_context(|| format!("write {}", partial.display()))?;
        std::fs::rename(&partial, &self.file).with_context(|| format!("write {}", self.file.display()))?;
        *offset = seconds;
        Ok(())
    }

    /// Moves it to `time`.
    pub fn set(&self, time: SystemTime) -> Result<()> {
        let now = SystemTime::now();
        self.set_offset(match time.duration_since(now) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        })
    }

    /// Lets `duration` pass.
    pub fn advance(&self, duration: Duration) -> Result<()> {
        let offset = *self.offset();
        self.set_offset(offset + duration.as_secs_f64())
    }

    /// What it shows.
    pub fn now(&self) -> SystemTime {
        let offset = *self.offset();
        let span = Duration::from_secs_f64(offset.abs());
        if offset < 0.0 { SystemTime::now() - span } else { SystemTime::now() + span }
    }
}
