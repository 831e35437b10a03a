//! Record headers.

/// The headers of a record, in either of the forms in which they come.
#[derive(Debug, Clone, Copy, Default)]
pub enum Headers<'a> {
    /// None.
    #[default]
    None,
    /// As `kcat -J` prints them: a JSON array of name, value, name, value.
    Json(&'a str),
    /// As Kafka gives them.
    List(&'a [(&'a str, Option<&'a [u8]>)]),
}
