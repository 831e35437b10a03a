//! Progress bars, on a terminal only.

use std::{io::IsTerminal, path::Path, sync::Arc, time::Duration};

use deltafold_ingest::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::output::count;

/// How often a bar moves.
const TICK: Duration = Duration::from_millis(100);

/// A bar that moves by itself until it is finished or dropped.
pub(crate) struct Bar {
    bar: ProgressBar,
    ticking: JoinHandle<()>,
}

/// Shows how far a file is read.
pub(crate) fn show(path: &Path, progress: &Arc<Progress>) -> Bar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {bytes}/{total_bytes} {msg} {eta} left")
        .expect("the template is one");
    bar.set_style(style);
    bar.set_prefix(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
    let ticking = tokio::spawn({
        let (bar, progress) = (bar.clone(), Arc::clone(progress));
        async move {
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                let (read, size) = progress.bytes();
                bar.set_length(size);
                bar.set_position(read);
                bar.set_message(format!("{} events", count(progress.appended())));
            }
        }
    });
    Bar { bar, ticking }
}

impl Bar {
    /// Removes it.
    pub(crate) fn finish(self) {
        self.ticking.abort();
        self.bar.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.ticking.abort();
    }
}
