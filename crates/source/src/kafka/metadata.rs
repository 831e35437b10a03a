//! Which of the topics that should be there are.

use std::collections::BTreeSet;

use super::TopicPattern;

/// Names that are not among the topics there are, and topics that were and are not any more.
pub(crate) fn missing<'a>(
    patterns: &[TopicPattern],
    there: impl IntoIterator<Item = &'a str>,
    seen: &mut BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let meant = |topic: &&str| patterns.iter().any(|pattern| pattern.matches(topic));
    let there: BTreeSet<String> = there.into_iter().filter(meant).map(str::to_owned).collect();
    seen.extend(there.iter().cloned());
    let named = patterns.iter().filter(|pattern| pattern.is_name()).map(ToString::to_string);
    let unknown = named.filter(|name| !seen.contains(name)).collect();
    let deleted = seen.difference(&there).cloned().collect();
    (unknown, deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_never_was_is_told_from_one_that_was_deleted() {
        let patterns = ["shop.*", "audit", "late"].map(|text| text.parse().unwrap());
        let mut seen = BTreeSet::new();
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (unknown, deleted) = missing(&patterns, ["shop.a", "audit", "other"], &mut seen);
        assert_eq!((unknown, deleted), (set(&["late"]), set(&[])));
        let (unknown, deleted) = missing(&patterns, ["late", "other"], &mut seen);
        assert_eq!((unknown, deleted), (set(&[]), set(&["audit", "shop.a"])));
        let (unknown, deleted) = missing(&patterns, ["late", "shop.a", "audit"], &mut seen);
        assert_eq!((unknown, deleted), (set(&[]), set(&[])));
    }
}
