//! Where commands run, and the server that some of them ask.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc,
    time::Duration,
};

use assert_cmd::Command;

/// A directory of its own, where commands run.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// How a command ends: exit code, stdout, stderr.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deltafold"));
        let output = command.current_dir(self.path()).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout
    }

    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let (found, stdout, stderr) = self.run(arguments);
        assert_eq!(found, code, "{arguments:?}: {stdout} {stderr}");
        stderr
    }
}

/// How long a server may be silent before it says what it is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a port of the system's choice, stopped with SIGTERM when it goes.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    /// What it has logged since it listens.
    log: mpsc::Receiver<String>,
}

impl Server {
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::start_at(place, "127.0.0.1:0", arguments)
    }

    /// The same at another address.
    pub(crate) fn start_at(place: &Place, listen: &str, arguments: &[&str]) -> Self {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_deltafold"))
            .current_dir(place.path())
            .args(arguments)
            .args(["--listen", listen])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("it listens").unwrap();
            if let Some((_, address)) = line.split_once("listening on ") {
                // Whatever it listens on, it is asked over loopback.
                break address.trim().replace("0.0.0.0", "127.0.0.1");
            }
        };
        let (log, lines_after) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(log.send(line))));
        Self { child, url, log: lines_after }
    }

    /// Waits until its log says something.
    pub(crate) fn wait_for(&self, text: &str) {
        loop {
            let line =
                self.log.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("it does not say {text:?}: {error}"));
            if line.contains(text) {
                return;
            }
        }
    }

    /// Asks it to stop; how it ended.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        self.child.wait().unwrap().code()
    }

    /// The response to a GET: its status and its body.
    pub(crate) fn get(&self, path: &str, token: Option<&str>) -> (u16, String) {
        let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        self.get_by_name(self.address(), path, &authorization)
    }

    fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// Status and body, when it is called by this name, with these lines of headers.
    pub(crate) fn get_by_name(&self, host: &str, path: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

/// A change of an order, so many seconds after eight.
pub(crate) fn order(id: u64, status: &str, second: u64) -> String {
    let micros = 1_790_582_400_000_000 + second * 1_000_000;
    let operation = if status == "new" { "c" } else { "u" };
    format!(
        r#"{{"key":{{"id":{id}}},"value":{{"before":null,"after":{{"id":{id},"status":"{status}"}},"source":{{"version":"3.5.0.Final","connector":"postgresql","name":"shop","ts_ms":{},"snapshot":"false","db":"shop","sequence":"[\"1\",\"{second}\"]","ts_us":{micros},"schema":"public","table":"orders","txId":{second},"lsn":{second}}},"op":"{operation}","ts_ms":1795263674757}}}}"#,
        micros / 1_000
    ) + "\n"
}

/// Order 7 at the full minute of 08:00, paid a minute later; and a line that is none.
pub(crate) fn a_day_in_the_shop() -> String {
    order(7, "new", 0) + &order(7, "paid", 60) + "{\"cut\":\n"
}
