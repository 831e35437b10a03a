//! Databases refuse to run as root: then they run as the user that their package has made.

use anyhow::{Context, Result};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A user, unless we are an ordinary one ourselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account(Option<(u32, u32)>);

impl Account {
    pub(super) fn named(name: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self(None));
        }
        let users = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        let ids = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        });
        Ok(Self(Some(ids.with_context(|| format!("there is no user {name} in /etc/passwd"))?)))
    }

    /// Runs `command` as this user.
    pub(super) fn lead(self, command: &mut Command) {
        if let Self(Some((user, group))) = self {
            command.uid(user).gid(group);
        }
    }

    /// Gives the user a file or a folder, not what is in it.
    pub(super) fn own(self, path: &Path) -> Result<()> {
        let Self(Some((user, group))) = self else { return Ok(()) };
        chown(path, Some(user), Some(group)).with_context(|| format!("give {} to another user", path.display()))
    }
}
