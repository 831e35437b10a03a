//! Opening: again, twice, after a crash, of another version, of a damaged one.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use super::{append, entry, moment, open, order, position, small};
use crate::{At, OpenError, Snapshot, Stored, ViewStore, WriteError};

#[test]
fn what_was_committed_is_there_again() {
    let (dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    append(&views, &mirror, "1", &entry(0, 1, Some("{\"n\":1}")));
    let mut batch = views.batch();
    batch.put_state("orders", b"state");
    batch.put_state("orders/2", b"b");
    batch.put_state("orders/1", b"a");
    batch.put_state("orders/3", b"c");
    batch.commit().unwrap();
    let mut batch = views.batch();
    batch.remove_state("orders/3");
    batch.commit().unwrap();
    drop((views, mirror));

    let views = ViewStore::open(dir.path(), small()).unwrap();
    let mirrors = views.mirrors();
    assert_eq!(mirrors.iter().map(|mirror| mirror.name()).collect::<Vec<_>>(), ["orders"]);
    let snapshot = views.snapshot();
    assert_eq!(snapshot.reader(&mirrors[0]).current("1").unwrap().unwrap().row(), "{\"n\":1}");
    assert_eq!(snapshot.checkpoint("orders").unwrap(), Some(position(2)));
    assert_eq!(snapshot.state("orders").unwrap().as_deref(), Some(&b"state"[..]));
    assert_eq!(snapshot.state("other").unwrap(), None);
    assert_eq!(snapshot.states("orders/").unwrap(), [("1".into(), b"a".to_vec()), ("2".into(), b"b".to_vec())]);
    assert_ne!(views.mirror("items").unwrap(), mirrors[0]);
}

/// The files are as a kill would leave them: nothing that a process still had in memory is in them.
#[test]
fn what_was_committed_survives_the_process() {
    let (dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    append(&views, &mirror, "1", &entry(0, 1, Some("{\"n\":1}")));
    let copy = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), copy.path());
    let survived = ViewStore::open(copy.path(), small()).unwrap().snapshot();
    assert_eq!(survived.reader(&mirror).current("1").unwrap().unwrap().row(), "{\"n\":1}");
    assert_eq!(survived.checkpoint("orders").unwrap(), Some(position(2)));
}

#[test]
fn a_second_opener_is_told_to_use_the_server() {
    let (dir, _views) = open();
    let Err(error) = ViewStore::open(dir.path(), small()) else { panic!("it was open already") };
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("--url"), "{error}");
    assert!(matches!(ViewStore::reset(dir.path()), Err(OpenError::Locked { .. })));
}

#[test]
fn what_a_process_leaves_in_its_scratch_folder_goes() {
    let (dir, views) = open();
    fs::create_dir(views.scratch().join("sorting")).unwrap();
    fs::write(views.scratch().join("sorting/part"), "half").unwrap();
    drop(views);
    let views = ViewStore::open(dir.path(), small()).unwrap();
    assert_eq!(fs::read_dir(views.scratch()).unwrap().count(), 0);
}

#[test]
fn another_format_is_named() {
    let (dir, views) = open();
    views.shared.keyspaces.meta.insert(crate::key::FORMAT, 9_u32.to_be_bytes()).unwrap();
    drop(views);
    let Err(error) = ViewStore::open(dir.path(), small()) else { panic!("opened an unknown format") };
    assert!(matches!(error, OpenError::Version { expected: 8, .. }), "{error}");
    assert!(error.to_string().contains("has format 9, this version reads 8"), "{error}");
    ViewStore::reset(dir.path()).unwrap();
    ViewStore::open(dir.path(), small()).unwrap();
}

/// Each file in turn is cut to nothing or filled with noise; the store says that it is damaged when it opens or when
/// it is read, or it gives what was written, but never anything else.
#[test]
fn damage_is_noticed() {
    let (dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    for at in 0..50 {
        append(&views, &mirror, &at.to_string(), &entry(0, at, Some("{\"n\":1}")));
    }
    let trees = &views.shared.keyspaces;
    for tree in [&trees.versions, &trees.current] {
        tree.rotate_memtable_and_wait().unwrap();
    }
    drop((views, mirror));
    let mut damaged = 0;
    for file in files(dir.path()) {
        let is_journal = file.extension().is_some_and(|extension| extension == "jnl");
        if is_journal {
            // Made 64 MiB long in advance, which would only be copied around here.
            let journal = fs::OpenOptions::new().write(true).open(dir.path().join(&file)).unwrap();
            let bytes = fs::read(dir.path().join(&file)).unwrap();
            journal.set_len(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)).unwrap();
        }
    }
    for file in files(dir.path()) {
        for garble in [|_: &[u8]| vec![], |bytes: &[u8]| bytes.iter().map(|byte| byte ^ 0x5A).collect::<Vec<u8>>()] {
            let copy = tempfile::tempdir().unwrap();
            copy_tree(dir.path(), copy.path());
            let path = copy.path().join(&file);
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, garble(&bytes)).unwrap();
            let shown = path.display();
            match ViewStore::open(copy.path(), small()) {
                Err(OpenError::Corrupt { .. } | OpenError::Version { .. }) => damaged += 1,
                Err(error) => panic!("{shown}: {error}"),
                Ok(views) => {
                    let reader = views.snapshot().reader(&views.mirror("orders").unwrap());
                    for version in reader.scan(At::NOW).chain(reader.scan(At::time(moment(1)))) {
                        match version {
                            Ok(version) => assert_eq!(version.row(), "{\"n\":1}", "{shown}"),
                            Err(_) => damaged += 1,
                        }
                    }
                }
            }
        }
    }
    assert!(damaged > 4, "damage was noticed {damaged} times");
    fs::write(dir.path().join("keyspaces/0/current"), "").unwrap();
    assert!(matches!(ViewStore::open(dir.path(), small()), Err(OpenError::Corrupt { .. })));
    ViewStore::reset(dir.path()).unwrap();
    assert_eq!(ViewStore::open(dir.path(), small()).unwrap().mirrors(), []);
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("photo.jpg"), "x").unwrap();
    let Err(error) = ViewStore::open(dir.path(), small()) else { panic!("opened a directory of photos") };
    assert!(error.to_string().contains("photo.jpg is not a file of an index"), "{error}");
    assert!(dir.path().join("photo.jpg").exists());
}

/// A crash while the directory was being made leaves a journal without the marker.
#[test]
fn a_half_made_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["lock", "0.jnl"] {
        fs::write(dir.path().join(file), "").unwrap();
    }
    fs::create_dir(dir.path().join("keyspaces")).unwrap();
    ViewStore::open(dir.path(), small()).unwrap();
}

#[test]
fn a_bulk_load_reads_like_any_other() {
    let (dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    views.begin_bulk().unwrap();
    let write = |round: i64| {
        let mut batch = views.batch();
        for key in 0..100 {
            let stored = entry(round, 100 * round + key, Some(&format!("{{\"round\":{round}}}")));
            let name = key.to_string();
            batch.put_entry(&mirror, &name, &stored).unwrap();
            batch.put_current(&mirror, &name, &stored).unwrap();
            let position = position(100 * round + key);
            let before = (moment(round - 1), &order(100 * (round as u64 - 1) + key as u64)[..]);
            batch.put_head(&mirror, &name, position, before, false).unwrap();
        }
        batch.remove_entry(&mirror, "0", moment(round - 1), &order(100 * (round as u64 - 1))).unwrap();
        batch.put_checkpoint("orders", position(100 * (round + 1)));
        batch.commit().unwrap();
    };
    (1..=3).for_each(write);
    let check = |snapshot: Snapshot| {
        let reader = snapshot.reader(&mirror);
        assert_eq!(reader.scan(At::NOW).count(), 100);
        assert_eq!(reader.entries("7").map(Result::unwrap).collect::<Vec<Stored>>().len(), 3);
        assert_eq!(reader.entries("0").count(), 1);
        assert_eq!(reader.as_of("7", At::time(moment(2))).unwrap().unwrap().row(), "{\"round\":2}");
        assert_eq!(reader.as_of("7", At::position(position(200))).unwrap().unwrap().row(), "{\"round\":1}");
        assert_eq!(snapshot.checkpoint("orders").unwrap(), Some(position(400)));
    };
    check(views.written());
    assert_eq!(views.snapshot().reader(&mirror).scan(At::NOW).count(), 0, "readers see it when it has ended");
    views.end_bulk().unwrap();
    check(views.snapshot());
    append(&views, &mirror, "7", &entry(9, 900, Some("{\"round\":9}")));
    assert!(matches!(views.begin_bulk(), Err(WriteError::NotEmpty)));
    drop(views);
    let views = ViewStore::open(dir.path(), small()).unwrap();
    assert_eq!(views.snapshot().reader(&mirror).current("7").unwrap().unwrap().row(), "{\"round\":9}");
    assert_eq!(views.snapshot().reader(&mirror).scan(At::time(moment(3))).count(), 100);
}

#[test]
fn a_bulk_load_that_did_not_end_is_forgotten() {
    let (dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    views.begin_bulk().unwrap();
    append(&views, &mirror, "1", &entry(0, 1, Some("{}")));
    drop((views, mirror));
    let views = ViewStore::open(dir.path(), small()).unwrap();
    assert_eq!(views.mirrors(), []);
    assert_eq!(views.snapshot().checkpoint("orders").unwrap(), None);
    assert!(!views.is_bulk());
}

const CRASH_DIR: &str = "DELTAFOLD_VIEW_CRASH_DIR";

/// The other half of `a_killed_writer_leaves_whole_batches`: writes until it is killed.
#[test]
fn writer_to_be_killed() {
    let Some(dir) = env::var_os(CRASH_DIR) else { return };
    let views = ViewStore::open(Path::new(&dir), small()).unwrap();
    let mirror = views.mirror("orders").unwrap();
    let first = views.snapshot().checkpoint("orders").unwrap().map_or(1, |position| position.as_i64());
    for round in first..i64::MAX {
        let mut batch = views.batch();
        for key in 0..20 {
            let stored = entry(round, round, Some(&format!("{{\"pad\":\"{}\"}}", "x".repeat(2_000))));
            batch.put_entry(&mirror, &key.to_string(), &stored).unwrap();
            batch.put_current(&mirror, &key.to_string(), &stored).unwrap();
            let before = (moment(round - 1), &order(round as u64 - 1)[..]);
            batch.put_head(&mirror, &key.to_string(), position(round), before, false).unwrap();
        }
        batch.put_checkpoint("orders", position(round + 1));
        batch.commit().unwrap();
        eprintln!("round {round}");
    }
}

/// SIGKILL anywhere: what is found is a whole number of batches, and none that was reported is missing.
#[test]
fn a_killed_writer_leaves_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    for rounds in [1, 40, 170, 5, 90] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "tests::opening::writer_to_be_killed", "--nocapture"])
            .env(CRASH_DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let reported = said.lines().map(Result::unwrap).filter(|line| line.starts_with("round")).nth(rounds).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let reported: i64 = reported["round ".len()..].parse().unwrap();

        let views = ViewStore::open(dir.path(), small()).unwrap();
        let mirror = views.mirror("orders").unwrap();
        let snapshot = views.snapshot();
        let written = snapshot.checkpoint("orders").unwrap().unwrap().as_i64() - 1;
        assert!(written >= reported, "{reported} batches were reported, {written} are there");
        let reader = snapshot.reader(&mirror);
        for key in 0..20 {
            let key = key.to_string();
            assert_eq!(reader.entries(&key).count() as i64, written);
            assert_eq!(reader.current(&key).unwrap().unwrap().position, position(written));
            let then = reader.as_of(&key, At::position(position(written))).unwrap().unwrap();
            assert_eq!(then.position, position(written));
        }
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![];
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for item in fs::read_dir(next).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().unwrap() != "lock" {
                found.push(path.strip_prefix(dir).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let path = item.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
