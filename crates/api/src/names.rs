//! From the names of views and columns to names that GraphQL allows, without clashes.
//!
//! The mapping is a function of the catalog alone, so that every replica and every start gives the same. Names that
//! are already in snake case keep their plain form; what clashes with them gives way and gets a number.

use std::collections::BTreeSet;

use deltafold_projector::ViewInfo;

/// The root fields that are ours.
const ROOT_FIELDS: [&str; 12] = [
    "event",
    "events",
    "aggregate",
    "projections",
    "projection",
    "projectionDiff",
    "projectionProgress",
    "sources",
    "deadLetter",
    "deadLetters",
    "store",
    "deltafold",
];

/// The types that are ours, beside the built-in ones.
const TYPES: [&str; 64] = [
    "Query",
    "Mutation",
    "Subscription",
    "Int",
    "Float",
    "String",
    "Boolean",
    "ID",
    "BigInt",
    "Decimal",
    "Date",
    "Time",
    "DateTime",
    "Bytes",
    "JSON",
    "Position",
    "AsOf",
    "PageInfo",
    "RowVersion",
    "FieldChange",
    "Event",
    "EventConnection",
    "EventEdge",
    "EventFilter",
    "EventNameFilter",
    "PositionRange",
    "DateTimeRange",
    "EventOrder",
    "Aggregate",
    "AggregateEvent",
    "AggregateEventConnection",
    "AggregateEventEdge",
    "Projection",
    "ProjectionColumn",
    "Source",
    "SourceFile",
    "SourcePartition",
    "Origin",
    "OriginReset",
    "NewEpoch",
    "DeadLetter",
    "DeadLetterConnection",
    "DeadLetterEdge",
    "DeadLetterFilter",
    "DeadLetterState",
    "DeadLetterStateFilter",
    "DeadLetterSettlement",
    "DeadLetterFailure",
    "SettledDeadLetters",
    "Store",
    "OrderDirection",
    "ProjectionBuild",
    "ProjectionDiff",
    "ProjectionKeyDiff",
    "ProjectionOrder",
    "ProjectionProgress",
    "ViewVersion",
    "ViewVersionConnection",
    "ViewVersionEdge",
    "AggregateKey",
    "AppendedEvents",
    "ExpectedRevision",
    "NewEvent",
    "Operation",
];

/// Whether no view may have a type of this name.
#[cfg(test)]
pub(crate) fn is_reserved_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// Whether no view may have a root field of this name.
#[cfg(test)]
pub(crate) fn is_reserved_root(name: &str) -> bool {
    ROOT_FIELDS.contains(&name)
}

/// The names of one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ViewNames {
    /// The row type, `CustomerOrders`; the types that go with it start with it.
    pub(crate) row: String,
    /// The root field of the list, `customerOrders`; the other root fields start with it.
    pub(crate) list: String,
    /// The columns' names, in the order of the columns.
    pub(crate) columns: Vec<String>,
}

impl ViewNames {
    pub(crate) fn by_key(&self) -> String {
        format!("{}ByKey", self.list)
    }

    pub(crate) fn connection(&self) -> String {
        format!("{}Connection", self.row)
    }

    pub(crate) fn edge(&self) -> String {
        format!("{}Edge", self.row)
    }

    pub(crate) fn filter(&self) -> String {
        format!("{}Filter", self.row)
    }

    pub(crate) fn order(&self) -> String {
        format!("{}Order", self.row)
    }

    pub(crate) fn aggregate(&self) -> String {
        format!("{}Aggregate", self.list)
    }

    /// The type of a group, or of a part of it.
    pub(crate) fn aggregate_type(&self, part: &str) -> String {
        format!("{}Aggregate{part}", self.row)
    }

    pub(crate) fn diff(&self) -> String {
        format!("{}Diff", self.list)
    }

    /// The type of a row that differs, or of what such rows come in.
    pub(crate) fn difference(&self, part: &str) -> String {
        format!("{}Difference{part}", self.row)
    }

    pub(crate) fn changed(&self) -> String {
        format!("{}Changed", self.list)
    }

    pub(crate) fn change(&self) -> String {
        format!("{}Change", self.row)
    }

    pub(crate) fn group_by(&self) -> String {
        format!("{}GroupBy", self.row)
    }

    /// Every type name that starts with the row type's, those of later features too: a name once given must not be
    /// taken away by them.
    fn types(row: &str) -> [String; 16] {
        [
            "",
            "Connection",
            "Edge",
            "Filter",
            "Order",
            "Aggregate",
            "AggregateGroup",
            "AggregateSum",
            "AggregateAvg",
            "AggregateMin",
            "AggregateMax",
            "GroupBy",
            "Change",
            "Difference",
            "DifferenceConnection",
            "DifferenceEdge",
        ]
        .map(|suffix| format!("{row}{suffix}"))
    }

    fn roots(list: &str) -> [String; 5] {
        ["", "ByKey", "Aggregate", "Diff", "Changed"].map(|suffix| format!("{list}{suffix}"))
    }
}

/// The names of all views, in the order of the views.
pub(crate) fn of_views<'a>(views: impl IntoIterator<Item = &'a ViewInfo>) -> Vec<ViewNames> {
    let views: Vec<&ViewInfo> = views.into_iter().collect();
    let mut types: BTreeSet<String> = TYPES.iter().map(|&name| name.to_owned()).collect();
    types.extend(
        ["String", "Boolean", "Int", "BigInt", "Float", "Decimal", "Date", "Time", "DateTime", "Bytes", "JSON"]
            .iter()
            .flat_map(|name| [format!("{name}Filter"), format!("{name}ListFilter")]),
    );
    types.insert("JSONPlaceFilter".to_owned());
    let mut roots: BTreeSet<String> = ROOT_FIELDS.iter().map(|&name| name.to_owned()).collect();
    let mut names: Vec<Option<ViewNames>> = vec![None; views.len()];
    for index in plain_first(views.iter().map(|view| view.name.as_ref())) {
        let view = views[index];
        let list = camel(&view.name, "view");
        let reserved = ROOT_FIELDS.contains(&list.as_str()) || TYPES.contains(&pascal(&list).as_str());
        let (list, row) = candidates(&list, reserved)
            .map(|list| (list.clone(), pascal(&list)))
            .find(|(list, row)| {
                ViewNames::roots(list).iter().all(|name| !roots.contains(name))
                    && ViewNames::types(row).iter().all(|name| !types.contains(name))
            })
            .expect("candidates never end");
        roots.extend(ViewNames::roots(&list));
        types.extend(ViewNames::types(&row));
        names[index] = Some(ViewNames { row, list, columns: of_columns(view) });
    }
    names.into_iter().map(|names| names.expect("each view was named")).collect()
}

/// What no column may be called: `asOf` is an argument beside the key's columns, and the others cannot be in an enum.
const COLUMNS: [&str; 4] = ["asOf", "true", "false", "null"];

/// The names of a view's columns.
fn of_columns(view: &ViewInfo) -> Vec<String> {
    let mut taken: BTreeSet<String> = COLUMNS.map(str::to_owned).into();
    let mut names = vec![String::new(); view.columns.len()];
    for index in plain_first(view.columns.iter().map(|column| column.name.as_str())) {
        let name = camel(&view.columns[index].name, "column");
        let reserved = COLUMNS.contains(&name.as_str());
        let name = candidates(&name, reserved).find(|name| !taken.contains(name)).expect("candidates never end");
        taken.insert(name.clone());
        names[index] = name;
    }
    names
}

/// A source's name as a description shows it, which is a string in the schema definition.
pub(crate) fn quoted(name: &str) -> String {
    let plain = |letter: char| match letter {
        '"' => '\'',
        '\\' => '/',
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    format!("`{}`", name.chars().map(plain).collect::<String>())
}

/// The indices of the names, those in plain snake case before the others.
fn plain_first<'a>(names: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut order: Vec<(bool, usize)> = names.enumerate().map(|(index, name)| (!is_plain(name), index)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, index)| index).collect()
}

/// Whether the camel case of a name tells the name: words of lower-case letters and digits, one underscore between.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .split('_')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}

/// A name, then what it becomes when that is taken: with an underscore where it is one of ours, then with numbers.
fn candidates(name: &str, reserved: bool) -> impl Iterator<Item = String> {
    let name = if reserved { format!("{name}_") } else { name.to_owned() };
    std::iter::once(name.clone()).chain((2_u32..).map(move |number| format!("{name}_{number}")))
}

/// A column's or view's name in camel case. Letters beyond ASCII become `u` and their code point; every other
/// character separates words.
fn camel(name: &str, fallback: &str) -> String {
    let shouting = !name.chars().any(char::is_lowercase);
    let mut words: Vec<String> = Vec::new();
    let mut open = false;
    for letter in name.chars() {
        if !letter.is_alphanumeric() {
            open = false;
            continue;
        }
        if !open {
            words.push(String::new());
            open = true;
        }
        let word = words.last_mut().expect("a word was opened");
        if !letter.is_ascii() {
            word.push_str(&format!("u{:04x}", u32::from(letter)));
        } else if shouting {
            word.push(letter.to_ascii_lowercase());
        } else {
            word.push(letter);
        }
    }
    let mut out = String::with_capacity(name.len());
    for (index, word) in words.iter().enumerate() {
        if index == 0 {
            out.push_str(&lower_head(word));
        } else {
            out.push_str(&pascal(word));
        }
    }
    match out.bytes().next() {
        None => fallback.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{out}"),
        Some(_) => out,
    }
}

/// `OrderId` → `orderId`, `URLPath` → `urlPath`, `ID` → `id`.
fn lower_head(word: &str) -> String {
    let run = word.bytes().take_while(u8::is_ascii_uppercase).count();
    let lower = if run > 1 && run < word.len() && word.as_bytes()[run].is_ascii_lowercase() { run - 1 } else { run };
    format!("{}{}", word[..lower].to_ascii_lowercase(), &word[lower..])
}

/// The same name with its first letter in upper case.
fn pascal(name: &str) -> String {
    let head = name.bytes().take_while(|&byte| byte == b'_').count();
    let (underscores, rest) = name.split_at(head);
    let mut letters = rest.chars();
    match letters.next() {
        Some(first) => format!("{underscores}{}{}", first.to_ascii_uppercase(), letters.as_str()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use deltafold_event::{Column, ColumnType};

    use super::*;

    fn view(name: &str, columns: &[&str]) -> ViewInfo {
        ViewInfo {
            kind: deltafold_projector::ViewKind::Mirror,
            kept_from: None,
            removed: None,
            leaving: Vec::new(),
            name: name.into(),
            key: Vec::new(),
            columns: columns
                .iter()
                .map(|&name| Column { name: name.to_owned(), column_type: ColumnType::Text })
                .collect(),
            history_start: None,
            generation: 1,
        }
    }

    fn lists(names: &[&str]) -> Vec<String> {
        let views: Vec<ViewInfo> = names.iter().map(|name| view(name, &[])).collect();
        of_views(&views).into_iter().map(|names| names.list).collect()
    }

    #[test]
    fn plain_names_become_camel_case() {
        let names = of_views(&[view("customer_orders", &["customer_id", "placed_at", "line_2"])]).remove(0);
        assert_eq!((names.row.as_str(), names.list.as_str()), ("CustomerOrders", "customerOrders"));
        assert_eq!(names.columns, ["customerId", "placedAt", "line2"]);
    }

    #[test]
    fn names_that_graphql_does_not_allow_are_mapped() {
        let columns = ["2fa", "größe", "SHIPPED_ON", "OrderID", "URLPath", "a-b", "", "__deleted", "$", "total (EUR)"];
        let names = of_views(&[view("x", &columns)]).remove(0);
        assert_eq!(
            names.columns,
            [
                "_2fa",
                "gru00f6u00dfe",
                "shippedOn",
                "orderID",
                "urlPath",
                "aB",
                "column",
                "deleted",
                "column_2",
                "totalEUR"
            ]
        );
        let pattern = |name: &str| {
            !name.starts_with("__")
                && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        assert!(names.columns.iter().all(|name| pattern(name)));
    }

    #[test]
    fn names_of_ours_get_an_underscore() {
        assert_eq!(
            lists(&["events", "orders", "sources", "store", "aggregate", "date"]),
            ["events_", "orders", "sources_", "store_", "aggregate_", "date_"]
        );
        assert_eq!(of_views(&[view("events", &["as_of"])])[0].row, "Events_");
        assert_eq!(of_views(&[view("x", &["as_of"])])[0].columns, ["asOf_"]);
    }

    #[test]
    fn what_clashes_with_a_plain_name_gives_way() {
        assert_eq!(
            lists(&["order-items", "orderItems", "order_items"]),
            ["orderItems_2", "orderItems_3", "orderItems"]
        );
        assert_eq!(of_views(&[view("x", &["a b", "aB", "a_b"])])[0].columns, ["aB_2", "aB_3", "aB"]);
    }

    /// `orders` owns `OrdersOrder` and `ordersByKey`: a view of such a name must not take them.
    #[test]
    fn derived_names_do_not_clash() {
        assert_eq!(lists(&["orders", "orders_by_key", "orders_order"]), ["orders", "ordersByKey_2", "ordersOrder_2"]);
    }
}
