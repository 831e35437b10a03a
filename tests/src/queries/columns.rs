//! The columns of the view that is asked about, and values for them.

use deltafold_event::ColumnType;
use rand::{Rng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Value, json};

/// Its name, in SQL; every word is one, so that it is the same in GraphQL.
pub(super) const VIEW: &str = "items";

/// A view over it, whose rows its own name: in SQL, what it is made of, and the whole definition.
pub(super) const DERIVED: &str = "names";
pub(super) const OF_DERIVED: &str =
    "SELECT name, count(*) AS n, sum(qty) AS total FROM items WHERE name IS NOT NULL GROUP BY name";

/// What a column is for a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    BigInt,
    Decimal,
    Float,
    Text,
    Date,
    Moment,
    Boolean,
    Json,
    List,
}

/// The columns, the key first.
pub(super) const COLUMNS: [(&str, Kind); 10] = [
    ("id", Kind::Int),
    ("qty", Kind::BigInt),
    ("price", Kind::Decimal),
    ("weight", Kind::Float),
    ("name", Kind::Text),
    ("day", Kind::Date),
    ("at", Kind::Moment),
    ("flag", Kind::Boolean),
    ("body", Kind::Json),
    ("tags", Kind::List),
];

impl Kind {
    pub(super) fn column_type(self) -> ColumnType {
        match self {
            Self::Int => ColumnType::Int,
            Self::BigInt => ColumnType::BigInt,
            Self::Decimal => ColumnType::Decimal(Some((12, 2))),
            Self::Float => ColumnType::Float,
            Self::Text => ColumnType::Text,
            Self::Date => ColumnType::Date,
            Self::Moment => ColumnType::TimestampTz,
            Self::Boolean => ColumnType::Boolean,
            Self::Json => ColumnType::Json,
            Self::List => ColumnType::List(Box::new(ColumnType::Text)),
        }
    }

    pub(super) fn is_ordered(self) -> bool {
        !matches!(self, Self::Json | Self::List)
    }

    pub(super) fn is_comparable(self) -> bool {
        self.is_ordered() && self != Self::Boolean
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::BigInt | Self::Decimal | Self::Float)
    }

    /// A value of a row: of few different ones, so that many are equal.
    pub(super) fn value(self, random: &mut SmallRng) -> Value {
        if random.random_ratio(1, 5) {
            return Value::Null;
        }
        match self {
            Self::Int | Self::BigInt => json!(random.random_range(-3..12)),
            Self::Decimal => json!(["0.00", "1.50", "4.00", "12.50", "-7.25", "1000000.01"].choose(random)),
            Self::Float => [json!(0.0), json!(1.5), json!(2.25), json!(-4.5), json!("NaN")]
                .choose(random)
                .cloned()
                .unwrap_or_default(),
            Self::Text => json!(["", "ada", "Ada", "bob", "b%b", "zoë", "Zürich"].choose(random)),
            Self::Date => json!(format!("2026-11-{:02}", random.random_range(1..6))),
            Self::Moment => json!(format!("2026-11-0{}T12:00:00Z", random.random_range(1..6))),
            Self::Boolean => json!(random.random_bool(0.5)),
            Self::Json => {
                let bodies = [
                    json!({"kind": "a", "n": 1, "ok": true, "list": ["x", 2]}),
                    json!({"kind": "b", "n": 2.50, "ok": false, "list": []}),
                    json!({"kind": "b", "n": "2.5", "ok": null}),
                    json!({"kind": 7, "n": -1}),
                    json!(["a", "b"]),
                ];
                json!(bodies.choose(random).cloned().unwrap_or_default().to_string())
            }
            Self::List => {
                let count = random.random_range(0..3);
                json!((0..count).map(|_| ["x", "y", "z"].choose(random)).collect::<Vec<_>>())
            }
        }
    }

    /// A value to compare with: mostly one that some rows have. As GraphQL writes it, and as SQL does.
    pub(super) fn literal(self, random: &mut SmallRng) -> (String, String) {
        let value = loop {
            match self.value(random) {
                Value::Null => {}
                Value::String(text) if text == "NaN" => {}
                value => break value,
            }
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let quoted = format!("'{}'", text.replace('\'', "''"));
        match self {
            Self::Int | Self::Boolean => (text.clone(), text),
            Self::BigInt => (format!("\"{text}\""), text),
            // Also with more digits than the column has.
            Self::Decimal if random.random_ratio(1, 4) => {
                (format!("\"{text}5\""), format!("CAST('{text}5' AS DECIMAL(38, 3))"))
            }
            Self::Decimal => (format!("\"{text}\""), format!("CAST({quoted} AS DECIMAL(38, 2))")),
            Self::Float => (text.clone(), format!("CAST({quoted} AS DOUBLE)")),
            Self::Text => (json!(text).to_string(), quoted),
            Self::Date => (json!(text).to_string(), format!("CAST({quoted} AS DATE)")),
            Self::Moment => {
                (json!(text).to_string(), format!("arrow_cast({quoted}, 'Timestamp(Microsecond, Some(\"UTC\"))')"))
            }
            Self::Json | Self::List => unreachable!("nothing is compared with all of it"),
        }
    }
}
