//! Law 8 on recorded streams: what a real Debezium said of a real database, folded, is what that database's own
//! SELECT said at every recorded moment; in order, and in pieces with duplicates and the partitions interleaved.

use deltafold_tests::recording::{self, Recording, assert_same_views, disturb, served, served_apart};

/// Every table at every moment of the truth file, out of the stream as it was recorded.
fn answers_as_select_did(recording: &Recording) {
    let server = served(recording, &[recording.lines()]);
    server.compare_with_truth(recording);
    server.compare_with_lines(&recording.lines());
}

/// The same out of random pieces, with one log event in twenty delivered again later; and the views are the same to
/// the last version.
fn survives_disturbance(recording: &Recording) {
    let lines = recording.lines();
    let plain = served(recording, std::slice::from_ref(&lines));
    let disturbed = served(recording, &disturb(&lines, 20_261_121));
    disturbed.compare_with_truth(recording);
    disturbed.compare_with_lines(&lines);
    assert_same_views(&plain, &disturbed, recording);
}

/// One process after the other appends, two others fold for themselves and answer.
#[test]
fn is_served_by_others_than_append_it() {
    let shop = Recording { folder: "shop", stream: "shop", declared: "" };
    let pieces = disturb(&shop.lines(), 20_261_127);
    let [one, other] = served_apart(&shop, &pieces);
    one.compare_with_truth(&shop);
    other.compare_with_truth(&shop);
    other.compare_with_lines(&shop.lines());
    assert_same_views(&one, &other, &shop);
}

macro_rules! recorded {
    ($($name:ident: $recording:expr;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn answers_as_select_did() {
                super::answers_as_select_did(&$recording);
            }

            #[test]
            fn survives_disturbance() {
                super::survives_disturbance(&$recording);
            }
        }
    )*};
}

recorded! {
    shop: Recording { folder: "shop", stream: "shop", declared: "" };
    shop_plain: Recording { folder: "shop", stream: "shop-plain", declared: recording::DECLARED };
    corners: Recording { folder: "corners", stream: "corners", declared: "" };
    corners_plain: Recording { folder: "corners", stream: "corners-plain", declared: recording::DECLARED };
}
