//! The whole, with nothing made up: a database at work, Debezium, Kafka and Deltafold, while each of them is stopped,
//! killed, sent back, joined by another and left again. In the end the views are what the database's own SELECT said, at
//! every moment of that time, and the store has every event of the topics once.

use deltafold_tests::live::{Live, leave};

/// How many times the database works between two faults.
fn rounds() -> u32 {
    if std::env::var_os("DELTAFOLD_SOAK").is_some() { 10 } else { 3 }
}

fn survives_everything(mut live: Live) {
    let work = |live: &mut Live| (0..rounds()).for_each(|_| live.work());
    work(&mut live);
    let bookmark = live.bookmark();
    work(&mut live);
    live.site().kill_and_run();
    work(&mut live);

    let kafka = live.stack().kafka().expect("the broker");
    kafka.stop().expect("the broker stops");
    kafka.start().expect("and starts");
    work(&mut live);

    live.send_again(&bookmark);
    work(&mut live);

    let second = live.site().second();
    work(&mut live);
    live.site().kill_and_run();
    work(&mut live);
    leave(second);
    work(&mut live);

    let records = live.settle();
    live.assert_truth();
    live.assert_events(&records);
}

#[test]
fn postgres() {
    survives_everything(Live::shop(20_261_127));
}

#[test]
fn mariadb() {
    survives_everything(Live::warehouse(20_261_127));
}
