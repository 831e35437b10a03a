//! Lists of a view's rows: a DataFusion plan finds the keys of the page, seeks read its rows.

pub(crate) mod children;

use std::{collections::HashSet, sync::Arc};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use datafusion::logical_expr::{Expr, Operator};
use deltafold_view::At;

use crate::{
    as_of::{self, AsOf},
    cursor::{Cursor, digest},
    errors::ApiError,
    filter,
    indexed::{self, Asked, Next},
    model::ViewModel,
    names::quoted,
    order::{self, Order},
    page::{self, Edge, HasPage, Page, PageArgs},
    reading::{Moment, Reading},
    relations::{Parent, Relation},
    row::RowNode,
    tables::{Table, engine},
};

/// How many rows are looked at in one step along an index.
const MOST_AT_ONCE: usize = 4_096;

/// A list, its page read.
#[derive(Clone)]
pub(crate) struct ListNode {
    list: Arc<List>,
    page: Arc<Page<RowNode>>,
    /// How many rows the filter leaves, where that was found out with others.
    count: Option<usize>,
}

impl HasPage for ListNode {
    type Node = RowNode;

    fn page(&self) -> &Page<RowNode> {
        &self.page
    }
}

/// The root field.
pub(crate) fn field(view: &Arc<ViewModel>) -> Field {
    let path: Arc<str> = view.names.list.as_str().into();
    let of = view.clone();
    let mut field = Field::new(&view.names.list, TypeRef::named_nn(view.names.connection()), move |ctx| {
        let (view, path) = (of.clone(), path.clone());
        FieldFuture::new(async move {
            let list = List::of(view, path, &ctx).await.map_err(|error| error.into_graphql(&ctx))?;
            Arc::new(list)
                .read(Reading::of(ctx.ctx))
                .await
                .map(|node| Some(FieldValue::owned_any(node)))
                .map_err(|error| error.into_graphql(&ctx))
        })
    })
    .description(format!("Rows of {}.", quoted(&view.info.name)))
    .argument(
        InputValue::new("where", TypeRef::named(view.names.filter())).description("Which rows; all, if not given."),
    );
    if order::has_order(view) {
        field = field.argument(
            InputValue::new("orderBy", TypeRef::named_nn_list(view.names.order()))
                .description("In which order; by key, if not given."),
        );
    }
    page::arguments(field).argument(as_of::argument())
}

/// The types that go with it.
pub(crate) fn objects(view: &Arc<ViewModel>) -> [Object; 2] {
    let names = &view.names;
    let connection = page::connection::<ListNode>(&names.connection(), &names.edge(), &names.row).field(
        Field::new("totalCount", TypeRef::named_nn(TypeRef::INT), |ctx| {
            FieldFuture::new(async move {
                let node = ctx.parent_value.try_downcast_ref::<ListNode>()?;
                let count = node.count(Reading::of(ctx.ctx)).await.map_err(|error| error.into_graphql(&ctx))?;
                Ok(Some(Value::from(count)))
            })
        })
        .description("How many rows the filter leaves, on all pages; counted when asked for."),
    );
    [connection, page::edge::<RowNode>(&names.edge(), &names.row)]
}

/// A list that was asked for.
pub(crate) struct List {
    view: Arc<ViewModel>,
    path: Arc<str>,
    filter: Value,
    /// What its rows have to be beside that; null: nothing.
    within: Value,
    order: Order,
    moment: Moment,
    page: PageArgs,
    after: Option<Cursor>,
    before: Option<Cursor>,
    digest: u64,
    /// Whether rows were asked for at all, and whether their number was.
    wants_rows: bool,
    wants_count: bool,
}

impl List {
    async fn of(view: Arc<ViewModel>, path: Arc<str>, ctx: &ResolverContext<'_>) -> Result<Self, ApiError> {
        let reading = Reading::of(ctx.ctx);
        let mut list = Self::asked(view, path, ctx, "")?;
        if !list.goes_on() {
            list.moment = AsOf::of(&ctx.args, "asOf", &list.path)?.resolve(reading).await?;
        }
        reading.enter(&list.view, list.moment, &list.path).await?;
        Ok(list)
    }

    /// The rows that name another one, at the moment that this is of.
    ///
    /// # Errors
    /// When the arguments are wrong.
    pub(crate) fn of_parent(
        relation: &Relation,
        path: Arc<str>,
        ctx: &ResolverContext<'_>,
        moment: Moment,
        parent: &Parent,
    ) -> Result<Self, ApiError> {
        let mut list = Self::asked(relation.from.clone(), path, ctx, &parent.id)?;
        if !list.goes_on() {
            list.moment = moment;
        }
        list.within = relation.naming([parent].into_iter());
        Ok(list)
    }

    /// What the arguments ask for; `of` tells it from others of the same field. The moment is now, or the cursor's.
    fn asked(view: Arc<ViewModel>, path: Arc<str>, ctx: &ResolverContext<'_>, of: &str) -> Result<Self, ApiError> {
        let reading = Reading::of(ctx.ctx);
        let argument = |name: &str| ctx.args.get(name).map_or(Value::Null, |value| value.as_value().clone());
        let page = PageArgs::of(&ctx.args, &reading.limits, &path)?;
        let (filter, asked_order, asked_moment) = (argument("where"), argument("orderBy"), argument("asOf"));
        let parts = [&*path, &filter.to_string(), &asked_order.to_string(), &asked_moment.to_string()];
        let digest = digest(parts.into_iter().chain((!of.is_empty()).then_some(of)));
        let order = Order::of(&view, Some(&asked_order))?;
        let cursor = |name: &str, text: &Option<String>| {
            let path = format!("{path}.{name}");
            let parsed = text.as_deref().map(|text| Cursor::parse(text, digest, &path)).transpose()?;
            match parsed {
                Some(cursor) if !order.fits(&cursor.place) => Err(ApiError::BadCursor { path }),
                parsed => Ok(parsed),
            }
        };
        let (after, before) = (cursor("after", &page.after)?, cursor("before", &page.before)?);
        // The pages of a list are all of the moment at which its first one was read.
        let moment = match after.as_ref().or(before.as_ref()) {
            Some(cursor) => {
                let mut moment = cursor.moment();
                moment.at.position = reading.at_position(moment.at.position, &format!("{path}.after"))?;
                moment
            }
            None => Moment { at: At::position(reading.now()), is_past: false },
        };
        let selected = |name: &str| ctx.look_ahead().field(name).exists();
        let wants_rows = selected("nodes") || selected("edges") || selected("pageInfo");
        let (wants_count, within) = (selected("totalCount"), Value::Null);
        Ok(Self { view, path, filter, within, order, moment, page, after, before, digest, wants_rows, wants_count })
    }

    /// Whether it is a page that goes on from another one.
    pub(crate) fn goes_on(&self) -> bool {
        self.after.is_some() || self.before.is_some()
    }

    /// The moment it is of.
    pub(crate) fn moment(&self) -> Moment {
        self.moment
    }

    /// Whether it is the same list, but for the rows that its own have to name.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let of = |list: &Self| (list.moment, list.wants_rows, list.wants_count);
        Arc::ptr_eq(&self.view, &other.view)
            && (&self.path, &self.filter, &self.order, &self.page, of(self))
                == (&other.path, &other.filter, &other.order, &other.page, of(other))
    }

    /// Reads the page.
    ///
    /// # Errors
    /// When that cannot be.
    pub(crate) async fn read(self: Arc<Self>, reading: &Reading) -> Result<ListNode, ApiError> {
        let keys = if self.reads_rows() { self.keys(reading).await? } else { Vec::new() };
        let rows = self.rows(reading, keys)?;
        Ok(self.node(rows, reading, None))
    }

    fn reads_rows(&self) -> bool {
        self.wants_rows && self.page.size > 0
    }

    /// The rows with some keys, in their order.
    fn rows(&self, reading: &Reading, keys: Vec<String>) -> Result<Vec<RowNode>, ApiError> {
        let reader = reading.reader(&self.view, self.moment.at.position);
        let row = |key: String| match reader.as_of(&key, self.moment.at) {
            Ok(found) => found.map(|version| RowNode::new(self.view.clone(), version, self.moment)),
            Err(error) => Some(Err(ApiError::internal("list", error))),
        };
        keys.into_iter().filter_map(row).collect()
    }

    /// The page that rows make, of which there is one too many where there are more.
    fn node(self: Arc<Self>, rows: Vec<RowNode>, reading: &Reading, count: Option<usize>) -> ListNode {
        let at = At { position: reading.position_of(self.moment), ..self.moment.at };
        let edge = |node: RowNode| {
            let place = self.order.place(&node);
            let cursor = Cursor { list: self.digest, at, is_past: self.moment.is_past, place }.encode();
            Edge { node, cursor }
        };
        let page = Arc::new(Page::new(rows.into_iter().map(edge).collect(), &self.page));
        ListNode { list: self, page, count }
    }

    /// Everything that its rows have to be.
    fn all_of_it(&self) -> Value {
        filter::both(&self.within, &self.filter)
    }

    /// The keys of the page's rows and of one more, in the direction of the page.
    async fn keys(&self, reading: &Reading) -> Result<Vec<String>, ApiError> {
        if let Some(keys) = self.keys_by_index(reading).await? {
            return Ok(keys);
        }
        let keys = indexed::keys(&self.view, reading, self.moment, &self.all_of_it(), &self.path).await?;
        let (table, filter) = self.filtered(reading, keys)?;
        let sort = self.order.sort(&table.columns, self.page.backward);
        let frame = table.filtered(filter)?;
        let _place = reading.place_for_scan(self.moment.at).await?;
        let frame = frame.sort(sort).and_then(|frame| frame.limit(0, Some(self.page.size + 1))).map_err(engine)?;
        reading.explain_frame(&self.path, &frame).await?;
        order::keys(frame).await
    }

    /// The view's table, if keys are given only of those, and the filter of the page over it.
    fn filtered(&self, reading: &Reading, keys: Option<Vec<String>>) -> Result<(Table, Option<Expr>), ApiError> {
        let (table, filter) = filter::applied(&self.view, reading, self.moment, &self.filter, &self.path, keys)?;
        let within = filter::ours(&self.view, &table, &self.within, &self.path)?;
        let beyond = |cursor: &Option<Cursor>, backward: bool| {
            cursor.as_ref().map(|cursor| self.order.after(&self.view, &table, &cursor.place, backward))
        };
        let parts = [filter, within, beyond(&self.after, false), beyond(&self.before, true)];
        let filter = filter::joined(parts.into_iter().flatten().collect(), Operator::And);
        Ok((table, filter))
    }

    /// The keys of the page's rows and of one more by an index that has its order; none where no index has, or the page is
    /// too far to be found that way.
    async fn keys_by_index(&self, reading: &Reading) -> Result<Option<Vec<String>>, ApiError> {
        // Whatever rows there are, the filter has to be one.
        self.filtered(reading, Some(Vec::new()))?;
        let cursor = if self.page.backward { &self.before } else { &self.after };
        let place = cursor.as_ref().map(|cursor| &cursor.place);
        let filter = self.all_of_it();
        let asked = Asked { filter: &filter, order: &self.order, place, backward: self.page.backward };
        let Some(mut walk) = indexed::in_order(&self.view, reading, self.moment, &asked)? else { return Ok(None) };
        let (mut found, mut step) = (Vec::new(), self.page.size + 1);
        while found.len() <= self.page.size {
            let keys = match walk.next(step).await? {
                Next::Rows(keys) => keys,
                Next::End => break,
                Next::TooFar => return Ok(None),
            };
            let (table, filter) = self.filtered(reading, Some(keys.clone()))?;
            if filter.is_some() && !keys.is_empty() {
                let left: HashSet<String> = order::keys(table.filtered(filter)?).await?.into_iter().collect();
                found.extend(keys.into_iter().filter(|key| left.contains(key)));
            } else {
                found.extend(keys);
            }
            step = (2 * step).min(MOST_AT_ONCE);
        }
        found.truncate(self.page.size + 1);
        reading.explain(&self.path, || walk.to_string());
        Ok(Some(found))
    }
}

impl ListNode {
    async fn count(&self, reading: &Reading) -> Result<usize, ApiError> {
        if let Some(count) = self.count {
            return Ok(count);
        }
        let List { view, path, filter, within, moment, .. } = &*self.list;
        let keys = indexed::keys(view, reading, *moment, &self.list.all_of_it(), path).await?;
        let (table, filter) = filter::applied(view, reading, *moment, filter, path, keys)?;
        let within = filter::ours(view, &table, within, path)?;
        let frame = table.filtered(filter::joined(filter.into_iter().chain(within).collect(), Operator::And))?;
        reading.explain_frame(&format!("{path}.totalCount"), &frame).await?;
        let _place = reading.place_for_scan(moment.at).await?;
        frame.count().await.map_err(engine)
    }
}
