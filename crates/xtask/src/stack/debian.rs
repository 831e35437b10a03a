//! Programs from Debian packages: found, or installed where we may.

use crate::command::run;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A file that a package brings: a program by its name, or a file by its path.
#[derive(Debug, Clone)]
pub(crate) struct Tool {
    file: PathBuf,
    package: String,
}

/// What needs one tool and is not there without it.
pub(crate) fn tool(file: impl Into<PathBuf>, package: impl Into<String>) -> Tool {
    Tool { file: file.into(), package: package.into() }
}

impl Tool {
    fn is_there(&self) -> bool {
        if self.file.is_absolute() {
            return self.file.exists();
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]).any(|dir| dir.join(&self.file).is_file())
    }
}

/// Installs what is missing; an error that names it where that cannot be done.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    // One at a time: a second installation would only wait for the first.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !tool.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let files: Vec<String> = missing.iter().map(|tool| tool.file.display().to_string()).collect();
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.package.as_str()).collect();
    packages.sort_unstable();
    packages.dedup();
    let advice = format!("missing: {}; install the Debian packages {}", files.join(", "), packages.join(" "));
    if !rustix::process::geteuid().is_root() {
        bail!("{advice} (as root we would have done so)");
    }
    install(&packages).with_context(|| advice.clone())?;
    match missing.iter().find(|tool| !tool.is_there()) {
        Some(tool) => {
            bail!("the Debian package {} was installed, but there is no {}", tool.package, tool.file.display())
        }
        None => Ok(()),
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "--quiet", "--option", "DPkg::Lock::Timeout=600"]);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    let _quiet = NoServices::set()?;
    run("apt-get update", apt().arg("update"))?;
    run(
        &format!("apt-get install {}", packages.join(" ")),
        apt().args(["install", "--yes", "--no-install-recommends"]).args(packages),
    )
}

/// While it lives, packages that are installed do not start services of their own.
struct NoServices(Option<&'static Path>);

impl NoServices {
    fn set() -> Result<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            return Ok(Self(None));
        }
        std::fs::write(policy, "#!/bin/sh\nexit 101\n").with_context(|| format!("write {}", policy.display()))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(policy, mode).with_context(|| format!("change {}", policy.display()))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            let _ = std::fs::remove_file(policy);
        }
    }
}
