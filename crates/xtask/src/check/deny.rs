//! Licences, banned crates and sources, by `cargo deny`, which is installed beside our other products if it is missing.

use anyhow::Result;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use xtask::command::{cache_dir, cargo, run, workspace_root};

/// Checks what needs no network; advisories only where their database can be had.
pub(crate) fn check() -> Result<()> {
    let program = program()?;
    let deny = |what: &[&str]| {
        let mut command = Command::new(&program);
        // Errors only: what `deny.toml` allows is not worth a page of warnings in every run.
        command.current_dir(workspace_root()).args(["--log-level", "error", "--all-features", "check"]).args(what);
        command
    };
    run("licences, bans, sources", &mut deny(&["licenses", "bans", "sources"]))?;
    if advisories_reachable(&program) {
        run("advisories", &mut deny(&["advisories"]))
    } else {
        eprintln!("xtask: advisories: skipped, their database cannot be fetched from here");
        Ok(())
    }
}

fn advisories_reachable(program: &PathBuf) -> bool {
    let fetch =
        Command::new(program).current_dir(workspace_root()).args(["fetch", "db"]).stderr(Stdio::null()).status();
    fetch.is_ok_and(|status| status.success())
}

fn program() -> Result<PathBuf> {
    let installed = Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if installed.is_ok_and(|status| status.success()) {
        return Ok("cargo-deny".into());
    }
    let root = cache_dir("tools")?;
    let program = root.join("bin").join("cargo-deny");
    if !program.exists() {
        // Its own build folder, so that its dependencies do not mix with ours.
        let mut install = cargo();
        install.args(["install", "cargo-deny", "--locked", "--quiet", "--root"]).arg(&root);
        install.env("CARGO_TARGET_DIR", cache_dir("tools-build")?);
        run("install cargo-deny (once)", &mut install)?;
    }
    Ok(program)
}
