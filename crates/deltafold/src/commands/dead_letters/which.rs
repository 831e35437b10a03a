//! Which dead letters a command is for.

use std::ops::RangeInclusive;

use clap::Args;
use deltafold_ingest::LetterSelection;

/// Which dead letters a command is for.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = true)]
pub(crate) struct Which {
    /// Their numbers, as in 3 or 7-12
    #[arg(value_name = "N", value_parser = numbers, conflicts_with_all = ["all", "source", "topic", "code"])]
    numbers: Vec<Numbers>,
    /// All that are open
    #[arg(long)]
    all: bool,
    /// Those that are open of this source
    #[arg(long)]
    source: Option<String>,
    /// Those that are open of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Those that are open with this code
    #[arg(long)]
    code: Option<String>,
}

#[derive(Debug, Clone)]
struct Numbers(RangeInclusive<u64>);

fn numbers(text: &str) -> Result<Numbers, String> {
    let number = |digits: &str| digits.parse::<u64>().ok();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Numbers(first..=last)),
        _ => Err("expected a number or a range of them, as in 3 or 7-12".to_owned()),
    }
}

impl Which {
    /// As the store's own operations take it.
    pub(super) fn selection(&self) -> LetterSelection {
        if self.numbers.is_empty() {
            let (source, topic, code) = (self.source.clone(), self.topic.clone(), self.code.clone());
            return LetterSelection::Open { source, topic, code, after: None };
        }
        LetterSelection::Numbers(self.numbers.iter().map(|numbers| numbers.0.clone()).collect())
    }

    /// The numbers, so many at a time; none where they are not what is selected by.
    pub(super) fn chunks(&self, size: usize) -> Option<impl Iterator<Item = Vec<u64>>> {
        let mut numbers = self.numbers.iter().flat_map(|numbers| numbers.0.clone());
        let chunk = move || Some(numbers.by_ref().take(size).collect()).filter(|chunk: &Vec<u64>| !chunk.is_empty());
        (!self.numbers.is_empty()).then(|| std::iter::from_fn(chunk))
    }

    /// What all of them have in common, as the variables of a document.
    pub(super) fn variables(&self) -> serde_json::Value {
        serde_json::json!({
            "all": self.all,
            "source": self.source,
            "topic": self.topic,
            "code": self.code,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges() {
        assert_eq!(numbers("3").map(|numbers| numbers.0), Ok(3..=3));
        assert_eq!(numbers("7-12").map(|numbers| numbers.0), Ok(7..=12));
        for text in ["", "x", "-3", "9-7", "1-2-3"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }
}
