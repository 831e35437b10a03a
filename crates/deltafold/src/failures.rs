//! Which exit code an error of a crate gets.

use deltafold_ingest::IngestError;
use deltafold_source::{KafkaError, SourceError};
use deltafold_store::{AppendError, MaintenanceError, OpenError, ReadError};

use crate::exit::{Exit, Failure};

/// An error with its exit code.
pub(crate) trait OrExit<T> {
    /// The same, as what the command ends with.
    fn or_exit(self) -> Result<T, Failure>;
}

impl<T, E: Fails> OrExit<T> for Result<T, E> {
    fn or_exit(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(error.exit(), &error))
    }
}

/// An error that knows how a command ends that meets it.
pub(crate) trait Fails: std::fmt::Display {
    /// How.
    fn exit(&self) -> Exit;
}

impl Fails for OpenError {
    fn exit(&self) -> Exit {
        match self {
            Self::Version { .. } => Exit::Usage,
            Self::Damaged { .. } => Exit::Failed,
            Self::Disk(_) => Exit::Unavailable,
            Self::Read(error) => error.exit(),
        }
    }
}

impl Fails for ReadError {
    fn exit(&self) -> Exit {
        match self {
            Self::Entry { .. } | Self::File { .. } | Self::Foreign { .. } => Exit::Failed,
            Self::Disk { .. } => Exit::Unavailable,
        }
    }
}

impl Fails for AppendError {
    fn exit(&self) -> Exit {
        match self {
            Self::Conflict(_) => Exit::Conflict,
            Self::TooLarge { .. } => Exit::Failed,
            Self::Disk(_) => Exit::Unavailable,
            Self::Read(error) => error.exit(),
        }
    }
}

impl Fails for MaintenanceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Disk(_) => Exit::Unavailable,
            Self::Read(error) => error.exit(),
            Self::Superseded(_) => Exit::Conflict,
            Self::Checkpoint { .. } => Exit::Failed,
        }
    }
}

impl Fails for SourceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Open { error, .. } if error.kind() == std::io::ErrorKind::NotFound => Exit::NotFound,
            Self::NotFollowable { .. } => Exit::Usage,
            Self::Open { .. } | Self::Read { .. } | Self::Cut { .. } | Self::Shrunk { .. } => Exit::Failed,
        }
    }
}

impl Fails for KafkaError {
    fn exit(&self) -> Exit {
        match self {
            Self::Property { .. } | Self::Client { .. } => Exit::Usage,
            Self::Fatal { .. } => Exit::Unavailable,
        }
    }
}

impl Fails for IngestError {
    fn exit(&self) -> Exit {
        match self {
            Self::Kafka(error) => error.exit(),
            Self::Source(error) => error.exit(),
            Self::Append(error) => error.exit(),
            Self::Read(error) => error.exit(),
            Self::Contended { .. } => Exit::Conflict,
            Self::Mark { .. } | Self::Claim { .. } => Exit::Failed,
        }
    }
}

impl Fails for deltafold_projector::ProjectorError {
    fn exit(&self) -> Exit {
        match self {
            Self::Store(error) => error.exit(),
            other if other.is_disk() => Exit::Unavailable,
            _ => Exit::Failed,
        }
    }
}

impl Fails for deltafold_view::OpenError {
    fn exit(&self) -> Exit {
        match self {
            Self::Locked { .. } | Self::Io { .. } => Exit::Unavailable,
            Self::Version { .. } => Exit::Usage,
            Self::Corrupt { .. } => Exit::Failed,
        }
    }
}
