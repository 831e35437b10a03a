//! `asOf`: the moment that a field is read at.

use async_graphql::{
    Value,
    dynamic::{InputObject, InputValue, ObjectAccessor, TypeRef},
};
use deltafold_event::{Position, Timestamp};
use deltafold_view::At;

use crate::{
    errors::ApiError,
    reading::{Moment, Reading, last_before},
    scalars,
};

/// The input type.
pub(crate) fn input() -> InputObject {
    InputObject::new("AsOf")
        .description(
            "A moment: in valid time (when things were so), by what was recorded (when we knew it), or both together. \
             Without any of it: now.",
        )
        .field(InputValue::new("time", TypeRef::named("DateTime")).description("What was so at this time."))
        .field(
            InputValue::new("position", TypeRef::named("Position"))
                .description("What was known when everything up to this position had been recorded."),
        )
        .field(
            InputValue::new("recordedAt", TypeRef::named("DateTime"))
                .description("What was known at this time. Not together with position."),
        )
        .field(InputValue::new("consistent", TypeRef::named(TypeRef::BOOLEAN)).description(
            "The newest moment at which every transaction read so far is whole, as extensions.deltafold.consistent \
             says. Not together with anything else.",
        ))
}

/// The argument.
pub(crate) fn argument() -> InputValue {
    InputValue::new("asOf", TypeRef::named("AsOf")).description("The moment to read at; now, if not given.")
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AsOf {
    time: Option<Timestamp>,
    position: Option<Position>,
    recorded_at: Option<Timestamp>,
    consistent: bool,
    /// Where it stands, for errors.
    path: String,
}

impl AsOf {
    /// The argument of this name of a field.
    ///
    /// # Errors
    /// When its parts contradict each other.
    pub(crate) fn of(args: &ObjectAccessor<'_>, name: &str, field: &str) -> Result<Self, ApiError> {
        let path = format!("{field}.{name}");
        match args.get(name) {
            Some(value) => Self::parse(value.as_value(), path),
            None => Ok(Self { path, ..Self::default() }),
        }
    }

    fn parse(value: &Value, path: String) -> Result<Self, ApiError> {
        let Value::Object(given) = value else { return Ok(Self { path, ..Self::default() }) };
        let part = |name: &str| given.get(name).filter(|value| **value != Value::Null);
        let time = |name: &str| match part(name) {
            None => Ok(None),
            Some(value) => scalars::moment(value).map(Some).ok_or_else(|| {
                let expected = "a DateTime with its zone, as in \"2026-11-21T14:00:00Z\"";
                ApiError::input(format!("{path}.{name}"), expected, value.to_string())
            }),
        };
        let found = Self {
            time: time("time")?,
            position: part("position").and_then(scalars::position),
            recorded_at: time("recordedAt")?,
            consistent: part("consistent") == Some(&Value::Boolean(true)),
            path,
        };
        if found.position.is_some() && found.recorded_at.is_some() {
            return Err(ApiError::input(&found.path, "either position or recordedAt", "both"));
        }
        // What was known at a position was known with other transactions in part.
        let others = [
            ("time", found.time.is_some()),
            ("position", found.position.is_some()),
            ("recordedAt", found.recorded_at.is_some()),
        ];
        if let Some((other, _)) = others.into_iter().find(|(_, is_given)| found.consistent && *is_given) {
            return Err(ApiError::input(&found.path, format!("either consistent or {other}"), "both"));
        }
        Ok(found)
    }

    /// The moment, where it can be told without waiting: all but `recordedAt`.
    ///
    /// # Errors
    /// When the position has not been folded.
    pub(crate) fn at_once(&self, reading: &Reading) -> Option<Result<Moment, ApiError>> {
        if self.recorded_at.is_some() {
            return None;
        }
        Some(self.moment(reading, self.position))
    }

    /// The moment.
    ///
    /// # Errors
    /// When the position has not been folded, or the log cannot be read.
    pub(crate) async fn resolve(&self, reading: &Reading) -> Result<Moment, ApiError> {
        match self.recorded_at {
            None => self.moment(reading, self.position),
            Some(moment) => {
                let end = reading.log.recorded_by(reading.end(), moment).await?;
                self.moment(reading, Some(last_before(end)))
            }
        }
    }

    fn moment(&self, reading: &Reading, position: Option<Position>) -> Result<Moment, ApiError> {
        let position = match position {
            None => reading.now(),
            Some(position) => reading.at_position(position, &format!("{}.position", self.path))?,
        };
        let time = match (self.time, self.consistent) {
            (Some(time), _) => time,
            (None, true) => reading.consistent().map_or(Timestamp::MAX, |consistent| consistent.at),
            (None, false) => Timestamp::MAX,
        };
        let is_past = self.time.is_some() || self.consistent || self.position.is_some() || self.recorded_at.is_some();
        Ok(Moment { at: At { time, position }, is_past })
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Name, value};

    use super::*;

    #[test]
    fn contradictions_are_refused() {
        let both = AsOf::parse(&value!({"position": "1", "recordedAt": "2026-11-21T14:00:00Z"}), "o.asOf".into());
        assert_eq!(both.unwrap_err().to_string(), "o.asOf: expected either position or recordedAt, found both");
        for (other, value) in
            [("time", "2026-11-21T14:00:00Z"), ("position", "1"), ("recordedAt", "2026-11-21T14:00:00Z")]
        {
            let with = |consistent: bool| {
                let given = [("consistent", Value::Boolean(consistent)), (other, Value::from(value))];
                AsOf::parse(&Value::Object(given.map(|(name, value)| (Name::new(name), value)).into()), "o.asOf".into())
            };
            assert_eq!(
                with(true).unwrap_err().to_string(),
                format!("o.asOf: expected either consistent or {other}, found both")
            );
            assert!(with(false).is_ok());
        }
        let zoneless = AsOf::parse(&value!({"time": "2026-11-21T14:00:00"}), "o.asOf".into());
        assert!(zoneless.unwrap_err().to_string().starts_with("o.asOf.time: expected a DateTime with its zone"));
    }

    #[test]
    fn times_with_any_offset_are_the_same_moment() {
        let of = |time: &str| AsOf::parse(&value!({ "time": time }), String::new()).unwrap().time;
        assert_eq!(of("2026-11-21T14:00:00Z"), of("2026-11-21T15:00:00+01:00"));
        assert_eq!(AsOf::parse(&Value::Null, String::new()).unwrap(), AsOf::default());
    }
}
