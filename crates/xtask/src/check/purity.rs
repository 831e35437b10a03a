//! Pure crates use no clock, thread, file, socket or environment of the standard library either.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use xtask::command::workspace_root;

const PURE: &[&str] = &["event", "cdc", "relation"];

const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "Utc::now",
    "thread_rng",
];

/// Looks through the sources of the pure crates.
pub(crate) fn check() -> Result<()> {
    let mut complaints = Vec::new();
    for name in PURE {
        for file in rust_files(&workspace_root().join("crates").join(name).join("src"))? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            complaints.extend(impurities(&text).map(|(line, word)| format!("{}:{line}: {word}", file.display())));
        }
    }
    if complaints.is_empty() {
        eprintln!("xtask: pure crates: no clock, thread, file or socket");
        return Ok(());
    }
    bail!("pure crates ({}) must not reach outside:\n  {}", PURE.join(", "), complaints.join("\n  "));
}

/// Line numbers, from 1, and the word that is out of place there. Test modules stand last in a file, or in a folder `tests`, and are exempt.
fn impurities(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter_map(|(index, line)| Some((index + 1, *IMPURE.iter().find(|word| line.contains(**word))?)))
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
            let path = entry.with_context(|| format!("list {}", dir.display()))?.path();
            if path.is_dir() {
                if !path.ends_with("tests") {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_searched_and_comments_and_tests_are_not() {
        let text = "// std::fs is elsewhere\nuse std::time::SystemTime;\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(impurities(text).collect::<Vec<_>>(), [(2, "SystemTime")]);
    }
}
