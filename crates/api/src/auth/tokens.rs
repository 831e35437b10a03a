//! The tokens' file: one per line, `NAME RIGHTS sha256:HEX`, where `#` begins a comment.

use std::{collections::HashMap, fmt::Write as _, path::Path};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{AuthError, Principal, Rights};

/// What a token's hash in the file begins with.
const ALGORITHM: &str = "sha256:";

/// What a token begins with, so that scanners for leaked secrets can tell it.
const PREFIX: &str = "dfold_";

/// Random bytes of a token: it cannot be guessed, so that its hash needs neither salt nor stretching.
const RANDOM_BYTES: usize = 32;

type Hash = [u8; SHA256_OUTPUT_LEN];

/// Who has which token, by the tokens' hashes.
///
/// A table is looked up in a time that tells of the hash that is looked up. It does not tell of the token behind any
/// hash in the file: to steer a hash bit by bit towards one of them takes a preimage of SHA-256.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashMap<Hash, Principal>);

impl Tokens {
    /// Reads the file's text.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self, AuthError> {
        let mut tokens = Self::default();
        for (line, text) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let wrong = |what| AuthError::Line { path: path.to_owned(), line, what };
            let text = std::str::from_utf8(text).map_err(|_| wrong("expected UTF-8".to_owned()))?;
            let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
            let Some(name) = words.next() else { continue };
            let (Some(rights), Some(hash), None) = (words.next(), words.next(), words.next()) else {
                return Err(wrong("expected NAME RIGHTS sha256:HEX, as `deltafold token` prints it".to_owned()));
            };
            let rights: Rights = rights.parse().map_err(|error| wrong(format!("{error}")))?;
            let hash = hash.strip_prefix(ALGORITHM).and_then(unhex).ok_or_else(|| {
                wrong(format!("expected {ALGORITHM} and 64 hexadecimal digits; the token itself does not belong here"))
            })?;
            let principal = Principal::with_token(name, rights).ok_or_else(|| wrong(not_a_name(name)))?;
            if tokens.0.insert(hash, principal).is_some() {
                return Err(wrong("this token stands further up already".to_owned()));
            }
        }
        Ok(tokens)
    }

    /// Who has this token.
    pub(crate) fn principal(&self, token: &str) -> Option<Principal> {
        self.0.get(&hash(token)).cloned()
    }
}

/// A token that was just made: the only moment at which it can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewToken {
    /// The token, for whoever is to use it.
    pub token: String,
    /// The line for the tokens' file, which tells nothing of it.
    pub line: String,
}

impl NewToken {
    /// Makes a token of random bytes.
    ///
    /// # Errors
    /// When the name is no word, or the system has no random numbers.
    pub fn make(name: &str, rights: Rights) -> Result<Self, AuthError> {
        if !Principal::is_name(name) || name.contains(|letter: char| letter.is_whitespace() || letter == '#') {
            return Err(AuthError::Name(not_a_name(name)));
        }
        let mut bytes = [0; RANDOM_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| AuthError::Random)?;
        let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let line = format!("{name} {rights} {ALGORITHM}{}", hex(&hash(&token)));
        Ok(Self { token, line })
    }
}

fn not_a_name(name: &str) -> String {
    let most = Principal::NAME_BYTES;
    format!(
        "{name:?} is no name for a token: expected one word of at most {most} bytes, without #, and neither local nor \
         configuration, which stand for ourselves on record"
    )
}

fn hash(token: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Hash> {
    if text.len() != 2 * SHA256_OUTPUT_LEN {
        return None;
    }
    let mut hash = Hash::default();
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(digits[0])? << 4 | digit(digits[1])?) as u8;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Right;

    fn parse(text: &str) -> Result<Tokens, String> {
        Tokens::parse(Path::new("tokens"), text.as_bytes()).map_err(|error| error.to_string())
    }

    /// The hash of `abc` as NIST publishes it.
    const OF_ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_token_is_known_by_its_hash() {
        let tokens = parse(&format!("# ours\n\nci read,append {OF_ABC}  # the build\n")).unwrap();
        let found = tokens.principal("abc").unwrap();
        assert_eq!((found.name(), found.may(Right::Append), found.may(Right::Admin)), ("ci", true, false));
        assert_eq!(tokens.principal("abd"), None);
        assert_eq!(tokens.principal(OF_ABC), None);
        assert_eq!(tokens.principal(""), None);
    }

    #[test]
    fn a_new_token_s_line_is_one_of_the_file() {
        let made = NewToken::make("grafana", "read".parse().unwrap()).unwrap();
        let other = NewToken::make("grafana", "admin".parse().unwrap()).unwrap();
        let tokens = parse(&format!("{}\r\n{}", made.line, other.line)).unwrap();
        assert!(!tokens.principal(&made.token).unwrap().may(Right::Append));
        assert!(tokens.principal(&other.token).unwrap().may(Right::Append));
        assert!(made.token.len() > 40 && !made.line.contains(&made.token), "{made:?}");
        for name in ["", "two words", "#ci", "c#i", "new\nline", "local", "configuration", &"x".repeat(257)] {
            assert!(NewToken::make(name, Rights::ALL).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        let errors = [
            "ci read".to_owned(),
            format!("ci read {OF_ABC} more"),
            format!("\nci write {OF_ABC}"),
            "ci read abc".to_owned(),
            format!("ci read {}", &OF_ABC[..70]),
            format!("ci read {OF_ABC}\nme admin {OF_ABC}"),
            format!("local read {OF_ABC}"),
        ]
        .map(|text| parse(&text).unwrap_err());
        insta::assert_snapshot!(errors.join("\n"), @r#"
        tokens:1: expected NAME RIGHTS sha256:HEX, as `deltafold token` prints it
        tokens:1: expected NAME RIGHTS sha256:HEX, as `deltafold token` prints it
        tokens:2: there is no right "write": expected read, append or admin, separated by commas
        tokens:1: expected sha256: and 64 hexadecimal digits; the token itself does not belong here
        tokens:1: expected sha256: and 64 hexadecimal digits; the token itself does not belong here
        tokens:2: this token stands further up already
        tokens:1: "local" is no name for a token: expected one word of at most 256 bytes, without #, and neither local nor configuration, which stand for ourselves on record
        "#);
    }
}
