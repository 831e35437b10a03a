//! Filters that a seek answers.

use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, expr::InList},
};

use super::hidden;

/// Which rows a scan has to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    /// All rows.
    All,
    /// Those above a key.
    After(String),
    /// These, in order.
    These(Vec<String>),
}

/// Whether a scan answers the filter by seeking: exactly if it is about `_key`; if about the key column, the
/// filter is checked again, since texts that differ may be equal there.
pub(crate) fn support(filter: &Expr, key_column: Option<&str>) -> TableProviderFilterPushDown {
    match understood(filter, key_column) {
        Some((_, true)) => TableProviderFilterPushDown::Exact,
        Some((_, false)) => TableProviderFilterPushDown::Inexact,
        None => TableProviderFilterPushDown::Unsupported,
    }
}

/// What all the filters leave to look at.
pub(crate) fn keys(filters: &[Expr], key_column: Option<&str>) -> Keys {
    let understood = filters.iter().filter_map(|filter| understood(filter, key_column));
    understood.fold(Keys::All, |all, (keys, _)| all.and(keys))
}

impl Keys {
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, keys) | (keys, Self::All) => keys,
            (Self::After(a), Self::After(b)) => Self::After(a.max(b)),
            (Self::After(after), Self::These(mut keys)) | (Self::These(mut keys), Self::After(after)) => {
                keys.retain(|key| *key > after);
                Self::These(keys)
            }
            (Self::These(mut keys), Self::These(others)) => {
                keys.retain(|key| others.binary_search(key).is_ok());
                Self::These(keys)
            }
        }
    }

    pub(super) fn these(mut keys: Vec<String>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self::These(keys)
    }
}

fn understood(filter: &Expr, key_column: Option<&str>) -> Option<(Keys, bool)> {
    let is_exact = |name: &str| match name {
        hidden::KEY => Some(true),
        _ if Some(name) == key_column => Some(false),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (name, op, value) = match (&**left, &**right) {
                (Expr::Column(column), Expr::Literal(value, _)) => (&column.name, *op, value),
                (Expr::Literal(value, _), Expr::Column(column)) => (&column.name, op.swap()?, value),
                _ => return None,
            };
            let is_exact = is_exact(name)?;
            match op {
                Operator::Eq => Some((Keys::these(vec![key_text(value)?]), is_exact)),
                // Numbers do not order as their texts do.
                Operator::Gt if is_exact => Some((Keys::After(key_text(value)?), true)),
                _ => None,
            }
        }
        Expr::InList(InList { expr, list, negated: false }) => {
            let Expr::Column(column) = &**expr else { return None };
            let is_exact = is_exact(&column.name)?;
            let texts = list.iter().map(|value| match value {
                Expr::Literal(value, _) => key_text(value),
                _ => None,
            });
            Some((Keys::these(texts.collect::<Option<_>>()?), is_exact))
        }
        _ => None,
    }
}

/// The text of a key column's value in an aggregate id, where there is only one.
fn key_text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)) => {
            Some(text.clone())
        }
        ScalarValue::Int32(Some(number)) => Some(number.to_string()),
        ScalarValue::Int64(Some(number)) => Some(number.to_string()),
        _ => None,
    }
}
