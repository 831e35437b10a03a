//! The text of an event's metadata column ([`deltafold_event::Metadata`]), put together from raw slices.

/// What goes into the column.
#[derive(Debug, Default)]
pub(crate) struct MetadataText<'a> {
    pub(crate) moved_from: Option<&'a str>,
    pub(crate) moved_to: Option<&'a str>,
    pub(crate) whole_before: bool,
    pub(crate) source: &'a str,
    pub(crate) key: Option<&'a str>,
    pub(crate) headers: Option<&'a str>,
}

impl MetadataText<'_> {
    /// The JSON object, its members in the order of `Metadata`.
    pub(crate) fn json(&self) -> String {
        let raws = [Some(self.source), self.key, self.headers];
        let length: usize = raws.iter().flatten().map(|raw| raw.len() + 12).sum();
        let mut json = String::with_capacity(length + 2);
        json.push('{');
        for (name, id) in [("moved_from", self.moved_from), ("moved_to", self.moved_to)] {
            if let Some(id) = id {
                member(&mut json, name, &serde_json::to_string(id).expect("a text is always JSON"));
            }
        }
        if self.whole_before {
            member(&mut json, "whole_before", "true");
        }
        for (name, raw) in ["source", "key", "headers"].into_iter().zip(raws) {
            if let Some(raw) = raw {
                member(&mut json, name, raw);
            }
        }
        json.push('}');
        json
    }
}

fn member(json: &mut String, name: &str, raw: &str) {
    if json.len() > 1 {
        json.push(',');
    }
    for part in ["\"", name, "\":", raw] {
        json.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use deltafold_event::Metadata;

    use super::*;

    #[test]
    fn the_text_is_what_metadata_reads() {
        let text = MetadataText { source: r#"{"lsn":1}"#, key: Some("{\"id\":1}"), ..MetadataText::default() }.json();
        assert_eq!(text, r#"{"source":{"lsn":1},"key":{"id":1}}"#);
        assert!(Metadata::is_plain(&text));
        let text = MetadataText {
            moved_from: Some("a\"b"),
            whole_before: true,
            source: "{}",
            headers: Some("[]"),
            ..MetadataText::default()
        }
        .json();
        let metadata = Metadata::parse(&text).unwrap();
        assert_eq!(
            (metadata.moved_from.as_deref(), metadata.moved_to, metadata.whole_before),
            (Some("a\"b"), None, true)
        );
        assert_eq!(serde_json::to_string(&Metadata::parse(&text).unwrap()).unwrap(), text);
        assert!(!Metadata::is_plain(&text));
    }
}
