//! How the sources that this process reads are doing.
//!
//! This crate reads none itself: whoever makes an [`crate::Api`] hands in its [`Sources`].

/// The sources that this process reads.
pub trait Sources: Send + Sync + 'static {
    /// Each of them as it is now, in any order. Called for requests: it does not block.
    fn states(&self) -> Vec<SourceState>;
}

/// Sources that stay as they are: none, for a process that reads nothing.
impl Sources for Vec<SourceState> {
    fn states(&self) -> Vec<SourceState> {
        self.clone()
    }
}

/// How a source is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceState {
    /// Its name.
    pub name: String,
    /// What keeps it from reading anything, for a person.
    pub hindrance: Option<String>,
    /// Topics that are named in the configuration and are not there.
    pub unknown_topics: Vec<String>,
    /// Topics that were there, and are not any more.
    pub deleted_topics: Vec<String>,
    /// The partitions that this process reads.
    pub partitions: Vec<PartitionState>,
    /// Dead letters that were copied to the topic for them, since this process began.
    pub letters_copied: u64,
    /// Those that could not be; they are in the table all the same.
    pub letters_not_copied: u64,
}

/// How a partition is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionState {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The offset that is read next.
    pub next: i64,
    /// Records that are there and not read yet; none while that is not known.
    pub lag: Option<u64>,
    /// Records that nobody may read before a transaction ends.
    pub uncommitted: u64,
    /// A stable name of whether it is read: `reading`, `ahead`, `data_lost`, `topic_replaced`.
    pub state: &'static str,
    /// Why it is not read until a person does something, with what to do.
    pub problem: Option<String>,
}

impl SourceState {
    /// What an operator should look at, line by line.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> {
        let hindrance = self.hindrance.iter().cloned();
        let unknown = self.unknown_topics.iter().map(|topic| format!("there is no topic {topic}"));
        let deleted = self.deleted_topics.iter().map(|topic| format!("the topic {topic} was deleted"));
        let stopped = self.partitions.iter().filter_map(|partition| {
            let problem = partition.problem.as_ref()?;
            Some(format!("{}/{}: {problem}", partition.topic, partition.partition))
        });
        hindrance.chain(unknown).chain(deleted).chain(stopped).map(|problem| format!("source {}: {problem}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_their_place() {
        let partition = |problem: Option<&str>| PartitionState {
            topic: "shop.public.orders".to_owned(),
            problem: problem.map(str::to_owned),
            ..PartitionState::default()
        };
        let state = SourceState {
            name: "shop".to_owned(),
            hindrance: Some("no broker can be reached".to_owned()),
            unknown_topics: vec!["shop.public.ordesr".to_owned()],
            partitions: vec![partition(None), partition(Some("retention ran past us"))],
            ..SourceState::default()
        };
        let problems: Vec<String> = state.problems().collect();
        assert_eq!(
            problems,
            [
                "source shop: no broker can be reached",
                "source shop: there is no topic shop.public.ordesr",
                "source shop: shop.public.orders/0: retention ran past us",
            ]
        );
    }
}
