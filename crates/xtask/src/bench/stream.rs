//! Generated streams, kept as files.

use crate::options::work_dir;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use xtask::generator::{Config, Generated, generate};

/// A stream on disk, and what should come of it.
pub(crate) struct Stream {
    pub(crate) file: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) generated: Generated,
}

impl Stream {
    /// Generates it; the file of an earlier run is used again. A stream without one of its cases is an error.
    pub(crate) fn make(config: &Config) -> Result<Self> {
        let file = work_dir("streams")?.join(config.file_name());
        let generated = if file.exists() {
            generate(config, &mut io::sink())?
        } else {
            let unfinished = file.with_extension("unfinished");
            let out = File::create(&unfinished).with_context(|| format!("write {}", unfinished.display()))?;
            let mut out = BufWriter::with_capacity(1 << 20, out);
            let generated = generate(config, &mut out).with_context(|| format!("write {}", unfinished.display()))?;
            out.flush()?;
            std::fs::rename(&unfinished, &file).with_context(|| format!("name {}", file.display()))?;
            generated
        };
        generated.counts.complete()?;
        // Reads it once, so that every run finds it in the page cache.
        let bytes =
            io::copy(&mut File::open(&file)?, &mut io::sink()).with_context(|| format!("read {}", file.display()))?;
        println!(
            "stream: {} MB, {} keys, seed {}: {}",
            bytes / 1_000_000,
            config.keys.name(),
            config.seed,
            generated.counts
        );
        Ok(Self { file, bytes, generated })
    }
}
