//! A map by row, of mostly one or two.

use smallvec::SmallVec;

use super::side::Row;

/// Something of each of some rows, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ByRow<V>(SmallVec<[(Row, V); 2]>);

impl<V> Default for ByRow<V> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<V> ByRow<V> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, row: &[u8]) -> Option<&V> {
        self.place(row).ok().map(|place| &self.0[place].1)
    }

    pub(super) fn contains(&self, row: &[u8]) -> bool {
        self.place(row).is_ok()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, (Row, V)> {
        self.0.iter()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.iter().map(|(row, _)| row)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn insert(&mut self, row: Row, value: V) {
        match self.place(&row) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (row, value)),
        }
    }

    pub(super) fn remove(&mut self, row: &[u8]) {
        if let Ok(place) = self.place(row) {
            self.0.remove(place);
        }
    }

    /// What there is of a row, or something new. What comes mostly comes in order.
    pub(super) fn of(&mut self, row: &[u8], new: impl FnOnce() -> V) -> &mut V {
        let place = match self.0.last().is_none_or(|(last, _)| &**last < row) {
            true => Err(self.0.len()),
            false => self.place(row),
        };
        let place = place.unwrap_or_else(|place| {
            self.0.insert(place, (row.into(), new()));
            place
        });
        &mut self.0[place].1
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(&V) -> bool) {
        self.0.retain(|(_, value)| stays(value));
    }

    fn place(&self, row: &[u8]) -> Result<usize, usize> {
        self.0.binary_search_by(|(there, _)| (**there).cmp(row))
    }
}

impl<V> FromIterator<(Row, V)> for ByRow<V> {
    /// Of several of one row the first counts.
    fn from_iter<I: IntoIterator<Item = (Row, V)>>(rows: I) -> Self {
        let mut rows: SmallVec<[(Row, V); 2]> = rows.into_iter().collect();
        rows.sort_by(|one, other| one.0.cmp(&other.0));
        rows.dedup_by(|one, other| one.0 == other.0);
        Self(rows)
    }
}

impl<V> IntoIterator for ByRow<V> {
    type Item = (Row, V);
    type IntoIter = smallvec::IntoIter<[(Row, V); 2]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
