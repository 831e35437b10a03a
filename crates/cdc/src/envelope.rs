//! Debezium's envelope: what a change event says of one change.

use std::ops::ControlFlow;

use deltafold_event::{Operation, Timestamp};

use crate::{
    DecodeError, Ignored, Limits, Record, classify::Members, json, moment::occurred_at, source_block::SourceBlock,
};

/// A change event, unwrapped; rows and source block are slices of the record.
#[derive(Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) change: Change,
    /// The row before, where one is given.
    pub(crate) before: Option<&'a str>,
    /// The row after, where one is given.
    pub(crate) after: Option<&'a str>,
    /// A logical message's block.
    pub(crate) message: Option<&'a str>,
    pub(crate) source: SourceBlock<'a>,
    pub(crate) occurred_at: Timestamp,
    /// The schema half of the wrapper.
    pub(crate) schema: Option<&'a str>,
}

/// What a change event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// A row, or with [`Operation::Truncate`] a table.
    Row(Operation),
    /// A logical message.
    Message,
}

/// What a record's value is: unwrapped first, then told by its shape.
pub(crate) fn read_value<'a>(
    record: &Record<'a>,
    limits: &Limits,
) -> Result<ControlFlow<Ignored, Envelope<'a>>, DecodeError> {
    let Some((members, schema)) = unwrapped(record, limits)? else { return Ok(ControlFlow::Break(Ignored::Tombstone)) };
    match members.classify()? {
        Some(ignored) => Ok(ControlFlow::Break(ignored)),
        None => Envelope::read(&members, schema, record).map(ControlFlow::Continue),
    }
}

/// The members of a record's value, inside its wrapper if it has one, and the wrapper's schema; none of a tombstone.
pub(crate) fn unwrapped<'a>(
    record: &Record<'a>,
    limits: &Limits,
) -> Result<Option<(Members<'a>, Option<&'a str>)>, DecodeError> {
    let bytes = record.value.unwrap_or_default();
    if bytes.first() == Some(&0) {
        return Err(DecodeError::Framed { what: "value" });
    }
    let text = json::text(bytes, "value", limits)?.trim_ascii();
    let members = match text.as_bytes().first() {
        Some(b'{') => Members::read(text, limits)?,
        Some(_) if text != "null" => return Err(DecodeError::NotAnObject { found: DecodeError::found(text) }),
        _ => return Ok(None),
    };
    let Some(payload) = members.payload.filter(|_| members.is_wrapper()) else { return Ok(Some((members, None))) };
    if payload.is_null() {
        return Ok(None);
    }
    if !payload.is_object() {
        return Err(DecodeError::NotAnObject { found: DecodeError::found(payload.raw()) });
    }
    Ok(Some((Members::of(payload), json::given(members.schema))))
}

impl<'a> Envelope<'a> {
    fn read(members: &Members<'a>, schema: Option<&'a str>, record: &Record<'_>) -> Result<Self, DecodeError> {
        let source = members.source.ok_or(DecodeError::NoSource { what: "source block" })?;
        let source = SourceBlock::read(source)?;
        let letter = members.op.and_then(json::string).unwrap_or_default();
        let change = change(&letter, &source)?;
        let is_read = change == Change::Row(Operation::Read);
        Ok(Self {
            change,
            before: json::given(members.before),
            after: json::given(members.after),
            message: json::given(members.message),
            occurred_at: occurred_at(&source, members, record, is_read)?,
            source,
            schema,
        })
    }
}

/// Old MySQL connectors give the rows of a snapshot as created.
fn change(letter: &str, source: &SourceBlock<'_>) -> Result<Change, DecodeError> {
    match Operation::from_letter(letter) {
        Some(Operation::Create) if source.is_snapshot => Ok(Change::Row(Operation::Read)),
        Some(operation) => Ok(Change::Row(operation)),
        None if letter == "m" => Ok(Change::Message),
        None => Err(DecodeError::Operation(letter.chars().take(40).collect())),
    }
}
