//! Whether the API answers from all that there is.

use std::fmt;

use deltafold_event::Position;

/// Whether the views hold what the store held when it was asked: the text of it is what `/readyz` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    state: State,
    /// What an operator should know of all the same, line by line.
    notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    CatchingUp { folded: Position, of: Position },
    Stopped,
}

impl Readiness {
    /// They do.
    pub(crate) fn ready() -> Self {
        Self { state: State::Ready, notes: Vec::new() }
    }

    /// They hold everything up to one position of another.
    pub(crate) fn catching_up(folded: Position, of: Position) -> Self {
        Self { state: State::CatchingUp { folded, of }, notes: Vec::new() }
    }

    /// They will hold no more.
    pub(crate) fn stopped() -> Self {
        Self { state: State::Stopped, notes: Vec::new() }
    }

    /// The same, with what an operator should know of.
    pub(crate) fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }

    /// Whether they do.
    pub fn is_ready(&self) -> bool {
        self.state == State::Ready
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            State::Ready => f.write_str("ok")?,
            State::CatchingUp { folded, of } => {
                write!(f, "catching up: the views are folded up to position {folded} of {of}")?;
            }
            State::Stopped => f.write_str("folding has stopped; the server's log says why")?,
        }
        self.notes.iter().try_for_each(|note| write!(f, "\n{note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_follow_the_verdict() {
        let readiness = Readiness::catching_up(Position::ZERO, Position::from_i64(7).unwrap());
        assert_eq!(readiness.to_string(), "catching up: the views are folded up to position 0 of 7");
        let readiness = Readiness::ready().with_notes(["origin shop is suspect".to_owned()]);
        assert_eq!((readiness.is_ready(), readiness.to_string().as_str()), (true, "ok\norigin shop is suspect"));
    }
}
