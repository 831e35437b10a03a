//! Sources of kind "kafka": from what is written to what the source is told.

use std::collections::BTreeMap;

use deltafold_source::{KafkaOptions, OnDataLoss, Start};
use uuid::Uuid;

use super::model::{self, Kafka, StartAt};
use crate::exit::{Exit, Failure};

/// A property may name a file that holds its value, or an environment variable.
const IN_FILE: &str = "_file";
const IN_ENVIRONMENT: &str = "_env";

impl Kafka {
    /// What the source is told. `store` is the id of the store that it appends to: those that append to one share a
    /// group unless they are told otherwise, and no others do.
    pub(crate) fn options(&self, name: &str, store: Uuid) -> Result<KafkaOptions, Failure> {
        let group = self.group.clone().unwrap_or_else(|| format!("deltafold-{name}-{}", store.simple()));
        Ok(KafkaOptions {
            name: name.to_owned(),
            brokers: self.brokers.clone().unwrap_or_default(),
            topics: self.topics.iter().map(|topic| topic.0.clone()).collect(),
            group,
            instance: self.instance.clone(),
            start: match &self.start {
                StartAt::Text(start) => start.0.clone(),
                StartAt::Offsets(offsets) => Start::Offsets(offsets.clone()),
            },
            on_data_loss: match self.on_data_loss {
                model::OnDataLoss::Stop => OnDataLoss::Stop,
                model::OnDataLoss::Continue => OnDataLoss::Continue,
            },
            properties: self.properties(name)?,
            dead_letter_topic: self.dead_letter_topic.as_ref().map(|topic| topic.0.to_string()),
            token_file: self.token_file.clone(),
        })
    }

    /// What is wrong with the topic for copies of dead letters.
    pub(super) fn wrong_dead_letter_topic(&self) -> Option<&'static str> {
        let topic = &self.dead_letter_topic.as_ref()?.0;
        if !topic.is_name() {
            return Some("expected the name of one topic, without * and ?");
        }
        let is_read = self.topics.iter().any(|read| read.0.matches(&topic.to_string()));
        is_read.then_some(
            "the source's topics take it in: what is copied there would be read from there, and copied again",
        )
    }

    fn properties(&self, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        let failed = |property: &str, what: String| {
            Failure::new(Exit::Usage, format!("sources.{name}.properties.\"{property}\": {what}"))
        };
        let mut properties = BTreeMap::new();
        for (property, value) in &self.properties {
            let value = value.to_string();
            let (property, value) = if let Some(of) = property.strip_suffix(IN_FILE) {
                let text = std::fs::read_to_string(&value)
                    .map_err(|error| failed(property, format!("cannot read {value}: {error}")))?;
                (of, text.trim_end_matches(['\r', '\n']).to_owned())
            } else if let Some(of) = property.strip_suffix(IN_ENVIRONMENT) {
                let text = std::env::var(&value)
                    .map_err(|_| failed(property, format!("the environment variable {value} is not set")))?;
                (of, text)
            } else {
                (property.as_str(), value)
            };
            properties.insert(property.to_owned(), value);
        }
        Ok(properties)
    }
}

/// Whether the value at a key is nobody's business.
pub(crate) fn is_secret(key: &str) -> bool {
    let Some((_, property)) = key.split_once(".properties.") else { return false };
    !property.ends_with(IN_FILE)
        && !property.ends_with(IN_ENVIRONMENT)
        && ["password", "secret", "passphrase", ".pem", "jaas"].iter().any(|word| property.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(toml: &str) -> Kafka {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn secrets_come_from_files_and_the_environment() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let file = file.display();
        let kafka = kafka(&format!(
            "brokers = \"b:1\"\n[properties]\n\"sasl.password_file\" = \"{file}\"\n\"sasl.username_env\" = \"PATH\"\n\"socket.keepalive.enable\" = true\n"
        ));
        let options = kafka.options("shop", Uuid::nil()).unwrap();
        assert_eq!(options.properties["sasl.password"], "s3cret");
        assert_eq!(options.properties["sasl.username"], std::env::var("PATH").unwrap());
        assert_eq!(options.properties["socket.keepalive.enable"], "true");
        assert_eq!(options.group, "deltafold-shop-00000000000000000000000000000000");
    }

    #[test]
    fn a_secret_that_is_not_there_says_where_it_was_looked_for() {
        let options = |toml| kafka(toml).options("shop", Uuid::nil()).unwrap_err().to_string();
        let error = options("properties = { \"sasl.password_file\" = \"/nowhere/password\" }");
        assert!(
            error.contains("sources.shop.properties.\"sasl.password_file\": cannot read /nowhere/password"),
            "{error}"
        );
        let error = options("properties = { \"sasl.password_env\" = \"DELTAFOLD_NO_SUCH_VARIABLE\" }");
        assert!(error.contains("DELTAFOLD_NO_SUCH_VARIABLE is not set"), "{error}");
    }

    #[test]
    fn copies_of_dead_letters_go_where_they_are_not_read_again() {
        let wrong = |toml| kafka(toml).wrong_dead_letter_topic().unwrap_or("nothing");
        assert_eq!(wrong("topics = [\"shop.*\"]\ndead_letter_topic = \"dead.shop\""), "nothing");
        assert!(wrong("topics = [\"shop.*\"]\ndead_letter_topic = \"shop.dead\"").contains("copied again"));
        assert!(wrong("topics = [\"shop.*\"]\ndead_letter_topic = \"dead.*\"").contains("name of one topic"));
        assert!(wrong("topics = [\"shop.*\"]").contains("nothing"));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(is_secret("sources.shop.properties.sasl.password"));
        assert!(is_secret("sources.shop.properties.ssl.key.pem"));
        assert!(!is_secret("sources.shop.properties.sasl.password_file"));
        assert!(!is_secret("sources.shop.properties.sasl.username"));
        assert!(!is_secret("sources.password.topics"));
    }
}
