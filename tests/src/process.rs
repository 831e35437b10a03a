//! The binary as a child process on a data directory: run to its end, killed, or with a fault point set.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The signal that `std::process::abort` ends a process with.
const SIGABRT: i32 = 6;

/// How to call the binary on one data directory.
#[derive(Debug, Clone)]
pub struct Deltafold {
    data: PathBuf,
    fault: Option<String>,
}

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Whether it aborted, as fault points make it do.
    pub aborted: bool,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
}

impl Deltafold {
    /// On this data directory.
    pub fn on(data: &Path) -> Self {
        Self { data: data.to_owned(), fault: None }
    }

    /// The same with a fault point, which is passed `passes` times and then does `what` (`abort`, `ENOSPC`, …) whenever it is reached.
    pub fn failing(&self, point: &str, passes: u32, what: &str) -> Self {
        let fault = match passes {
            0 => format!("{point}=return({what})"),
            passes => format!("{point}={passes}*off->return({what})"),
        };
        Self { fault: Some(fault), ..self.clone() }
    }

    /// A call that is not started yet. Nothing outside the data directory's own folder configures it.
    pub fn command(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(binary());
        let inherited =
            std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("DELTAFOLD_")));
        for (name, _) in inherited {
            command.env_remove(name);
        }
        command.env_remove("FAILPOINTS").env_remove("RUST_LOG");
        if let Some(fault) = &self.fault {
            command.env("FAILPOINTS", fault);
        }
        command.current_dir(self.data.parent().expect("a data directory lies in a folder"));
        command.arg("--data").arg(&self.data).args(arguments).stdin(Stdio::null());
        command
    }

    /// Calls it and waits for its end.
    pub fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ended {
        let output = self.command(arguments).output().expect("the binary starts");
        Ended {
            code: output.status.code(),
            aborted: output.status.signal() == Some(SIGABRT),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Calls it and expects success.
    pub fn succeed(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>> + Clone) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended
    }
}

/// The binary of this build: it lies beside the folder of the test executables.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    let binary = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps").join("deltafold");
    assert!(binary.exists(), "{} is not built (cargo xtask test builds it)", binary.display());
    binary
}
