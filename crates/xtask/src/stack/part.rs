//! One process of a stack: in a process group of its own, with a log file, and a note of its id that outlives the program that
//! started it.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How often a condition that is waited for is looked at.
const POLL: Duration = Duration::from_millis(50);

/// How long a process may take to end when asked to.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How many of a log's last lines an error shows.
const SHOWN_LINES: usize = 15;

/// Waits until `probe` gives an answer; an error with its last complaint after `limit`.
pub(super) fn wait<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return Ok(answer),
            Err(error) if begun.elapsed() > limit => {
                return Err(error.context(format!("waited {limit:?} until {what}")));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// A process that can be started more than once.
#[derive(Debug)]
pub(super) struct Part {
    name: &'static str,
    dir: PathBuf,
    /// What asks it to end in good order.
    farewell: Signal,
    child: Mutex<Option<Child>>,
}

impl Part {
    pub(super) fn new(name: &'static str, dir: &Path, farewell: Signal) -> Self {
        Self { name, dir: dir.to_owned(), farewell, child: Mutex::new(None) }
    }

    /// Where everything that it prints is appended.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join(format!("{}.log", self.name))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Starts it; an error if it runs.
    pub(super) fn start(&self, command: &mut Command) -> Result<()> {
        let mut slot = self.slot();
        if slot.is_some() {
            bail!("{} has been started before", self.name);
        }
        let path = self.log();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("write {}", path.display()))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = command.spawn().with_context(|| format!("{}: start {:?}", self.name, command.get_program()))?;
        Note::of(self, &child)?.write(&self.dir)?;
        *slot = Some(child);
        Ok(())
    }

    /// Waits until `probe` gives an answer. That the process ends first, or takes longer than `limit`, is an error with its last words.
    pub(super) fn wait_until<T>(&self, what: &str, limit: Duration, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        loop {
            let error = match probe() {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if let Some(status) = self.slot().as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{}: waiting until {what}: it ended ({status}); {}", self.name, self.last_words());
            }
            if begun.elapsed() > limit {
                bail!("{}: not {what} within {limit:?}: {error:#}; {}", self.name, self.last_words());
            }
            std::thread::sleep(POLL);
        }
    }

    /// The log's name and its last lines.
    pub(super) fn last_words(&self) -> String {
        let path = self.log();
        let text = std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        format!("its log {} ends with\n    {}", path.display(), shown.join("\n    "))
    }

    pub(super) fn is_running(&self) -> bool {
        self.slot().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Asks it to end, waits until it has, and kills it if it does not. Nothing happens if it does not run.
    pub(super) fn stop(&self) -> Result<()> {
        self.stop_by(self.farewell)
    }

    /// Does the same with another signal than its own.
    pub(super) fn stop_by(&self, farewell: Signal) -> Result<()> {
        let mut slot = self.slot();
        let Some(mut child) = slot.take() else { return Ok(()) };
        // It may have ended by itself, which is as well.
        let _ = kill_process(id_of(&child)?, farewell);
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > STOP_LIMIT {
                end(&mut child)?;
                bail!("{}: did not stop within {STOP_LIMIT:?} and was killed; {}", self.name, self.last_words());
            }
            std::thread::sleep(POLL);
        }
        Note::remove(&self.dir, self.name)
    }

    /// Ends it and its children at once (SIGKILL), as a crash would.
    pub(super) fn kill(&self) -> Result<()> {
        let mut slot = self.slot();
        let Some(mut child) = slot.take() else { return Ok(()) };
        end(&mut child)?;
        Note::remove(&self.dir, self.name)
    }

    /// Lets go of it: it runs on after this program.
    pub(super) fn detach(&self) {
        self.slot().take();
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Nobody else is going to.
        let _ = self.kill();
    }
}

fn id_of(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a child's id is a positive number")
}

fn end(child: &mut Child) -> Result<()> {
    // The group may be empty already.
    let _ = kill_process_group(id_of(child)?, Signal::KILL);
    child.wait().context("wait for a killed process")?;
    // libfaketime's shared memory outlives a process that is killed; of most parts there is none.
    for name in [format!("faketime_shm_{}", child.id()), format!("sem.faketime_sem_{}", child.id())] {
        let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
    }
    Ok(())
}

/// A process that some program has started: enough to find it again, and no other that has come to bear the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) name: String,
    id: i32,
    /// When the process began, in the kernel's ticks.
    began: u64,
    farewell: i32,
}

impl Note {
    fn of(part: &Part, child: &Child) -> Result<Self> {
        let id = i32::try_from(child.id()).context("an id is a small number")?;
        // A process that has ended at once is still there, for we have not waited for it.
        let (_, began) = state(id).with_context(|| format!("{}: look at process {id}", part.name))?;
        Ok(Self { name: part.name.to_owned(), id, began, farewell: part.farewell.as_raw() })
    }

    fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(format!("{}.pid", self.name));
        std::fs::write(&path, format!("{} {} {}\n", self.id, self.began, self.farewell))
            .with_context(|| format!("write {}", path.display()))
    }

    fn remove(dir: &Path, name: &str) -> Result<()> {
        let path = dir.join(format!("{name}.pid"));
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// All notes in `dir`, by name.
    pub(super) fn all(dir: &Path) -> Result<Vec<Self>> {
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("list {}", dir.display())),
        };
        let mut notes = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("list {}", dir.display()))?.path();
            if path.extension().is_some_and(|extension| extension == "pid") {
                let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                // A note that is not whole was being written when its writer was killed; there is nothing to learn from it.
                notes.extend(Self::parse(&name, &text));
            }
        }
        notes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(notes)
    }

    fn parse(name: &str, text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let id = words.next()?.parse().ok()?;
        let began = words.next()?.parse().ok()?;
        let farewell = words.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), id, began, farewell })
    }

    pub(super) fn is_running(&self) -> bool {
        began(self.id) == Some(self.began)
    }

    /// Asks the process to end, waits, kills its group if need be, and removes the note.
    pub(super) fn stop(&self, dir: &Path) -> Result<()> {
        if let (true, Some(id)) = (self.is_running(), Pid::from_raw(self.id)) {
            if let Some(farewell) = Signal::from_named_raw(self.farewell) {
                let _ = kill_process(id, farewell);
            }
            let begun = Instant::now();
            while self.is_running() && begun.elapsed() < STOP_LIMIT {
                std::thread::sleep(POLL);
            }
            if self.is_running() {
                let _ = kill_process_group(id, Signal::KILL);
            }
        }
        Self::remove(dir, &self.name)
    }
}

/// When process `id` began; none if there is no such process, or nothing is left of it but its exit code.
pub(super) fn began(id: i32) -> Option<u64> {
    let (state, began) = state(id)?;
    (state != "Z").then_some(began)
}

/// The kernel's letter for what a process is doing, and when it began.
fn state(id: i32) -> Option<(String, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name, in parentheses, may hold anything; what follows does not.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.to_owned(), fields.nth(18)?.parse().ok()?))
}

/// Kills what runs in `dir` as soon as this program ends, however it ends; and removes `dir`.
#[derive(Debug)]
pub(super) struct Watcher(Child);

/// Its standard input is a pipe whose other end only we have; it ends when we do.
const WATCH: &str = r#"
cat > /dev/null
each() {
    for note in "$dir"/*.pid; do
        [ -e "$note" ] && read -r id rest < "$note" && "$@"
    done
}
end() {
    # PostgreSQL gives its shared memory back only when it is asked to end at once.
    case "$note" in */postgres.pid) signal=QUIT ;; *) signal=KILL ;; esac
    kill -s $signal -- "-$id" 2> /dev/null
}
finish() {
    tries=0
    while kill -s 0 -- "-$id" 2> /dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
    kill -s KILL -- "-$id" 2> /dev/null
    rm -f "/dev/shm/faketime_shm_$id" "/dev/shm/sem.faketime_sem_$id"
}
dir=$0
each end
each finish
[ -e "$dir/keep" ] || rm -rf "$dir"
"#;

impl Watcher {
    pub(super) fn start(dir: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCH]).arg(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.process_group(0).spawn().context("start sh")?))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Marks `dir` to be kept, for its logs are of interest.
pub(super) fn keep(dir: &Path) {
    let _ = File::create(dir.join("keep"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("deltafold-part-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn an_end_before_the_condition_is_an_error_with_the_last_lines_of_the_log() {
        let dir = folder("ends");
        let part = Part::new("teller", &dir, Signal::TERM);
        part.start(Command::new("sh").args(["-c", "echo out of luck; exit 3"])).unwrap();
        let error = part.wait_until("rich", Duration::from_secs(30), || -> Result<()> { bail!("poor") }).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("teller: waiting until rich: it ended (exit status: 3)"), "{error}");
        assert!(error.contains("teller.log ends with\n    out of luck"), "{error}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_process_is_found_by_its_note_and_stopped() {
        let dir = folder("note");
        let part = Part::new("sleeper", &dir, Signal::TERM);
        part.start(Command::new("sleep").arg("600")).unwrap();
        let notes = Note::all(&dir).unwrap();
        assert_eq!(notes.len(), 1);
        assert!(notes[0].is_running());
        notes[0].stop(&dir).unwrap();
        assert!(!part.is_running());
        assert!(Note::all(&dir).unwrap().is_empty());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn another_process_with_the_id_of_a_note_is_not_taken_for_it() {
        let own = i32::try_from(std::process::id()).unwrap();
        let note = Note::parse("other", &format!("{own} {} 15", began(own).unwrap() + 1)).unwrap();
        assert!(!note.is_running());
    }

    #[test]
    fn what_was_started_ends_with_the_watcher() {
        let dir = folder("watcher");
        let part = Part::new("sleeper", &dir, Signal::TERM);
        let watcher = Watcher::start(&dir).unwrap();
        part.start(Command::new("sleep").arg("600")).unwrap();
        std::thread::scope(|scope| {
            // As long as nobody asks for its exit code, an ended process is still there.
            scope.spawn(|| {
                let ended = || if part.is_running() { bail!("it runs") } else { Ok(()) };
                wait("it has ended", Duration::from_secs(30), ended).unwrap();
            });
            drop(watcher);
        });
        assert!(!dir.exists());
    }
}
