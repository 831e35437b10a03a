//! Running what is measured as a process of its own, so that the kernel's accounts of it are all of it and nothing else.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Processor time is told in these; Linux has had 100 a second on every platform for decades.
const TICKS_PER_SECOND: f64 = 100.0;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// How much memory is touched before a run, if there is twice as much: about what a run uses, with the files that it writes.
const TOUCHED: u64 = 4 << 30;
const PAGE: usize = 4 << 10;

/// What a process used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) elapsed_s: f64,
    pub(crate) processor_s: f64,
    /// The most memory it held at once (VmHWM).
    pub(crate) peak_mib: f64,
}

/// Runs `command` as [`run`] does, so that it pays for itself alone: what was written before it is on the disk first, and
/// the memory that it will need is there. (The host of a virtual machine takes back what is free for some seconds; to get
/// it again took 5 s a GiB where this was written, of the first run more than of the next.)
pub(crate) fn measure(command: &mut Command) -> Result<(String, Usage)> {
    let synced = Command::new("sync").status().context("start sync")?;
    anyhow::ensure!(synced.success(), "sync failed ({synced})");
    touch_memory()?;
    run(command)
}

fn touch_memory() -> Result<()> {
    let text = std::fs::read_to_string("/proc/meminfo").context("read how much memory there is")?;
    let available = kib(&text, "MemAvailable:")? * 1024.0;
    let mut memory = vec![0u8; TOUCHED.min(available as u64 / 2) as usize];
    memory.iter_mut().step_by(PAGE).for_each(|byte| *std::hint::black_box(byte) = 1);
    Ok(())
}

/// Runs `command` to its end and returns its stdout; another exit code than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<(String, Usage)> {
    let shown = format!("{command:?}");
    let before = children_processor_s()?;
    let begun = Instant::now();
    let child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().with_context(|| format!("start {shown}"))?;
    let (id, ended) = (child.id(), AtomicBool::new(false));
    let (output, peak_mib, elapsed_s) = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak_mib = 0.0f64;
            while !ended.load(Ordering::Relaxed) {
                peak_mib = peak_mib.max(peak_memory_mib(id).unwrap_or(0.0));
                std::thread::park_timeout(SAMPLE_INTERVAL);
            }
            peak_mib
        });
        let output = child.wait_with_output();
        let elapsed_s = begun.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        sampler.thread().unpark();
        (output, sampler.join().expect("sampling does not panic"), elapsed_s)
    });
    let output = output.with_context(|| format!("wait for {shown}"))?;
    if !output.status.success() {
        bail!("{shown} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let usage = Usage { elapsed_s, processor_s: children_processor_s()? - before, peak_mib };
    Ok((String::from_utf8(output.stdout).with_context(|| format!("{shown} printed no text"))?, usage))
}

/// Of a running process: the most memory it has held so far.
pub(crate) fn peak_memory_mib(process: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).context("read a process's status")?;
    Ok(kib(&text, "VmHWM:")? / 1024.0)
}

/// What the kernel says under a name, in KiB.
fn kib(text: &str, name: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("the kernel does not say {name}"))?;
    line.trim().trim_end_matches(" kB").trim().parse().with_context(|| format!("{name} is a number"))
}

/// Of a running process: user and system time so far.
pub(crate) fn processor_s(process: &str) -> Result<f64> {
    Ok(stat_fields(process, 11)? / TICKS_PER_SECOND)
}

/// Of all children that have ended and been waited for.
fn children_processor_s() -> Result<f64> {
    Ok(stat_fields("self", 13)? / TICKS_PER_SECOND)
}

/// The sum of the field `first` and the next one of `/proc/PROCESS/stat`, counted after the name, which may hold spaces.
fn stat_fields(process: &str, first: usize) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).context("read a process's statistics")?;
    let (_, fields) = text.rsplit_once(") ").context("the statistics have a name in parentheses")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let number = |index: usize| -> Result<f64> { Ok(fields.get(index).context("too few statistics")?.parse::<f64>()?) };
    Ok(number(first)? + number(first + 1)?)
}

/// `program`, kept to one processor if there are several and `taskset` is at hand.
pub(crate) fn pinned(program: &Path, processor: usize) -> Command {
    if !can_pin() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &processor.to_string()]).arg(program);
    command
}

/// Keeps this thread, and those that it starts, to one processor, as [`pinned`], while `task` runs.
pub(crate) fn while_pinned<T>(processor: usize, task: impl FnOnce() -> Result<T>) -> Result<T> {
    if !can_pin() {
        return task();
    }
    let before = allowed_processors()?;
    let keep_to = |processors: &str| {
        run(Command::new("taskset").args(["--pid", "--cpu-list", processors, &std::process::id().to_string()]))
    };
    keep_to(&processor.to_string())?;
    let done = task();
    keep_to(&before)?;
    done
}

/// The processors that this thread may run on, as `0-1` or `0,2`.
fn allowed_processors() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status").context("read our status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(list.context("the status has no Cpus_allowed_list")?.trim().to_owned())
}

pub(crate) fn can_pin() -> bool {
    let several = std::thread::available_parallelism().is_ok_and(|count| count.get() > 1);
    let pinned_already = allowed_processors().is_ok_and(|list| !list.contains(['-', ',']));
    let has_taskset =
        Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    (several || pinned_already) && has_taskset
}
