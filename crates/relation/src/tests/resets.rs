//! Databases that are restored or replaced.

use super::story::{
    Create, Delete, Told, Update, at, fold, fold_with_origins, log, new_epoch, position, read, store, truncate,
};
use crate::{InMemory, OriginInfo, Origins};

pub(super) fn info(origins: &Origins) -> OriginInfo {
    let [info] = &origins.infos()[..] else { panic!("one origin") };
    info.clone()
}

/// The epoch that is held, and how many events are.
pub(super) fn held(origins: &Origins) -> Option<(u32, u64)> {
    info(origins).suspect.map(|suspect| (suspect.epoch, suspect.held))
}

pub(super) fn v(value: u32) -> String {
    format!(r#"{{"v":{value}}}"#)
}

pub(super) fn create(lsn: u64, id: &str, value: u32) -> Told {
    log(lsn, id, Create, &v(value))
}

pub(super) fn update(lsn: u64, id: &str, value: u32) -> Told {
    log(lsn, id, Update, &v(value))
}

/// Two rows in two partitions; the second one was changed at 90.
pub(super) fn before() -> Vec<Told> {
    vec![create(10, "1", 1).sent(1, 0), create(20, "2", 2).sent(1, 1), update(90, "2", 3).sent(1, 1)]
}

#[test]
fn a_log_that_runs_backwards_later_is_held() {
    let mut story = before();
    story.push(update(50, "2", 9).at(100).offset(100).sent(2, 1));
    story.push(update(60, "2", 10).at(110).offset(101).sent(2, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(memory, InMemory { state: memory.state.clone(), ..fold_with_origins(&before()).0 });
    assert_eq!(held(&origins), Some((1, 2)));
    let since = info(&origins).suspect.unwrap().since;
    assert_eq!((since.position, &*since.topic, since.partition, since.offset), (position(4), "things", 1, 100));
    let told = since.to_string();
    assert!(told.contains("sequence [50, 50], before sequence [90, 90]"), "{told}");
}

#[test]
fn what_was_held_counts_as_recorded_when_it_goes_on() {
    let mut story = before();
    story.push(update(50, "2", 9).at(100).offset(100).sent(2, 1));
    story.push(update(95, "1", 5).at(105).offset(50).sent(1, 0));
    story.push(new_epoch(1));
    story.push(update(60, "2", 10).at(110).offset(101).sent(2, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), info(&origins).epoch, info(&origins).is_unverified), (None, 1, true));
    // By the operator's event nothing of it was believed.
    assert_eq!(memory.shown_at("2", 200, position(5)), Some(&*v(3)));
    assert_eq!(memory.shown_at("2", 200, position(6)), Some(&*v(9)));
    assert_eq!(memory.row("2", 200), Some(&*v(10)));
    let told = memory.told("2");
    assert_eq!(told.iter().map(|record| record.order.epoch).collect::<Vec<_>>(), [0, 0, 1, 1]);
    // The event itself is where it was stored.
    assert_eq!((told[2].position, told[2].recorded_from), (position(4), position(6)));
    // The old run goes on in its own epoch.
    assert_eq!((memory.row("1", 200), memory.told("1")[1].order.epoch), (Some(&*v(5)), 0));
}

#[test]
fn an_operator_may_speak_of_epochs_that_are_not_held() {
    let mut story = before();
    story.insert(1, new_epoch(0));
    story.push(new_epoch(7));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((memory.row("2", 100), held(&origins), info(&origins).epoch), (Some(&*v(3)), None, 0));
}

#[test]
fn what_comes_again_with_the_same_times_is_no_reset() {
    let mut story = before();
    let again: Vec<Told> = before().into_iter().map(|told| told.offset(200).sent(2, 1)).collect();
    story.extend(again.into_iter().skip(1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(memory.told("2").len(), 2);
    assert_eq!((held(&origins), info(&origins).epoch), (None, 0));
}

#[test]
fn what_tells_too_little_is_not_judged() {
    let late = || update(50, "2", 9).at(100).offset(100);
    for told in [
        late().sent(2, 1).source("sequence", "[null,\"50\"]"),
        late().sent(2, 1).source("sequence", serde_json::Value::Null),
        // Another partition has no higher one.
        late().sent(2, 2),
        // Sent outside of a transaction.
        {
            let mut message = late().sent(2, 1);
            (message.event.transaction_id, message.event.operation) = (None, None);
            message
        },
        // Without a key: it may have been sent to another partition before.
        truncate(50).at(100).offset(100).sent(2, 1),
    ] {
        let mut story = before();
        story.push(told);
        let (_, origins) = fold_with_origins(&story);
        assert_eq!((held(&origins), info(&origins).epoch), (None, 0), "{:?}", story[3]);
    }
    // Files are fed by hand.
    let mut story = before();
    story.push(late().sent(2, 1));
    for told in &mut story {
        told.event.coordinates.source = "file".into();
    }
    let (memory, origins) = fold_with_origins(&story);
    assert!(origins.infos().is_empty());
    assert_eq!(memory, fold(&story));
}

#[test]
fn the_first_event_after_a_start_counts_by_its_time_only() {
    let mut story = before();
    story.push(update(50, "2", 9).at(100).offset(100).sent(2, 1).source("sequence", "[null,\"50\"]"));
    story.push(update(60, "2", 10).at(100).offset(101).sent(2, 1));
    assert_eq!(held(&fold_with_origins(&story).1), None);
    story.push(update(70, "2", 11).at(101).offset(102).sent(2, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(held(&origins), Some((1, 3)));
    // What the run had sent before it was noticed is taken back.
    assert_eq!(memory.row("2", 200), Some(&*v(3)));
    assert_eq!(memory.shown_at("2", 200, position(5)), Some(&*v(3)));
    assert_eq!(memory.shown_at("1", 200, position(5)), Some(&*v(1)));
}

/// A restore to what was at 20, and a snapshot of it, in two partitions.
pub(super) fn restored() -> Vec<Told> {
    let mut story = before();
    story.push(create(91, "lost", 4).sent(1, 0));
    story.push(update(92, "1", 5).sent(1, 0));
    story.push(read(100, "1", &v(1)).offset(200).sent(2, 0).snapshot("first", 40));
    story.push(read(100, "2", &v(2)).offset(201).sent(2, 1).snapshot("last", 40));
    story.push(update(41, "2", 6).at(110).offset(202).sent(2, 1));
    story.push(create(42, "new", 7).at(111).offset(203).sent(2, 0));
    story
}

#[test]
fn a_complete_snapshot_replaces_the_table() {
    let mut story = restored();
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(held(&origins), Some((1, 4)));
    let rows = |memory: &InMemory| ["1", "2", "lost", "new"].map(|id| memory.row(id, 200).map(str::to_owned));
    assert_eq!(rows(&memory), [Some(v(5)), Some(v(3)), Some(v(4)), None], "as before the restore");
    story.push(new_epoch(1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(rows(&memory), [Some(v(1)), Some(v(6)), None, Some(v(7))], "as the database says now");
    assert!(!info(&origins).is_unverified);
    // What was is still known.
    assert_eq!((memory.row("lost", 99), memory.row("lost", 100)), (Some(&*v(4)), None));
    assert_eq!(memory.versions("lost"), [(91, Some(&*v(4))), (100, None)]);
    // What the snapshot says of a row is no gap in it.
    assert_eq!(memory.versions("1"), [(10, Some(&*v(1))), (92, Some(&*v(5))), (100, Some(&*v(1)))]);
}

#[test]
fn a_row_that_a_snapshot_finds_unchanged_goes_on() {
    let mut story = before();
    story.push(read(100, "1", &v(1)).offset(200).sent(2, 0).snapshot("first", 40));
    story.push(read(100, "2", &v(3)).offset(201).sent(2, 1).snapshot("last", 40));
    story.push(update(41, "2", 6).at(110).offset(202).sent(2, 1));
    story.push(new_epoch(1));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!(memory.versions("1"), [(10, Some(&*v(1)))]);
    assert_eq!(memory.versions("2"), [(20, Some(&*v(2))), (90, Some(&*v(3))), (110, Some(&*v(6)))]);
}

#[test]
fn a_snapshot_counts_once_its_last_row_has_come() {
    let mut story = before();
    story.push(create(91, "lost", 4).sent(1, 0));
    story.push(update(41, "2", 6).at(110).offset(202).sent(2, 1));
    story.push(new_epoch(1));
    story.push(read(120, "1", &v(1)).offset(203).sent(3, 0).snapshot("first", 45));
    story.push(read(120, "2", &v(6)).offset(204).sent(3, 1).snapshot("true", 45));
    let (memory, origins) = fold_with_origins(&story);
    assert!(info(&origins).is_unverified);
    assert_eq!(memory.row("lost", 200), Some(&*v(4)));
    story.push(read(120, "4", &v(4)).offset(205).sent(3, 2).snapshot("last", 45));
    let late = read(120, "5", &v(5)).offset(206).sent(3, 0).snapshot("true", 45);
    story.push(late);
    let (memory, origins) = fold_with_origins(&story);
    assert!(!info(&origins).is_unverified);
    assert_eq!(memory.row("lost", 200), None);
    let rows = ["1", "2", "4", "5"].map(|id| memory.row(id, 200).map(str::to_owned));
    assert_eq!(rows, [Some(v(1)), Some(v(6)), Some(v(4)), Some(v(5))]);
    assert_eq!(memory.shown_at("lost", 200, position(8)), Some(&*v(4)));
    assert_eq!(memory.shown_at("lost", 200, position(9)), None);
}

#[test]
fn what_was_made_after_a_snapshot_survives_it_whatever_comes_first() {
    let mut story = before();
    story.push(update(41, "2", 6).at(110).offset(202).sent(2, 1));
    story.push(new_epoch(1));
    // Its partition has no row of the snapshot, and is read first.
    story.push(create(46, "new", 5).at(121).offset(203).sent(3, 2));
    story.push(create(44, "gone", 5).at(119).offset(204).sent(2, 0));
    story.push(read(120, "2", &v(6)).offset(205).sent(3, 1).snapshot("last", 45));
    let (memory, _) = fold_with_origins(&story);
    let rows = ["1", "2", "new", "gone"].map(|id| memory.row(id, 200).map(str::to_owned));
    assert_eq!(rows, [None, Some(v(6)), Some(v(5)), None]);
}

/// A table that the restore had emptied kept its rows for ever: a snapshot has no row to say so.
#[test]
fn a_table_of_which_a_snapshot_has_no_row_was_empty() {
    let of_others = |mut told: Told| {
        told.event.aggregate_type = "others".into();
        told
    };
    let mut story = before();
    story.push(of_others(read(100, "1", &v(7)).offset(200).sent(2, 0).snapshot("last", 40)));
    story.push(update(41, "2", 6).at(110).offset(202).sent(2, 1));
    story.push(new_epoch(1));
    let (memory, origins) = fold_with_origins(&story);
    assert!(!info(&origins).is_unverified);
    assert_eq!(memory.versions("1"), [(10, Some(&*v(1))), (100, None)]);
    assert_eq!(memory.row("2", 200), Some(&*v(6)), "made after the snapshot");
    assert_eq!(memory.shown_at("1", 200, position(5)), Some(&*v(1)), "while it was held");
    // What is told late of the time before the restore was lost with the rest.
    story.push(create(95, "late", 4).offset(300).sent(1, 0));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("late", 99), memory.row("late", 100)), (Some(&*v(4)), None));
    // Another restore takes the snapshot's word back, too.
    let mut story = before();
    story.push(update(41, "2", 6).at(80).offset(202).sent(2, 1));
    story.push(update(50, "2", 6).at(110).offset(203).sent(2, 1));
    story.push(new_epoch(1));
    story.push(of_others(read(120, "1", &v(7)).offset(204).sent(3, 0).snapshot("last", 40)));
    assert_eq!(fold_with_origins(&story).0.row("1", 200), None);
    story.push(update(42, "2", 8).at(130).offset(205).sent(3, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 200), held(&origins)), (Some(&*v(1)), Some((2, 2))));
    story.push(new_epoch(2));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 200), memory.row("2", 200)), (None, Some(&*v(8))));
}

/// A row that was read before the restore, and came through a slow partition, stood after the snapshot of the restored
/// database: what was lost came back.
#[test]
fn a_row_that_was_read_in_the_old_epoch_brings_nothing_back() {
    let mut story = restored();
    story.push(new_epoch(1));
    story.push(read(93, "lost", &v(4)).offset(310).sent(1, 0).snapshot("incremental", 92));
    story.push(read(94, "1", &v(5)).offset(311).sent(1, 0).snapshot("incremental", 92));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("lost", 99), memory.row("lost", 200)), (Some(&*v(4)), None));
    assert_eq!((memory.row("1", 99), memory.row("1", 200)), (Some(&*v(5)), Some(&*v(1))));
}

/// A row that was read stood after a truncate of another partition that was found to be of a later epoch, and so after a
/// delete that came later.
#[test]
fn what_stood_after_an_event_that_is_taken_back_stands_anew() {
    let mut story = before();
    story.push(truncate(65).at(95).offset(7).sent(2, 2));
    story.push(read(50, "4", &v(4)).offset(20).sent(1, 0));
    story.push(log(60, "4", Delete, "").at(60).offset(21).sent(1, 0));
    story.push(create(40, "3", 5).at(96).offset(60).sent(2, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("4", 59), memory.row("4", 200)), (Some((1, 2)), Some(&*v(4)), None));
}

#[test]
fn incremental_rows_replace_nothing() {
    let mut story = before();
    story.push(create(91, "lost", 4).sent(1, 0));
    story.push(update(41, "2", 6).at(110).offset(202).sent(2, 1));
    story.push(new_epoch(1));
    story.push(read(120, "1", &v(8)).offset(203).sent(2, 0).snapshot("incremental", 45));
    let (memory, origins) = fold_with_origins(&story);
    assert!(info(&origins).is_unverified);
    assert_eq!((memory.row("lost", 200), memory.row("1", 200)), (Some(&*v(4)), Some(&*v(8))));
}

#[test]
fn a_later_event_of_the_old_epoch_stands_before_the_snapshot() {
    let mut story = restored();
    story.push(new_epoch(1));
    story.push(create(95, "late", 4).offset(300).sent(1, 0));
    story.push(log(96, "1", Delete, "").offset(301).sent(1, 0));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("late", 99), memory.row("late", 100)), (Some(&*v(4)), None));
    assert_eq!((memory.row("1", 99), memory.row("1", 100)), (None, Some(&*v(1))));
}

#[test]
fn a_second_reset_takes_back_a_whole_snapshot() {
    let mut story = restored();
    story.push(new_epoch(1));
    story.push(update(95, "2", 11).at(120).offset(300).sent(2, 1));
    let shown = fold_with_origins(&story).0;
    let rows = |memory: &InMemory| ["1", "2", "lost", "new"].map(|id| memory.row(id, 300).map(str::to_owned));
    story.push(read(130, "1", &v(20)).offset(310).sent(3, 0).snapshot("last", 60));
    // By its place, the row at 95 was made after the snapshot.
    assert_eq!(rows(&fold_with_origins(&story).0), [Some(v(20)), Some(v(11)), None, None]);
    story.push(truncate(65).at(131).offset(311).sent(3, 2));
    story.push(create(66, "2", 21).at(140).offset(312).sent(3, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(rows(&memory), rows(&shown));
    assert_eq!((held(&origins), info(&origins).epoch), (Some((2, 3)), 1));
    // A word about an older reset changes nothing of this one.
    story.push(new_epoch(1));
    assert_eq!(held(&fold_with_origins(&story).1), Some((2, 3)));
    story.push(new_epoch(2));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), info(&origins).epoch), (None, 2));
    assert_eq!(rows(&memory), [None, Some(v(21)), None, None]);
}

#[test]
fn two_resets_go_on_together() {
    let mut story = restored();
    story.push(update(35, "2", 21).at(140).offset(312).sent(3, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("2", 200)), (Some((2, 5)), Some(&*v(3))));
    story.push(new_epoch(2));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), info(&origins).epoch, info(&origins).is_unverified), (None, 2, true));
    assert_eq!((memory.row("2", 139), memory.row("2", 200)), (Some(&*v(6)), Some(&*v(21))));
}

pub(super) fn binlog(server: u64, file: u64, pos: u64, id: &str, value: u32, second: i64) -> Told {
    let mut told = update(1, id, value).at(second).tx(&format!("{server}-{file}-{pos}")).sent(1, 0);
    let name = format!("bin.{file}");
    told.event.source_position = Some(deltafold_event::SourcePosition::binlog(server, &name, pos, 0));
    told.offset(second).source("connector", "mariadb")
}

#[test]
fn binlogs_run_backwards_by_file_and_place() {
    let story = [binlog(5, 9, 400, "1", 1, 10), binlog(5, 10, 4, "1", 2, 11), binlog(5, 9, 500, "1", 3, 12)];
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(memory.row("1", 100), Some(&*v(2)));
    assert!(info(&origins).suspect.unwrap().since.to_string().contains("binlog file 9, pos 500, row 0"));
    // A statement that began earlier is none.
    let story = [binlog(5, 9, 400, "1", 1, 10), binlog(5, 10, 4, "1", 2, 5), binlog(5, 9, 400, "1", 1, 10).offset(90)];
    assert_eq!(held(&fold_with_origins(&story).1), None);
}

#[test]
fn another_server_is_another_epoch_held_only_if_its_times_run_backwards() {
    let mut story = vec![binlog(9, 9, 400, "1", 1, 10), binlog(3, 1, 4, "1", 2, 20).run(2)];
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 100), held(&origins), info(&origins).epoch), (Some(&*v(2)), None, 1));
    // And back again.
    story.push(binlog(9, 10, 4, "1", 3, 30).run(3));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 100), info(&origins).epoch), (Some(&*v(3)), 2));
    // What comes again of the first server is known by its run.
    story.push(binlog(9, 9, 400, "1", 1, 10).offset(70));
    assert_eq!(fold_with_origins(&story).0.told("1").len(), 3);
    story.pop();
    story.push(binlog(3, 2, 4, "1", 4, 25).run(4));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 100), held(&origins), info(&origins).epoch), (Some(&*v(3)), Some((3, 1)), 2));
}

/// Of a database that was restored and then replaced, the later epoch was answered from, while the earlier one was held.
#[test]
fn an_epoch_after_one_that_is_held_is_held_too() {
    let mut story = vec![binlog(9, 9, 400, "1", 1, 10), binlog(9, 9, 300, "1", 2, 20).run(2)];
    story.push(binlog(3, 1, 4, "1", 3, 30).run(3));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 100), held(&origins), info(&origins).epoch), (Some(&*v(1)), Some((2, 2)), 0));
}

#[test]
fn a_row_read_before_another_server_was_noticed_moves_on() {
    let row = read(19, "1", &v(5)).sent(2, 0).source("connector", "mariadb").snapshot("last", 1);
    let story =
        [binlog(9, 9, 400, "1", 1, 10), binlog(9, 9, 401, "lost", 1, 11), row, binlog(3, 1, 4, "2", 2, 20).run(2)];
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((info(&origins).epoch, held(&origins), info(&origins).is_unverified), (1, None, false));
    assert_eq!((memory.row("1", 100), memory.row("lost", 100)), (Some(&*v(5)), None));
    assert_eq!(memory.shown_at("lost", 100, position(3)), Some(&*v(1)));
}

#[test]
fn rows_read_again_are_known_in_their_epoch() {
    let mut story = restored();
    let row = story[5].clone();
    story.push(new_epoch(1));
    let once = fold_with_origins(&story).0;
    story.push(row);
    let again = fold_with_origins(&story).0;
    assert_eq!(once.told("1"), again.told("1"));
}

/// A truncate that the run before the one that was noticed had sent, too, was one of the old epoch only.
#[test]
fn a_truncate_is_one_in_each_epoch() {
    let mut story = before();
    story.push(truncate(30).at(95).offset(7).sent(2, 2));
    story.push(truncate(30).at(95).offset(8).sent(3, 2));
    story.push(create(40, "3", 5).at(96).offset(60).sent(3, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("2", 200)), (Some((1, 2)), Some(&*v(3))));
    story.push(new_epoch(1));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("2", 200), memory.row("3", 200)), (None, Some(&*v(5))));
}

#[test]
fn origins_are_told_apart() {
    let mut story = before();
    story.push(update(50, "2", 9).at(100).offset(100).sent(2, 1).source("name", "crm"));
    let (events, _) = store(&story);
    let mut origins = Origins::default();
    for event in &events {
        origins.observe(event);
    }
    let ids: Vec<String> = origins.infos().into_iter().map(|info| info.id).collect();
    assert_eq!(ids, ["postgresql/shop", "postgresql/crm"]);
    assert!(origins.infos().iter().all(|info| info.suspect.is_none()));
    assert!(!origins.have_reset() && at(0).as_micros() == 0);
}
