//! A walk over JSON that was checked before: nothing is looked at but where names and values end.

use std::borrow::Cow;

use deltafold_event::RawMembers;

use crate::json;

/// A JSON value that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked<'a>(&'a str);

impl<'a> Checked<'a> {
    /// Of a value's text, which the caller has checked.
    pub(crate) fn new(raw: &'a str) -> Self {
        Self(raw)
    }

    /// Its text.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The members of an object, names without escapes; anything else has none.
    pub(crate) fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Checked<'a>)> {
        RawMembers::new(self.0).map_while(|(name, value)| Some((json::without_escapes(name)?, Checked(value))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;

    #[test]
    fn members_come_as_they_are_written() {
        let json = "{ \"a\\\"\" : {\"x\":[1,\"}\\\"]\"]} ,\"\":\"\\\\\",\"n\":-1.5e3\n,\"z\":null}";
        let found: Vec<_> =
            Checked::new(json).members().map(|(name, value)| (name.into_owned(), value.raw())).collect();
        let expected = [("a\"", "{\"x\":[1,\"}\\\"]\"]}"), ("", "\"\\\\\""), ("n", "-1.5e3"), ("z", "null")];
        assert_eq!(found, expected.map(|(name, raw)| (name.to_owned(), raw)));
        for empty in ["{}", "{ }", "null", "[1,{\"a\":1}]", "\"{\""] {
            assert_eq!(Checked::new(empty).members().count(), 0, "{empty}");
        }
    }

    proptest! {
        #[test]
        fn the_same_as_the_checking_walk(json in "\\{(\"[ab\\\\\"]{0,3}\":([0-9]{1,3}|null|\"[a\\\\\"]{0,4}\"|\\[[1,\"]{0,4}\\]|\\{\\}),?){0,4}\\}") {
            let mut expected = Vec::new();
            let checked = json::members(&json, "text", &Limits::default(), |name, value| expected.push((name, value)));
            let found: Vec<_> = Checked::new(&json).members().collect();
            if checked.is_ok() {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
