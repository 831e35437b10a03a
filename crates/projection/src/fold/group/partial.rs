//! What adds up: every aggregate that can be kept by adding and taking away.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, ArrowNativeTypeOp, AsArray, BooleanArray, Decimal128Array, Decimal256Array,
        DurationMicrosecondArray, Float64Array, Int64Array, UInt64Array,
    },
    compute::cast,
    datatypes::{DataType, Decimal128Type, Decimal256Type, DecimalType, Float64Type, Int64Type, UInt64Type, i256},
};
use datafusion::common::{Result, not_impl_err};
use serde::{Deserialize, Serialize};

use super::exact::ExactSum;

/// How much there is of something, of the rows that are in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Partial {
    /// How many values.
    Count(i64),
    /// Whole numbers, and how many.
    Whole { count: i64, sum: i128 },
    /// Decimals without their point, and how many.
    Decimal {
        count: i64,
        #[serde(with = "as_parts")]
        sum: i256,
    },
    /// Floats, and how many.
    Float { count: i64, sum: ExactSum },
    /// Truths.
    Truth { trues: i64, falses: i64 },
}

impl Partial {
    /// Adds another of the same kind.
    pub(crate) fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(count), Self::Count(more)) => *count += more,
            (Self::Whole { count, sum }, Self::Whole { count: more, sum: other }) => {
                *count += more;
                *sum += other;
            }
            (Self::Decimal { count, sum }, Self::Decimal { count: more, sum: other }) => {
                *count += more;
                // 76 digits and 2⁶³ rows are beyond 256 bits, but no decimal column is that full.
                *sum = sum.wrapping_add(*other);
            }
            (Self::Float { count, sum }, Self::Float { count: more, sum: other }) => {
                *count += more;
                sum.add_sum(other);
            }
            (Self::Truth { trues, falses }, Self::Truth { trues: more, falses: less }) => {
                *trues += more;
                *falses += less;
            }
            _ => unreachable!("the partials of one aggregate are of one kind"),
        }
    }
}

/// What a batch of rows has to add up.
pub(crate) enum Summands {
    Any(ArrayRef),
    Whole(Int64Array),
    Unsigned(UInt64Array),
    Decimal128(Decimal128Array),
    Decimal256(Decimal256Array),
    Float(Float64Array),
    Truth(BooleanArray),
}

impl Summands {
    /// Of the values that an aggregate of this kind is given.
    pub(crate) fn new(kind: Additive, values: ArrayRef) -> Result<Self> {
        if matches!(kind, Additive::Count) {
            return Ok(Self::Any(values));
        }
        Ok(match values.data_type() {
            DataType::Boolean => Self::Truth(values.as_boolean().clone()),
            DataType::Float64 => Self::Float(values.as_primitive::<Float64Type>().clone()),
            DataType::UInt64 => Self::Unsigned(values.as_primitive::<UInt64Type>().clone()),
            DataType::Decimal128(..) => Self::Decimal128(values.as_primitive::<Decimal128Type>().clone()),
            DataType::Decimal256(..) => Self::Decimal256(values.as_primitive::<Decimal256Type>().clone()),
            DataType::Int64 | DataType::Duration(_) => {
                Self::Whole(cast(&values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Null => Self::Whole(Int64Array::new_null(values.len())),
            other => return not_impl_err!("values of {other} cannot be added up"),
        })
    }

    /// Nothing of it.
    pub(crate) fn zero(&self) -> Partial {
        match self {
            Self::Any(_) => Partial::Count(0),
            Self::Whole(_) | Self::Unsigned(_) => Partial::Whole { count: 0, sum: 0 },
            Self::Decimal128(_) | Self::Decimal256(_) => Partial::Decimal { count: 0, sum: i256::ZERO },
            Self::Float(_) => Partial::Float { count: 0, sum: ExactSum::default() },
            Self::Truth(_) => Partial::Truth { trues: 0, falses: 0 },
        }
    }

    /// Adds what stands in a row, so many times; nothing if that is null.
    pub(crate) fn add(&self, row: usize, times: i64, to: &mut Partial) {
        match (self, to) {
            (Self::Any(values), Partial::Count(count)) => {
                if values.is_valid(row) {
                    *count += times;
                }
            }
            (Self::Whole(values), Partial::Whole { count, sum }) => {
                if values.is_valid(row) {
                    *count += times;
                    *sum += i128::from(values.value(row)) * i128::from(times);
                }
            }
            (Self::Unsigned(values), Partial::Whole { count, sum }) => {
                if values.is_valid(row) {
                    *count += times;
                    *sum += i128::from(values.value(row)) * i128::from(times);
                }
            }
            (Self::Decimal128(values), Partial::Decimal { count, sum }) => {
                if values.is_valid(row) {
                    *count += times;
                    let value = i256::from_i128(values.value(row));
                    *sum = sum.wrapping_add(value.wrapping_mul(i256::from_i128(times.into())));
                }
            }
            (Self::Decimal256(values), Partial::Decimal { count, sum }) => {
                if values.is_valid(row) {
                    *count += times;
                    *sum = sum.wrapping_add(values.value(row).wrapping_mul(i256::from_i128(times.into())));
                }
            }
            (Self::Float(values), Partial::Float { count, sum }) => {
                if values.is_valid(row) {
                    *count += times;
                    sum.add(values.value(row), times);
                }
            }
            (Self::Truth(values), Partial::Truth { trues, falses }) => {
                if values.is_valid(row) {
                    *(if values.value(row) { trues } else { falses }) += times;
                }
            }
            _ => unreachable!("the partials of one aggregate are of one kind"),
        }
    }
}

/// What is shown of a partial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Additive {
    Count,
    Sum,
    Average,
    And,
    Or,
}

impl Additive {
    /// What is shown of some partials, as an array of a type; `scale` is that of what was added up, if it has one. Else
    /// the place of one that does not fit, and why.
    pub(crate) fn finish(
        self,
        partials: &[&Partial],
        to: &DataType,
        scale: i8,
    ) -> std::result::Result<ArrayRef, (usize, String)> {
        match (self, to) {
            (Self::And | Self::Or, _) => {
                let truth = |partial: &&Partial| match partial {
                    Partial::Truth { trues: 0, falses: 0 } | Partial::Whole { .. } => None,
                    Partial::Truth { falses, .. } if self == Self::And => Some(*falses == 0),
                    Partial::Truth { trues, .. } => Some(*trues > 0),
                    _ => unreachable!("truths are of what is true or false"),
                };
                Ok(Arc::new(partials.iter().map(truth).collect::<BooleanArray>()))
            }
            (_, DataType::Float64) => {
                let float = |partial: &&Partial| match partial {
                    Partial::Float { count: 0, .. } | Partial::Whole { .. } => None,
                    Partial::Float { count, sum } if self == Self::Average => Some(sum.to_f64() / *count as f64),
                    Partial::Float { sum, .. } => Some(sum.to_f64()),
                    _ => unreachable!("a float is made of floats"),
                };
                Ok(Arc::new(partials.iter().map(float).collect::<Float64Array>()))
            }
            (_, DataType::Decimal128(precision, to_scale)) => {
                let values = self.decimals(partials, *precision, *to_scale, scale)?;
                let values = values.into_iter().map(|value| value.map(|value| value.as_i128()));
                let array = values.collect::<Decimal128Array>().with_data_type(to.clone());
                Ok(Arc::new(array))
            }
            (_, DataType::Decimal256(precision, to_scale)) => {
                let values = self.decimals(partials, *precision, *to_scale, scale)?;
                Ok(Arc::new(values.into_iter().collect::<Decimal256Array>().with_data_type(to.clone())))
            }
            (_, DataType::UInt64) => {
                Ok(Arc::new(UInt64Array::from(self.wholes(partials, to, |sum| u64::try_from(sum).ok())?)))
            }
            _ => {
                let wholes = Int64Array::from(self.wholes(partials, to, |sum| i64::try_from(sum).ok())?);
                match to {
                    DataType::Int64 => Ok(Arc::new(wholes)),
                    _ => {
                        let durations: DurationMicrosecondArray = wholes.reinterpret_cast();
                        cast(&durations, to).map_err(|error| (0, error.to_string()))
                    }
                }
            }
        }
    }

    fn wholes<T>(
        self,
        partials: &[&Partial],
        to: &DataType,
        fit: impl Fn(i128) -> Option<T>,
    ) -> std::result::Result<Vec<Option<T>>, (usize, String)> {
        let whole = |(at, partial): (usize, &&Partial)| {
            let sum = match partial {
                Partial::Count(count) => i128::from(*count),
                Partial::Whole { count: 0, .. } => return Ok(None),
                Partial::Whole { count, sum } if self == Self::Average => sum / i128::from(*count),
                Partial::Whole { sum, .. } => *sum,
                _ => unreachable!("a whole number is made of whole numbers"),
            };
            fit(sum).map(Some).ok_or_else(|| (at, format!("the sum {sum} is more than {to} holds")))
        };
        partials.iter().enumerate().map(whole).collect()
    }

    fn decimals(
        self,
        partials: &[&Partial],
        precision: u8,
        to_scale: i8,
        scale: i8,
    ) -> std::result::Result<Vec<Option<i256>>, (usize, String)> {
        let finer = i256::from_i128(10).pow_wrapping(u32::from(to_scale.abs_diff(scale)));
        let decimal = |(at, partial): (usize, &&Partial)| {
            let Partial::Decimal { count, sum } = partial else {
                // Of nothing but nulls.
                return Ok(None);
            };
            if *count == 0 {
                return Ok(None);
            }
            // As DataFusion has it: digits beyond the scale are cut off.
            let value = match self {
                Self::Average => sum.checked_mul(finer).map(|sum| sum.div_wrapping(i256::from_i128((*count).into()))),
                _ => Some(*sum),
            };
            let most = i256::from_i128(10).pow_wrapping(u32::from(precision));
            let fits = |value: &i256| value.wrapping_abs() < most || precision >= 76;
            let beyond = || (at, format!("{} is more than decimal({precision},{to_scale}) holds", shown(*sum, scale)));
            value.filter(fits).map(Some).ok_or_else(beyond)
        };
        partials.iter().enumerate().map(decimal).collect()
    }
}

fn shown(sum: i256, scale: i8) -> String {
    format!("the sum {}", Decimal256Type::format_decimal(sum, 76, scale))
}

mod as_parts {
    use arrow::datatypes::i256;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &i256, serializer: S) -> Result<S::Ok, S::Error> {
        number.to_parts().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i256, D::Error> {
        let (low, high) = Deserialize::deserialize(deserializer)?;
        Ok(i256::from_parts(low, high))
    }
}
