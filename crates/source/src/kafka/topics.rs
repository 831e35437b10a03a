//! Which topics: names and globs.

use std::{fmt, str::FromStr};

/// The name of a topic, or a glob: `*` is any text, `?` any character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPattern(String);

/// Why a text names no topics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" names no topics: letters, digits, '.', '_' and '-', with * and ? for what may be anything")]
pub struct TopicPatternError(String);

impl FromStr for TopicPattern {
    type Err = TopicPatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || "._-*?".contains(letter);
        match !text.is_empty() && text.chars().all(is_known) {
            true => Ok(Self(text.to_owned())),
            false => Err(TopicPatternError(text.to_owned())),
        }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TopicPattern {
    /// Whether it is the name of one topic, which should therefore be there.
    pub fn is_name(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Whether a topic is meant. Topics of Kafka's own (`__…`) are meant only by what names them so.
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with("__") && !self.0.starts_with("__") {
            return false;
        }
        matches(self.0.as_bytes(), topic.as_bytes())
    }

    /// As a subscription of librdkafka, for which what begins with `^` is a POSIX regular expression.
    pub(crate) fn subscription(&self) -> String {
        if self.is_name() {
            return self.0.clone();
        }
        let mut regex = String::from("^");
        for letter in self.0.chars() {
            match letter {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                '.' => regex.push_str("[.]"),
                other => regex.push(other),
            }
        }
        regex.push('$');
        regex
    }
}

/// Goes back to the last `*` only: no text is tried more than once for each.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            Some(b'?') => (at, read) = (at + 1, read + 1),
            Some(letter) if *letter == text[read] => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (at, read) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> TopicPattern {
        text.parse().unwrap()
    }

    #[test]
    fn globs_match_as_people_expect() {
        for (glob, topic, expected) in [
            ("shop.public.*", "shop.public.orders", true),
            ("shop.public.*", "shop.public.", true),
            ("shop.public.*", "shopxpublic.orders", false),
            ("*.orders", "shop.public.orders", true),
            ("*.orders", "shop.public.orders_old", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("?.t", "a.t", true),
            ("?.t", ".t", false),
            ("*", "__consumer_offsets", false),
            ("__debezium-heartbeat.*", "__debezium-heartbeat.shop", true),
            ("orders", "orders", true),
            ("orders", "orders2", false),
        ] {
            assert_eq!(pattern(glob).matches(topic), expected, "{glob} {topic}");
        }
    }

    #[test]
    fn a_glob_is_subscribed_to_as_a_regular_expression() {
        assert_eq!(pattern("shop.public.*").subscription(), "^shop[.]public[.].*$");
        assert_eq!(pattern("a?").subscription(), "^a.$");
        assert_eq!(pattern("shop.public.orders").subscription(), "shop.public.orders");
    }

    #[test]
    fn what_can_be_no_topic_is_refused() {
        for text in ["", "a b", "a/b", "^a$", "ä"] {
            assert!(text.parse::<TopicPattern>().is_err(), "{text}");
        }
    }
}
