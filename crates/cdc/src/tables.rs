//! What a decoder knows of the tables it has met.

use std::sync::Arc;

use deltafold_event::{RowSchema, SchemaId};
use foldhash::HashMap;

use crate::{DecodeError, DecoderConfig, OutboxColumns, TableName, source_block::SourceBlock, wrapper::RowConnect};

/// The tables that were met.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    known: Vec<Table>,
    by_name: HashMap<String, usize>,
    /// Reused to look a table up without allocating.
    name: String,
}

/// A table and the shapes its rows have had.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: Arc<TableName>,
    pub(crate) aggregate_type: Arc<str>,
    /// The declared key, if there is one.
    pub(crate) declared_key: Option<Arc<[String]>>,
    /// Which columns say what, if it is an outbox.
    pub(crate) outbox: Option<Arc<OutboxColumns>>,
    shapes: Vec<Shape>,
}

/// The key columns and the schema that rows came with.
#[derive(Debug)]
struct Shape {
    connect: Option<u128>,
    schema: Arc<RowSchema>,
    id: SchemaId,
}

impl Tables {
    /// The table that a source block names.
    pub(crate) fn get(&mut self, source: &SourceBlock<'_>, config: &DecoderConfig) -> Result<&mut Table, DecodeError> {
        let parts = [&source.name, &source.database, &source.schema, &source.table];
        self.name.clear();
        for part in parts {
            self.name.push_str(part.as_deref().unwrap_or_default());
            self.name.push('\0');
        }
        let place = match self.by_name.get(self.name.as_str()) {
            Some(place) => *place,
            None => {
                self.known.push(Table::new(source, config)?);
                self.by_name.insert(self.name.clone(), self.known.len() - 1);
                self.known.len() - 1
            }
        };
        Ok(&mut self.known[place])
    }
}

impl Table {
    fn new(source: &SourceBlock<'_>, config: &DecoderConfig) -> Result<Self, DecodeError> {
        let text = |part: &Option<std::borrow::Cow<'_, str>>| part.as_deref().unwrap_or_default().to_owned();
        let name = TableName {
            server: text(&source.name),
            database: text(&source.database),
            schema: text(&source.schema),
            table: text(&source.table),
        };
        if name.table.is_empty() {
            return Err(DecodeError::NoSource { what: "table in its source block" });
        }
        let aggregate_type = config.name.name(&name);
        if aggregate_type.starts_with('$') {
            return Err(DecodeError::ReservedName { table: source.table_for_people(), aggregate_type });
        }
        let aggregate = config.aggregates.get(&aggregate_type);
        let declared = aggregate.and_then(|aggregate| aggregate.key.clone());
        Ok(Self {
            name: name.into(),
            aggregate_type: aggregate_type.into(),
            outbox: aggregate.and_then(|aggregate| aggregate.outbox.clone()).map(Arc::new),
            declared_key: declared.filter(|key| !key.is_empty()).map(Into::into),
            shapes: Vec::new(),
        })
    }

    /// The schema of rows with this key and Connect schema, and its id.
    pub(crate) fn shape<'k>(
        &mut self,
        key: impl Iterator<Item = &'k str> + Clone,
        connect: Option<&RowConnect>,
        connector: &str,
    ) -> (Arc<RowSchema>, SchemaId) {
        let hash = connect.map(|connect| connect.hash);
        let is_this =
            |shape: &Shape| shape.connect == hash && key.clone().eq(shape.schema.key().iter().map(String::as_str));
        // The newest shape is the likeliest.
        if let Some(shape) = self.shapes.iter().rev().find(|shape| is_this(shape)) {
            return (shape.schema.clone(), shape.id.clone());
        }
        let schema = Arc::new(RowSchema::new(
            key.map(str::to_owned).collect(),
            connect.map(|connect| connect.text.as_ref().to_owned()),
            Some(connector.to_owned()),
        ));
        let id = schema.id();
        self.shapes.push(Shape { connect: hash, schema: schema.clone(), id: id.clone() });
        (schema, id)
    }
}
