//! `bench graphql`: what the API takes over HTTP: reads by key (`reads`), then pages of a large view by an index (`lists`).

use crate::options::Options;
use anyhow::Result;

pub(crate) fn run(options: &Options) -> Result<()> {
    crate::reads::run(options)?;
    crate::lists::run(options)
}
