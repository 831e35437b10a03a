//! Rows of the two tables. A row's texts follow from a few numbers, so that the model of ten million events fits in memory.

use super::random::Random;
use std::fmt::Write as _;

const STATUS: [&str; 6] = ["placed", "paid", "packed", "shipped", "delivered", "returned"];
const CHANNEL: [&str; 4] = ["web", "app", "phone", "partner"];
const CITY: [&str; 8] = ["Lisbon", "Kyoto", "Tromsø", "Valparaíso", "Nairobi", "Łódź", "Hobart", "Reykjavík"];
const STREET: [&str; 8] = ["Harbour", "Orchard", "Station", "Mill", "Garden", "Castle", "Bridge", "Chapel"];
const WORD: [&str; 24] = [
    "please",
    "leave",
    "parcel",
    "behind",
    "green",
    "door",
    "ring",
    "twice",
    "dog",
    "friendly",
    "call",
    "before",
    "noon",
    "neighbour",
    "third",
    "floor",
    "gift",
    "wrap",
    "blue",
    "paper",
    "no",
    "plastic",
    "thank",
    "you",
];

/// A row of the table `orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The key.
    pub id: u64,
    pub(super) customer: u64,
    pub(super) status: u8,
    pub(super) cents: u64,
    pub(super) items: u64,
    /// The seed of the note's text.
    pub(super) note: u64,
    pub(super) placed_us: i64,
    pub(super) updated_us: i64,
    /// Columns that are added while the stream runs; outer none: not there yet.
    pub(super) gift_wrap: Option<bool>,
    pub(super) loyalty_points: Option<u64>,
    pub(super) channel: Option<u8>,
}

/// A row of the small table `baskets`, which is truncated now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket {
    /// The key.
    pub id: u64,
    pub(super) customer: u64,
    pub(super) items: u64,
    pub(super) updated_us: i64,
}

impl Order {
    pub(super) fn new(id: u64, at_us: i64, random: &mut Random) -> Self {
        let mut order = Self {
            id,
            customer: 1 + random.below(200_000),
            status: 0,
            cents: 100 + random.below(100_000),
            items: 1 + random.below(9),
            note: random.next(),
            placed_us: at_us,
            updated_us: at_us,
            gift_wrap: None,
            loyalty_points: None,
            channel: None,
        };
        // A few zero amounts and round ones: trailing zeros are where decimals go wrong.
        if random.chance(1, 50) {
            order.cents = order.cents / 1000 * 1000;
        }
        order
    }

    pub(super) fn change(&mut self, at_us: i64, random: &mut Random) {
        self.status = random.below(STATUS.len() as u64) as u8;
        self.cents = 100 + random.below(100_000);
        self.items = 1 + random.below(9);
        self.updated_us = at_us;
    }

    /// Sets the columns that exist by now, where they are not set yet.
    pub(super) fn fill_columns(&mut self, columns: u64, random: &mut Random) {
        if columns > 0 && self.gift_wrap.is_none() {
            self.gift_wrap = Some(random.chance(1, 4));
        }
        if columns > 1 && self.loyalty_points.is_none() {
            self.loyalty_points = Some(random.below(5_000));
        }
        if columns > 2 && self.channel.is_none() {
            self.channel = Some(random.below(CHANNEL.len() as u64) as u8);
        }
    }

    /// The row as JSON, as an event's `after` gives it.
    pub fn to_json(&self) -> String {
        let mut text = String::with_capacity(600);
        self.write_json(&mut text, false);
        text
    }

    pub(super) fn write_json(&self, text: &mut String, note_unchanged: bool) {
        let Self { id, customer, cents, items, placed_us, updated_us, .. } = self;
        let status = STATUS[usize::from(self.status)];
        let mut by_customer = Random::new(*customer);
        let (street, city, number) = (by_customer.pick(&STREET), by_customer.pick(&CITY), 1 + by_customer.below(200));
        push(
            text,
            format_args!(
                "{{\"id\":{id},\"customer_id\":{customer},\"status\":\"{status}\",\"total\":\"{}.{:02}\",",
                cents / 100,
                cents % 100
            ),
        );
        push(
            text,
            format_args!("\"currency\":\"EUR\",\"items\":{items},\"email\":\"customer.{customer}@example.com\","),
        );
        push(text, format_args!("\"address\":\"{number} {street} Street, {city}\",\"note\":\""));
        if note_unchanged {
            text.push_str("__debezium_unavailable_value");
        } else {
            write_note(self.note, text);
        }
        push(text, format_args!("\",\"placed_at\":{placed_us},\"updated_at\":{updated_us}"));
        if let Some(gift_wrap) = self.gift_wrap {
            push(text, format_args!(",\"gift_wrap\":{gift_wrap}"));
        }
        if let Some(points) = self.loyalty_points {
            push(text, format_args!(",\"loyalty_points\":{points}"));
        }
        if let Some(channel) = self.channel {
            push(text, format_args!(",\"channel\":\"{}\"", CHANNEL[usize::from(channel)]));
        }
        text.push('}');
    }

    /// What `before` holds of a delete under the default replica identity: the key, and defaults where null is not allowed.
    pub(super) fn write_before(&self, text: &mut String) {
        push(
            text,
            format_args!("{{\"id\":{},\"customer_id\":0,\"status\":\"\",\"total\":\"0\",\"currency\":null,", self.id),
        );
        text.push_str("\"items\":null,\"email\":null,\"address\":null,\"note\":null,\"placed_at\":0,\"updated_at\":0}");
    }
}

impl Basket {
    pub(super) fn new(id: u64, at_us: i64, random: &mut Random) -> Self {
        Self { id, customer: 1 + random.below(200_000), items: 1 + random.below(20), updated_us: at_us }
    }

    pub(super) fn change(&mut self, at_us: i64, random: &mut Random) {
        self.items = 1 + random.below(20);
        self.updated_us = at_us;
    }

    /// The row as JSON, as an event's `after` gives it.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.write_json(&mut text);
        text
    }

    pub(super) fn write_json(&self, text: &mut String) {
        let Self { id, customer, items, updated_us } = self;
        push(
            text,
            format_args!("{{\"id\":{id},\"customer_id\":{customer},\"items\":{items},\"updated_at\":{updated_us}}}"),
        );
    }

    pub(super) fn write_before(&self, text: &mut String) {
        push(text, format_args!("{{\"id\":{},\"customer_id\":0,\"items\":0,\"updated_at\":0}}", self.id));
    }
}

/// About 170 letters.
fn write_note(seed: u64, text: &mut String) {
    let mut random = Random::new(seed);
    for index in 0..30 {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(random.pick(&WORD));
    }
}

pub(super) fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String does not fail");
}
