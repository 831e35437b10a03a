//! `customerOrdersDiff`: what differs between a view's rows at two moments.

use std::{iter::Peekable, sync::Arc};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_view::{At, ReadError, Reader, Version, Versions};

use crate::{
    as_of::AsOf,
    cursor::{Cursor, digest},
    diff,
    errors::ApiError,
    filter,
    model::ViewModel,
    names::quoted,
    order::{self, Place},
    page::{self, Edge, Page, PageArgs},
    reading::{Moment, Reading},
    row::RowNode,
};

/// As many keys are compared, and as many filtered, at once.
pub(crate) const AT_ONCE: usize = 500;

/// A row that differs, as it is at both moments.
struct DifferenceNode {
    view: Arc<ViewModel>,
    before: Option<RowNode>,
    after: Option<RowNode>,
}

/// The root field.
pub(crate) fn field(view: &Arc<ViewModel>) -> Field {
    let of = view.clone();
    let field = Field::new(view.names.diff(), TypeRef::named_nn(view.names.difference("Connection")), move |ctx| {
        let view = of.clone();
        FieldFuture::new(async move {
            let page = read(&view, &ctx).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(Some(FieldValue::owned_any(page)))
        })
    })
    .description(format!(
        "The rows of {} that differ between two moments, by key: those that came, went or changed.",
        quoted(&view.info.name)
    ))
    .argument(
        InputValue::new("where", TypeRef::named(view.names.filter()))
            .description("Rows that are like that at one of the moments; all, if not given."),
    )
    .argument(InputValue::new("from", TypeRef::named_nn("AsOf")).description("The first moment."))
    .argument(InputValue::new("to", TypeRef::named("AsOf")).description("The second moment; now, if not given."));
    page::arguments(field)
}

/// The types that go with it.
pub(crate) fn objects(view: &ViewModel) -> [Object; 3] {
    let [node, edge, connection] = ["", "Edge", "Connection"].map(|part| view.names.difference(part));
    let row = |name: &str, of: fn(&DifferenceNode) -> Option<&RowNode>| {
        Field::new(name, TypeRef::named(&view.names.row), move |ctx| {
            let row = ctx.parent_value.downcast_ref::<DifferenceNode>().and_then(of);
            FieldFuture::Value(row.map(|row| FieldValue::borrowed_any(row)))
        })
    };
    let object = Object::new(&node)
        .description(format!("A row of {} that differs between two moments.", quoted(&view.info.name)))
        .field(row("before", |node| node.before.as_ref()).description("The row at the first; null: there was none."))
        .field(row("after", |node| node.after.as_ref()).description("The row at the second; null: there was none."))
        .field(
            Field::new("changes", TypeRef::named_nn_list_nn("FieldChange"), |ctx| {
                let Some(node) = ctx.parent_value.downcast_ref::<DifferenceNode>() else {
                    return FieldFuture::Value(None);
                };
                let [before, after] = [&node.before, &node.after].map(|row| row.as_ref().map(|row| row.version.row()));
                match diff::changes(&node.view, before, after) {
                    Ok(changes) => {
                        FieldFuture::Value(Some(FieldValue::list(changes.into_iter().map(FieldValue::owned_any))))
                    }
                    Err(error) => error.into_field(&ctx),
                }
            })
            .description("The fields that differ."),
        );
    [
        object,
        page::edge::<DifferenceNode>(&edge, &node),
        page::connection::<Page<DifferenceNode>>(&connection, &edge, &node),
    ]
}

async fn read(view: &Arc<ViewModel>, ctx: &ResolverContext<'_>) -> Result<Page<DifferenceNode>, ApiError> {
    let reading = Reading::of(ctx.ctx);
    let path = view.names.diff();
    let page = PageArgs::of(&ctx.args, &reading.limits, &path)?;
    if page.backward || page.before.is_some() {
        return Err(ApiError::input(path, "first and after: differences are read forward", "last or before"));
    }
    let asked = ["where", "from", "to"].map(|name| ctx.args.get(name).map_or(Value::Null, |v| v.as_value().clone()));
    let list = digest([&*path, &asked[0].to_string(), &asked[1].to_string(), &asked[2].to_string()]);
    let after = page.after.as_deref().map(|after| Cursor::parse(after, list, &format!("{path}.after"))).transpose()?;
    // Both moments of all pages are by what was recorded when the first was read.
    let frozen = after.as_ref().map_or(reading.position(), |after| after.at.position);
    let mut moments = [At::NOW; 2];
    for (moment, name) in moments.iter_mut().zip(["from", "to"]) {
        let mut resolved = AsOf::of(&ctx.args, name, &path)?.resolve(reading).await?;
        if resolved.at.position == reading.now() {
            resolved.at.position = reading.at_position(frozen, &format!("{path}.after"))?;
        }
        reading.enter(view, Moment { is_past: true, ..resolved }, &path).await?;
        *moment = resolved.at;
    }

    reading.explain(&path, || "a merge of two scans by key, filtered key by key".to_owned());
    let _place = reading.place_for_scan(moments[0]).await?;
    let sides = Sides { view, filter: &asked[0], path: &path, moments };
    let mut compared = after.map(|after| after.place.key);
    let mut edges = Vec::new();
    loop {
        let keys = sides.compare(reading, compared.take()).await?;
        let is_all = keys.len() < AT_ONCE;
        compared = keys.last().cloned();
        for key in sides.matching(reading, keys).await? {
            let [before, now] = moments.map(|at| {
                let found = reading.reader(view, at.position).as_of(&key, at).map_err(unreadable)?;
                found.map(|version| RowNode::new(view.clone(), version, Moment { at, is_past: true })).transpose()
            });
            let place = Place { values: Vec::new(), key };
            let at = At { position: frozen, ..moments[1] };
            let cursor = Cursor { list, at, is_past: true, place }.encode();
            edges.push(Edge { node: DifferenceNode { view: view.clone(), before: before?, after: now? }, cursor });
            if edges.len() > page.size {
                return Ok(Page::new(edges, &page));
            }
        }
        if is_all {
            return Ok(Page::new(edges, &page));
        }
    }
}

/// A view at two moments, and which of its rows count.
pub(crate) struct Sides<'a> {
    /// The view.
    pub(crate) view: &'a ViewModel,
    /// Which rows; a row counts that is like that on either side.
    pub(crate) filter: &'a Value,
    /// The field that asks.
    pub(crate) path: &'a str,
    /// The moments, each of which was entered.
    pub(crate) moments: [At; 2],
}

impl Sides<'_> {
    /// The next keys whose rows differ, after one: [`AT_ONCE`], or all that are left.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub(crate) async fn compare(&self, reading: &Reading, after: Option<String>) -> Result<Vec<String>, ApiError> {
        let sides = self.moments.map(|at| (reading.reader(self.view, at.position), at));
        let compare = tokio::task::spawn_blocking(move || {
            let [before, now] = sides.map(|(reader, at)| rows_after(&reader, at, after.as_deref()).peekable());
            Differences { before, now }.take(AT_ONCE).collect::<Result<Vec<String>, ReadError>>()
        });
        compare.await.map_err(|error| ApiError::internal("differences", error))?.map_err(unreadable)
    }

    /// Those of some keys whose rows count.
    ///
    /// # Errors
    /// When the filter does not fit, or the index cannot be read.
    pub(crate) async fn matching(&self, reading: &Reading, keys: Vec<String>) -> Result<Vec<String>, ApiError> {
        if *self.filter == Value::Null {
            return Ok(keys);
        }
        let mut matching = Vec::new();
        for keys in keys.chunks(AT_ONCE) {
            let mut found = self.filtered(reading, self.moments[0], keys).await?;
            found.extend(self.filtered(reading, self.moments[1], keys).await?);
            matching.extend(keys.iter().filter(|key| found.contains(key)).cloned());
        }
        Ok(matching)
    }

    /// Those of some keys whose rows satisfy the filter at a moment; of none, whether it is a filter.
    ///
    /// # Errors
    /// When it is not, or the index cannot be read.
    pub(crate) async fn filtered(&self, reading: &Reading, at: At, keys: &[String]) -> Result<Vec<String>, ApiError> {
        let moment = Moment { at, is_past: false };
        let (table, filter) = filter::applied(self.view, reading, moment, self.filter, self.path, Some(keys.to_vec()))?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        order::keys(table.filtered(filter)?).await
    }
}

fn rows_after(reader: &Reader, at: At, after: Option<&str>) -> Versions {
    match after {
        Some(key) => reader.scan_after(at, key),
        None => reader.scan(at),
    }
}

fn unreadable(error: ReadError) -> ApiError {
    ApiError::internal("differences", error)
}

/// The keys whose rows differ between two scans, in the order of their bytes.
struct Differences {
    before: Peekable<Versions>,
    now: Peekable<Versions>,
}

impl Iterator for Differences {
    type Item = Result<String, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let order = match (self.before.peek(), self.now.peek()) {
                (None, None) => return None,
                (Some(Err(_)), _) | (_, None) => std::cmp::Ordering::Less,
                (_, Some(Err(_))) | (None, _) => std::cmp::Ordering::Greater,
                (Some(Ok(before)), Some(Ok(now))) => before.key.as_bytes().cmp(now.key.as_bytes()),
            };
            let before = if order.is_le() { self.before.next() } else { None };
            let now = if order.is_ge() { self.now.next() } else { None };
            let pair = before.transpose().and_then(|before| Ok((before, now.transpose()?)));
            match pair {
                Ok((Some(before), Some(now))) if Version::row(&before) == now.row() => {}
                Ok((before, now)) => return before.or(now).map(|version| Ok(version.key.into())),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
