//! What joins leave for later, where what comes meanwhile is chosen.

use deltafold_event::{Column, ColumnType, EventId, Timestamp};
use deltafold_projection::{Change, Definition, Relation, Relations, Statement};
use deltafold_tests::{naive::Schemas, projections::Projected};

fn relations(of: &[(&str, &[&str])]) -> Relations {
    let column = |name: &&str| Column { name: (*name).to_owned(), column_type: ColumnType::BigInt };
    let relation = |names: &[&str]| Relation::new(names.iter().map(column), vec!["id".to_owned()]);
    of.iter().map(|(name, columns)| ((*name).to_owned(), relation(columns))).collect()
}

fn change(row: &str, at: i64, weight: i8) -> Change<'_> {
    Change { row, valid_from: Timestamp::from_micros(at), weight, event: EventId::from_bytes([1; 16]) }
}

/// What several batches make of a definition, without waiting for what is left of each, where only so many pairs are
/// folded at once.
fn folded(sql: &str, relations: &Relations, batches: &[&[(&str, &[Change<'_>])]], pairs: u64) -> Projected {
    let statement = Statement::parse("v.sql", sql).expect("it is right");
    let definition = Definition::check(&statement, relations).expect("it is right");
    let mut projected = Projected::in_pieces_of(pairs, &Schemas::new(), &definition);
    for batch in batches {
        projected.fold_part(&batch.iter().copied().collect());
    }
    projected.finish();
    projected
}

fn are_the_same_in_pieces(sql: &str, relations: &Relations, batches: &[&[(&str, &[Change<'_>])]]) {
    let (whole, parts) = (folded(sql, relations, batches, 10_000), folded(sql, relations, batches, 2));
    assert_eq!(whole.parts(), 0);
    assert!(parts.parts() > 0, "nothing was left");
    assert_eq!(parts.versions(), whole.versions());
    assert_eq!(parts.remembered(), whole.remembered());
}

/// What cannot be computed of a part can be of the whole.
#[test]
fn a_sum_of_which_a_part_is_there_is_not_divided_by() {
    let relations = relations(&[("a", &["id", "g"]), ("b", &["id", "a", "n", "d"])]);
    let sql = "CREATE MATERIALIZED VIEW v WITH (key = 'g') AS\n\
               SELECT a.g, sum(b.n) / sum(b.d) AS share FROM a JOIN b ON b.a = a.id GROUP BY a.g";
    // Most parts are without the one that is not zero.
    let row = |id: usize| format!(r#"{{"id":{id},"a":1,"n":{id},"d":{}}}"#, u8::from(id == 7));
    let rows: Vec<String> = (0..20).map(row).collect();
    let of_b: Vec<Change<'_>> = rows.iter().map(|row| change(row, 1, 1)).collect();
    let of_a = [change(r#"{"id":1,"g":5}"#, 1, 1)];
    are_the_same_in_pieces(sql, &relations, &[&[("b", &of_b)], &[("a", &of_a)]]);
}

/// What changes and changes back while something is left has not changed.
#[test]
fn a_row_that_is_as_it_was_before_the_others_are_met_is_met_once() {
    let relations = relations(&[("o", &["id", "c", "n"]), ("c", &["id", "m"])]);
    let sql = "CREATE MATERIALIZED VIEW v WITH (key = 'id') AS SELECT o.id, o.n, c.m FROM o LEFT JOIN c ON c.id = o.c";
    let row = |id: usize, n: usize| format!(r#"{{"id":{id},"c":7,"n":{n}}}"#);
    let rows: Vec<String> = (0..40).map(|id| row(id, 1)).collect();
    let other = row(5, 2);
    let all: Vec<Change<'_>> = rows.iter().map(|row| change(row, 1, 1)).collect();
    let (there, gone) = ([change(r#"{"id":7,"m":3}"#, 2, 1)], [change(r#"{"id":7,"m":3}"#, 9, -1)]);
    let forth = [change(&rows[5], 4, -1), change(&other, 4, 1)];
    let back = [change(&other, 4, -1), change(&rows[5], 4, 1)];
    let batches: [&[(&str, &[Change<'_>])]; 4] =
        [&[("o", &all)], &[("c", &there)], &[("o", &forth), ("c", &gone)], &[("o", &back)]];
    are_the_same_in_pieces(sql, &relations, &batches);
}
