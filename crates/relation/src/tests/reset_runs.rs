//! Which runs of a connector belong to a restored database, whatever is read first.

use super::{
    resets::{before, binlog, create, held, info, restored, update, v},
    story::{Told, at, fold_with_origins, new_epoch, position, read},
};
use crate::InMemory;

#[test]
fn a_run_is_in_the_new_epoch_in_every_partition() {
    let mut story = before();
    story.push(read(100, "1", &v(7)).offset(30).sent(2, 0).snapshot("first", 40));
    story.push(read(100, "3", &v(8)).offset(31).sent(2, 0).snapshot("true", 40));
    story.push(update(45, "1", 9).at(101).offset(32).sent(2, 0));
    let shown = fold_with_origins(&story).0;
    assert_eq!((shown.row("1", 200), shown.row("3", 200)), (Some(&*v(9)), Some(&*v(8))));

    story.push(update(50, "2", 9).at(102).offset(100).sent(3, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(held(&origins), Some((1, 1)), "only run 3");
    assert_eq!(memory.row("1", 200), Some(&*v(9)));

    let last = story.pop().unwrap();
    story.push(last.run(2));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(held(&origins), Some((1, 4)));
    assert_eq!((memory.row("1", 200), memory.row("3", 200)), (Some(&*v(1)), None));
    assert_eq!(memory.shown_at("1", 200, position(6)), Some(&*v(9)), "it was believed then");
    assert_eq!(memory.told("1").len(), 1);

    story.push(new_epoch(1));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 200), memory.row("2", 200)), (Some(&*v(9)), Some(&*v(9))));
    let epochs: Vec<_> = memory.told("1").iter().map(|record| record.order.epoch).collect();
    assert_eq!(epochs, [0, 1, 1]);
    // Without a complete snapshot nothing ends.
    assert_eq!(memory.row("3", 200), Some(&*v(8)));
}

/// What an earlier run had sent through the partitions that were read first stayed in the old epoch, its snapshot with it.
#[test]
fn an_epoch_that_is_noticed_in_a_later_run_begins_with_the_earlier_one() {
    let mut story = restored();
    // What the snapshot's run sent of the log is read last, after what the next run did.
    let by_earlier_run = story.split_off(7);
    story.push(update(43, "1", 8).at(112).offset(210).sent(3, 0));
    story.push(read(113, "3", &v(3)).offset(211).sent(3, 1).snapshot("incremental", 43));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(
        (held(&origins), memory.row("1", 200), memory.row("2", 200)),
        (Some((1, 2)), Some(&*v(1)), Some(&*v(2)))
    );

    story.extend(by_earlier_run);
    let (memory, origins) = fold_with_origins(&story);
    let rows = |memory: &InMemory| ["1", "2", "3", "lost", "new"].map(|id| memory.row(id, 200).map(str::to_owned));
    assert_eq!(held(&origins), Some((1, 6)));
    assert_eq!(rows(&memory), [Some(v(5)), Some(v(3)), None, Some(v(4)), None], "as before the restore");
    assert_eq!(memory.shown_at("2", 200, position(9)), Some(&*v(2)), "it was believed then");
    story.push(new_epoch(1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!(rows(&memory), [Some(v(8)), Some(v(6)), Some(v(3)), None, Some(v(7))], "as the database says now");
    assert!(!info(&origins).is_unverified);
}

/// So it is where the epoch goes on already, by an operator's word.
#[test]
fn what_an_earlier_run_sent_moves_into_an_epoch_that_goes_on() {
    let mut story = restored();
    let by_earlier_run = story.split_off(7);
    story.push(update(43, "1", 8).at(112).offset(210).sent(3, 0));
    story.push(new_epoch(1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("lost", 200)), (None, Some(&*v(4))));
    story.extend(by_earlier_run);
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), info(&origins).is_unverified), (None, false));
    let rows = ["1", "2", "lost", "new"].map(|id| memory.row(id, 200).map(str::to_owned));
    assert_eq!(rows, [Some(v(8)), Some(v(6)), None, Some(v(7))]);
    assert_eq!(memory.shown_at("lost", 200, position(9)), Some(&*v(4)));
}

/// The origin was suspect, with nothing to wait for.
#[test]
fn a_contradiction_within_one_run_after_another_begins_an_epoch_that_it_belongs_to() {
    let mut story = before();
    story.push(update(50, "2", 9).at(100).offset(100).sent(1, 1));
    story.push(update(40, "2", 10).at(110).offset(101).sent(1, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("2", 200)), (Some((2, 2)), Some(&*v(3))));
    story.push(update(41, "1", 11).at(111).offset(102).sent(2, 0));
    story.push(new_epoch(1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("2", 200)), (Some((2, 2)), Some(&*v(9))));
    story.push(new_epoch(2));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 200), memory.row("2", 200)), (Some(&*v(11)), Some(&*v(10))));
    assert_eq!(memory.told("1").last().unwrap().order.epoch, 2);
}

/// A second restore was noticed only if something had come of the first one's epoch after that was noticed.
#[test]
fn what_was_read_before_its_epoch_was_noticed_is_contradicted_too() {
    let mut story = before();
    story.push(create(70, "3", 5).at(95).sent(2, 2));
    story.push(update(50, "2", 9).at(100).offset(100).sent(2, 1));
    assert_eq!(held(&fold_with_origins(&story).1), Some((1, 2)));
    story.push(update(40, "3", 6).at(110).offset(101).sent(3, 2));
    assert_eq!(held(&fold_with_origins(&story).1), Some((2, 3)));
}

#[test]
fn without_run_ids_each_partition_begins_by_itself() {
    let unsaid = |story: Vec<Told>| -> Vec<Told> {
        story.into_iter().map(|told| if told.is_sent() { told.run(0) } else { told }).collect()
    };
    let mut story = before();
    story.push(create(30, "3", 3).sent(0, 0));
    story.push(update(50, "2", 9).at(100).offset(100).sent(0, 1));
    story.push(update(40, "1", 7).at(101).offset(101).sent(0, 0));
    story.push(update(25, "3", 8).at(102).offset(102).sent(0, 0));
    let (memory, origins) = fold_with_origins(&unsaid(story.clone()));
    // The one at 40 is no contradiction in its partition: it is of the old epoch, as far as anybody can tell.
    assert_eq!(
        (memory.row("1", 200), memory.row("2", 200), memory.row("3", 200)),
        (Some(&*v(7)), Some(&*v(3)), Some(&*v(3)))
    );
    assert_eq!(held(&origins), Some((1, 2)), "both belong to one epoch");
    // Events of before that come again are known by their ids.
    let again = update(90, "2", 3).offset(110).sent(0, 1);
    story.push(again.clone());
    story.push(new_epoch(1));
    story.push(again.offset(111));
    story.push(update(55, "2", 10).at(103).offset(112).sent(0, 1));
    let (memory, origins) = fold_with_origins(&unsaid(story));
    assert_eq!((info(&origins).epoch, held(&origins)), (1, None));
    assert_eq!((memory.row("2", 200), memory.row("3", 200)), (Some(&*v(10)), Some(&*v(8))));
    assert_eq!(memory.told("2").len(), 4);
}

#[test]
fn a_run_that_goes_on_through_a_restore_is_split() {
    let mut story = before();
    story.push(update(50, "2", 9).at(100).offset(100).sent(1, 1));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("2", 200)), (Some((1, 1)), Some(&*v(3))));
    // What the run sends elsewhere is of the old epoch until it contradicts itself there; later runs are of the new one.
    story.push(update(11, "1", 7).at(101).offset(101).sent(1, 0));
    story.push(update(51, "1", 8).at(102).offset(102).sent(2, 0));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((held(&origins), memory.row("1", 200)), (Some((1, 2)), Some(&*v(7))));
    story.push(new_epoch(1));
    let (memory, _) = fold_with_origins(&story);
    assert_eq!((memory.row("1", 200), memory.row("2", 200)), (Some(&*v(8)), Some(&*v(9))));
}

/// Partitions are read side by side. What the second server had told was in one epoch with what the first had, until
/// something of it came again; and what came again in another order was taken for a restore.
#[test]
fn a_server_that_is_read_after_the_one_that_replaced_it_comes_before_it() {
    let second = |pos, value, second| {
        binlog(3, 1, pos, "2", value, second).sent(2, 1).source("connector", "mariadb").offset(second)
    };
    // The statement that was written last began first.
    let mut story = vec![second(4, 3, 30), second(5, 4, 25), binlog(9, 9, 400, "1", 1, 10)];
    let told = |story: &[Told]| {
        let (memory, origins) = fold_with_origins(story);
        assert_eq!((held(&origins), info(&origins).epoch), (None, 2));
        ["1", "2"].map(|id| memory.told(id).iter().map(|record| (record.id, record.order.epoch)).collect::<Vec<_>>())
    };
    let once = told(&story);
    assert_eq!(
        once.clone().map(|told| told.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>()),
        [vec![1], vec![2, 2]]
    );
    let again: Vec<Told> = story.iter().rev().cloned().collect();
    story.extend(again);
    assert_eq!(told(&story), once);
}

/// Rows that were known in the epoch already stand anew, too, where they did when they came.
#[test]
fn rows_of_an_epoch_that_is_found_to_have_begun_earlier_stay() {
    let row = |run, value, second| {
        let row = read(second, "2", &v(value)).sent(run, 1).offset(second).source("connector", "mariadb");
        row.snapshot("true", second.unsigned_abs())
    };
    let story = [
        binlog(9, 9, 400, "1", 1, 10),
        row(2, 4, 15),
        row(3, 5, 19),
        binlog(3, 1, 6, "2", 6, 20).sent(3, 1).source("connector", "mariadb").offset(20),
        binlog(3, 1, 4, "1", 7, 18).sent(2, 0).source("connector", "mariadb").offset(18),
    ];
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((info(&origins).epoch, held(&origins)), (1, None));
    assert_eq!(memory.told("2").iter().map(|record| record.order.epoch).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(memory.versions("2"), [(15, Some(&*v(4))), (19, Some(&*v(5))), (20, Some(&*v(6)))]);
}

/// Its epoch had no event: all that the later run had sent, and its own, were taken for one.
#[test]
fn an_epoch_begins_before_one_that_a_later_run_began() {
    let by = |server, run, partition, value, second: i64| {
        let told = binlog(server, 1, second.unsigned_abs(), "1", value, second).sent(run, partition);
        told.source("connector", "mariadb").offset(second)
    };
    let mut story = vec![by(9, 1, 0, 1, 10), by(4, 3, 1, 3, 30)];
    assert_eq!(info(&fold_with_origins(&story).1).epoch, 1);
    story.push(by(3, 2, 0, 2, 20));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((info(&origins).epoch, held(&origins)), (2, None));
    let epochs: Vec<_> = memory.told("1").iter().map(|record| (record.order.epoch, record.valid_from)).collect();
    assert_eq!(epochs, [(0, at(10)), (1, at(20)), (2, at(30))]);
    assert_eq!(memory.shown_at("1", 25, position(2)), Some(&*v(1)));
    // Its times run backwards: what came after it waits, too.
    story.pop();
    story.push(by(3, 2, 0, 2, 5));
    let (memory, origins) = fold_with_origins(&story);
    assert_eq!((info(&origins).epoch, held(&origins), memory.row("1", 100)), (0, Some((2, 2)), Some(&*v(1))));
}
