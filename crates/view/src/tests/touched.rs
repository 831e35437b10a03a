//! Following what commits change.

use super::{append, entry, open};

fn keys(found: Option<Vec<Box<str>>>) -> Vec<String> {
    found.expect("it is known").into_iter().map(String::from).collect()
}

#[test]
fn what_commits_change_of_one_view_is_told_once() {
    let (_dir, views) = open();
    let [orders, items] = ["orders", "items"].map(|name| views.mirror(name).unwrap());
    append(&views, &orders, "0", &entry(0, 1, Some("{}")));
    let touched = views.touched(&orders);
    for (at, id) in [(2, "b"), (3, "a"), (4, "a")] {
        append(&views, &orders, id, &entry(0, at, Some("{}")));
        append(&views, &items, "c", &entry(0, at, Some("{}")));
    }
    let before = views.snapshot();
    append(&views, &orders, "d\0", &entry(0, 5, Some("{}")));
    // What a snapshot does not show is left for the next.
    assert_eq!(keys(touched.until(&before).unwrap()), ["a", "b"]);
    assert_eq!(keys(touched.until(&before).unwrap()), [""; 0]);
    assert_eq!(keys(touched.until(&views.snapshot()).unwrap()), ["d\0"]);
}

#[test]
fn what_was_not_noted_may_be_anything() {
    let (_dir, views) = open();
    let orders = views.mirror("orders").unwrap();
    let touched = views.touched(&orders);
    let before = views.snapshot();
    views.hide();
    append(&views, &orders, "a", &entry(0, 1, Some("{}")));
    assert_eq!(touched.until(&views.snapshot()).unwrap().map(|keys| keys.len()), Some(0));
    views.show().unwrap();
    append(&views, &orders, "b", &entry(0, 2, Some("{}")));
    assert_eq!(touched.until(&before).unwrap().map(|keys| keys.len()), Some(0));
    assert_eq!(touched.until(&views.snapshot()).unwrap(), None);
    assert_eq!(touched.until(&views.snapshot()).unwrap().map(|keys| keys.len()), Some(0));
}
